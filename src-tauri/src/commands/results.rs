//! The critical results of a ward; without one, of this workstation's.

use super::{Answer, Held};
use vitrine_wire::results_view::ResultsView;

#[tauri::command]
pub async fn results(shell: Held<'_>, ward: Option<String>) -> Answer<ResultsView> {
    shell
        .engine()
        .await?
        .results(ward.as_deref())
        .await
        .map_err(|e| e.view())
}
