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

/// What every page begins with: its keys are noted, and what was left is not kept to come back to.
fn begin(view: &WebView, app: &AppHandle) {
    if let Some(settings) = WebViewExt::settings(view) {
        settings.set_enable_page_cache(false);
    }
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
        begin(&view, &app);
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
        begin(&view, &app);
        let Some(pages) = PAGES.with_borrow(Clone::clone) else {
            tracing::error!("there is nothing to lay a page behind");
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

/// The page that lies behind the one that is seen.
pub fn other(seen: &WebView) -> Option<gtk::Widget> {
    PAGES.with_borrow(|pages| pages.as_ref()?.children().into_iter().find(|child| child != seen))
}

/// Puts `other` in front of the page that is seen, gives it the keys, and ends the other's process.
pub fn put_behind(seen: &WebView, other: &gtk::Widget) {
    PAGES.with_borrow(|pages| {
        if let Some(pages) = pages {
            pages.reorder_overlay(other, -1);
        }
    });
    other.grab_focus();
    seen.terminate_web_process();
    let_go_of_what_was_copied();
}

/// What was selected or copied in a page that is gone is offered to nobody any more. What another program offers stays.
fn let_go_of_what_was_copied() {
    for selection in [gtk::gdk::SELECTION_PRIMARY, gtk::gdk::SELECTION_CLIPBOARD] {
        gtk::Clipboard::get(&selection).clear();
    }
}
