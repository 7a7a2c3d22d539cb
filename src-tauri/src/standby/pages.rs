//! The two web views in the one window: one above the other, both painted, one with the keys. On the main thread alone.

use crate::shell::Shell;
use gtk::glib::Propagation;
use gtk::prelude::*;
use std::cell::RefCell;
use tauri::{AppHandle, Manager, WebviewWindow};
use webkit2gtk::{SettingsExt, WebView, WebViewExt};

thread_local! {
    /// What holds both, in the window that is seen.
    static PAGES: RefCell<Option<gtk::Overlay>> = const { RefCell::new(None) };
}

fn note_keys(view: &WebView, app: &AppHandle) {
    let noted = app.clone();
    let note = move || noted.state::<Shell>().standby.press();
    let press = note.clone();
    view.connect_key_press_event(move |_, _| {
        note();
        Propagation::Proceed
    });
    view.connect_button_press_event(move |_, _| {
        press();
        Propagation::Proceed
    });
}

/// Puts the window's own page into what holds both.
pub fn hold(window: &WebviewWindow) -> tauri::Result<()> {
    let app = window.app_handle().clone();
    window.with_webview(move |view| {
        let view = view.inner();
        note_keys(&view, &app);
        if let Some(settings) = WebViewExt::settings(&view) {
            // A page that was left is not kept to come back to.
            settings.set_enable_page_cache(false);
        }
        let Some(parent) = view.parent().and_downcast::<gtk::Box>() else {
            tracing::error!("the page is not where it was looked for: it is never exchanged");
            return;
        };
        let pages = gtk::Overlay::new();
        parent.remove(&view);
        pages.add_overlay(&view);
        parent.pack_start(&pages, true, true, 0);
        pages.show_all();
        view.grab_focus();
        PAGES.with_borrow_mut(|held| *held = Some(pages));
    })
}

/// Takes a page out of its own window and lays it below the one that is seen: there it is painted, and gets no key.
pub fn lay_behind(page: &WebviewWindow) -> tauri::Result<()> {
    let app = page.app_handle().clone();
    page.with_webview(move |view| {
        let view = view.inner();
        note_keys(&view, &app);
        if let Some(settings) = WebViewExt::settings(&view) {
            // A page that was left is not kept to come back to.
            settings.set_enable_page_cache(false);
        }
        let Some(pages) = PAGES.with_borrow(Clone::clone) else {
            return;
        };
        if let Some(parent) = view.parent().and_downcast::<gtk::Container>() {
            parent.remove(&view);
        }
        pages.add_overlay(&view);
        pages.reorder_overlay(&view, 0);
        view.show();
    })
}

/// Lays the page that is seen behind the other, which gets the keys, and ends its process.
pub fn put_behind(seen: &WebView) {
    let other = PAGES.with_borrow(|pages| {
        let pages = pages.as_ref()?;
        let other = pages.children().into_iter().find(|child| child != seen)?;
        pages.reorder_overlay(&other, -1);
        Some(other)
    });
    match other {
        Some(other) => {
            other.grab_focus();
            seen.terminate_web_process();
            let_go_of_what_was_copied();
        }
        None => tracing::error!("there is no other page"),
    }
}

/// What was selected or copied in a page that is gone is offered to nobody any more. What another program offers stays.
fn let_go_of_what_was_copied() {
    for selection in [gtk::gdk::SELECTION_PRIMARY, gtk::gdk::SELECTION_CLIPBOARD] {
        gtk::Clipboard::get(&selection).clear();
    }
}
