//! Opens a series. Its pixels come by the image protocol.

use super::{Answer, Held};
use vitrine_wire::image_view::OpenSeriesView;

#[tauri::command]
pub async fn image_open(
    shell: Held<'_>,
    patient: String,
    study: String,
    series: String,
    px: u32,
) -> Answer<OpenSeriesView> {
    shell
        .engine()
        .await?
        .image_open(&patient, &study, &series, px)
        .await
        .map_err(|e| e.view())
}
