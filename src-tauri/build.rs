//! Builds the desktop application: linker arguments and what Tauri generates from `tauri.conf.json`.

fn main() {
    // The bundled SQLCipher must not interpose the system libsqlite3 that WebKitGTK and libsoup load into the
    // same process: without this the executable exports sqlite3_* and two SQLite builds meet on one handle.
    // `tests/desktop` checks the finished binary.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-link-arg-bins=-Wl,--exclude-libs,ALL");
    }
    let attributes =
        tauri_build::Attributes::new().capabilities_path_pattern("src-tauri/capabilities/*.json");
    if let Err(error) = tauri_build::try_build(attributes) {
        println!("cargo:warning=tauri-build: {error:#}");
        std::process::exit(1);
    }
}
