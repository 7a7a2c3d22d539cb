//! Opens, or reads again, the chart of a patient.

use super::{Answer, Held};
use vitrine_wire::view::ChartView;

#[tauri::command]
pub async fn chart_open(shell: Held<'_>, patient: String) -> Answer<ChartView> {
    shell.engine().await?.chart(&patient).await.map_err(|e| e.view())
}
