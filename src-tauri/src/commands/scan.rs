//! Finds the patient of a scanned band.

use super::{Answer, Held};
use vitrine_wire::scan_view::ScanView;

#[tauri::command]
pub async fn scan(shell: Held<'_>, text: String) -> Answer<ScanView> {
    shell.engine().await?.scan(&text).await.map_err(|e| e.view())
}
