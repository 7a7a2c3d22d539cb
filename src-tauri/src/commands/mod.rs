//! What the screen may ask: one file per act, each a thin call into the engine.
//!
//! Never here: a decision, a sentence, a format. Every failure is an `ErrorView` made by the engine.
//! `ui/src/ipc/tauri.ts` is the other side of each of them.

mod active;
mod ask_server;
mod badge;
mod badge_sign_in;
mod board;
mod break_glass_end;
mod break_glass_open;
mod break_glass_owed;
mod break_glass_words;
mod card_close;
mod change_secret;
mod chart_close;
mod chart_open;
mod drill_end;
mod drill_start;
mod emergency_identify;
mod emergency_scan;
mod emergency_search;
mod entries;
mod entry_draft;
mod entry_form;
mod entry_preview;
mod entry_record;
mod entry_settle;
mod image_center;
mod image_close;
mod image_open;
mod images;
mod listen;
mod lock;
mod lock_view;
#[cfg(feature = "automation")]
mod marks;
mod packet_print;
mod painted;
mod preferences;
mod preferences_set;
mod provider_cancel;
mod provider_sign_in;
mod reasons;
mod results;
mod scan;
mod search;
mod set_entry_draft;
mod sign_in;
mod standby_behind;
mod standby_exchange;
mod standby_prepare;
mod standby_ready;
mod status;
mod sync_view;
mod verify_stored;
mod wall;
mod wall_close;
mod wall_open;
mod wall_trends;

use crate::shell::Shell;
use tauri::{State, Wry};
use vitrine_wire::view::ErrorView;

/// The shell, as every command gets it.
type Held<'a> = State<'a, Shell>;
/// What every command answers.
type Answer<T> = Result<T, ErrorView>;

/// All commands, by name.
pub fn handler() -> impl Fn(tauri::ipc::Invoke<Wry>) -> bool + Send + Sync + 'static {
    tauri::generate_handler![
        active::active,
        ask_server::ask_server,
        badge::badge,
        badge_sign_in::badge_sign_in,
        board::board,
        break_glass_end::break_glass_end,
        break_glass_open::break_glass_open,
        break_glass_owed::break_glass_owed,
        break_glass_words::break_glass_words,
        card_close::card_close,
        change_secret::change_secret,
        chart_close::chart_close,
        chart_open::chart_open,
        drill_end::drill_end,
        drill_start::drill_start,
        emergency_identify::emergency_identify,
        emergency_scan::emergency_scan,
        emergency_search::emergency_search,
        entries::entries,
        entry_draft::entry_draft,
        entry_form::entry_form,
        entry_preview::entry_preview,
        entry_record::entry_record,
        entry_settle::entry_settle,
        image_center::image_center,
        image_close::image_close,
        image_open::image_open,
        images::images,
        listen::listen,
        lock::lock,
        lock_view::lock_view,
        #[cfg(feature = "automation")]
        marks::marks,
        packet_print::packet_print,
        painted::painted,
        preferences::preferences,
        preferences_set::preferences_set,
        provider_cancel::provider_cancel,
        provider_sign_in::provider_sign_in,
        reasons::reasons,
        results::results,
        scan::scan,
        search::search,
        set_entry_draft::set_entry_draft,
        sign_in::sign_in,
        standby_behind::standby_behind,
        standby_exchange::standby_exchange,
        standby_prepare::standby_prepare,
        standby_ready::standby_ready,
        status::status,
        sync_view::sync_view,
        verify_stored::verify_stored,
        wall::wall,
        wall_close::wall_close,
        wall_open::wall_open,
        wall_trends::wall_trends,
    ]
}
