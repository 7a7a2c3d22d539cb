//! The studies of a patient.

use super::{Answer, Held};
use vitrine_wire::image_view::ImagesView;

#[tauri::command]
pub async fn images(shell: Held<'_>, patient: String) -> Answer<ImagesView> {
    shell.engine().await?.images(&patient).await.map_err(|e| e.view())
}
