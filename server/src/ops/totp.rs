//! Second factors of local accounts, by whoever runs commands: who has one, enrolling one beside its owner, taking one away (ADR 50).
//!
//! Lives here: the four commands' work and their audit rows. Never here: codes and secrets (`identity::second_factor`), enrolling
//! by the owner alone (`http::console::totp`). Called by `cli::acts`.

use crate::cli::acts::{Given, Ground, user_id};
use crate::clock;
use crate::config::TotpUse;
use crate::error::Fault;
use crate::identity::second_factor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vitrine_access::action::ManageUsers;
use vitrine_access::{AuditEntry, Disclosure};
use vitrine_clinical::UserId;
use vitrine_store::StoreError;
use vitrine_store::totp::TotpChange;

/// What is asked for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Asked {
    /// Make a secret for somebody; it is given once.
    Enrol { name: String },
    /// The first code of it: it counts from now on. The recovery codes are given once.
    Confirm { name: String, code: String },
    /// Take it away: lost, or its owner has left. Their sessions at the console end.
    Reset { name: String },
    /// Who has one.
    List,
}

/// Carries it out.
///
/// # Errors
/// [`Fault`]: exit 2 for somebody unknown, for a wrong code, and where nothing can be changed so.
pub async fn perform(ground: &Ground, asked: Asked) -> Result<Given, Fault> {
    match asked {
        Asked::Enrol { name } => enrol(ground, &name).await,
        Asked::Confirm { name, code } => confirm(ground, &name, &code).await,
        Asked::Reset { name } => reset(ground, &name).await,
        Asked::List => list(ground).await,
    }
}

fn entry(ground: &Ground, user: &UserId, change: &str) -> Result<AuditEntry, Fault> {
    let permit = ground
        .permit::<ManageUsers>()?
        .noted("user", user.as_str())
        .noted("change", change);
    Ok(permit.entry(Disclosure::default()))
}

/// What the store refuses is the caller's to mend.
fn fault(e: StoreError) -> Fault {
    match e {
        StoreError::Refused(text) => Fault::usage(text),
        other => other.into(),
    }
}

async fn enrol(ground: &Ground, name: &str) -> Result<Given, Fault> {
    let user = user_id(name)?;
    if ground.totp == TotpUse::Off {
        return Err(Fault::usage(
            "second factors are not offered here: set sessions.totp in the configuration to \"offered\" or \"required-for-console\"",
        ));
    }
    let account = ground.store.account(&user).await?;
    if account.is_some_and(|a| a.disabled || !a.role.signs_in()) {
        return Err(Fault::usage(format!(
            "{user} does not sign in with a password: it is disabled, or an emergency account"
        )));
    }
    let entry = entry(ground, &user, "totp-begin")?;
    let begun = second_factor::begin(&*ground.store, &ground.keys, entry, &user);
    let begun = begun.await.map_err(fault)?;
    Ok(Given::done(json!({
        "user": user, "key": begun.key.as_str(), "uri": begun.uri.as_str(),
        "next": format!("vitrine-server totp confirm {user} CODE"),
    })))
}

async fn confirm(ground: &Ground, name: &str, code: &str) -> Result<Given, Fault> {
    let user = user_id(name)?;
    let entry = entry(ground, &user, "totp-confirm")?;
    let codes = second_factor::confirm(&*ground.store, &ground.keys, entry, &user, code);
    let codes = codes.await.map_err(fault)?.ok_or_else(|| {
        Fault::usage(format!(
            "this is not the code of {user}'s new key: see that the clock of the device is right, then give the next one"
        ))
    })?;
    let codes: Vec<&str> = codes.iter().map(|c| c.as_str()).collect();
    Ok(Given {
        access_changed: true,
        ..Given::done(json!({"user": user, "confirmed": true, "recovery_codes": codes}))
    })
}

async fn reset(ground: &Ground, name: &str) -> Result<Given, Fault> {
    let user = user_id(name)?;
    let entry = entry(ground, &user, "totp-reset")?;
    let change = TotpChange::Remove(user.clone());
    ground.store.change_totp(entry, change).await.map_err(fault)?;
    Ok(Given {
        access_changed: true,
        ..Given::done(json!({"user": user, "reset": true}))
    })
}

async fn list(ground: &Ground) -> Result<Given, Fault> {
    let all = ground.store.totps().await?;
    let rows: Vec<Value> = all
        .iter()
        .map(|t| {
            let state = if t.confirmed.is_some() {
                "on"
            } else {
                "waits for its first code"
            };
            json!({"user": t.user, "state": state, "made": clock::instant(t.made),
                "confirmed": t.confirmed.map(clock::instant), "recovery_codes": t.codes.len()})
        })
        .collect();
    Ok(Given::done(json!({"second_factors": rows})))
}
