//! Prints the downtime packet of a ward at this workstation's default printer.

use super::{Answer, Held};
use vitrine_wire::view::PacketView;

#[tauri::command]
pub async fn packet_print(shell: Held<'_>, ward: String) -> Answer<PacketView> {
    shell
        .engine()
        .await?
        .print_packet(Some(&ward), None)
        .await
        .map_err(|e| e.view())
}
