//! The accounts, to look at: changing them is for the command line.
//!
//! Lives here: the list and its audit row. Never here: secrets. Called by the router.

use super::No;
use super::door::Reader;
use crate::app::App;
use crate::clock;
use axum::Json;
use axum::extract::State;
use std::sync::Arc;
use vitrine_access::Disclosure;
use vitrine_access::action::ManageUsers;
use vitrine_wire::console::{ConsolePeople, ConsolePerson};

/// All accounts by name.
///
/// # Errors
/// [`No`].
pub async fn list(State(app): State<Arc<App>>, reader: Reader) -> Result<Json<ConsolePeople>, No> {
    let permit = reader.permit::<ManageUsers>(&app).await?.noted("use", "list");
    app.store.append(permit.entry(Disclosure::default())).await?;
    let people = app.store.accounts().await?;
    let people = people.into_iter().map(|a| ConsolePerson {
        user: a.user.as_str().to_owned(),
        name: a.display,
        role: a.role.words().to_owned(),
        wards: a.wards.iter().map(ToString::to_string).collect(),
        in_use: !a.disabled,
    });
    Ok(Json(ConsolePeople {
        now_ms: clock::now().0,
        people: people.collect(),
    }))
}
