//! What the build and the tests need from the system, installed with apt where it is missing.

use crate::run::{command, has, run};
use anyhow::{Result, bail};
use std::path::Path;

/// One need: how to see that it is there, and the Debian packages that bring it.
struct Need {
    present: fn() -> bool,
    packages: &'static [&'static str],
}

fn file_under(dirs: &[&str], name: &str) -> bool {
    dirs.iter().any(|d| Path::new(d).join(name).exists())
}

const PC_DIRS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/pkgconfig",
    "/usr/lib/aarch64-linux-gnu/pkgconfig",
    "/usr/share/pkgconfig",
];

/// To build the app and the server.
const BUILD: &[Need] = &[
    Need {
        present: || has("cc") && has("make") && has("perl"),
        packages: &["build-essential", "perl"],
    },
    Need {
        present: || has("pkg-config"),
        packages: &["pkg-config"],
    },
    Need {
        present: || file_under(&PC_DIRS, "webkit2gtk-4.1.pc"),
        packages: &["libwebkit2gtk-4.1-dev", "librsvg2-dev"],
    },
];

/// To show it without a display, and to test it.
const SHOW: &[Need] = &[
    Need {
        present: || has("Xvfb"),
        packages: &["xvfb"],
    },
    Need {
        present: || has("WebKitWebDriver"),
        packages: &["webkit2gtk-driver"],
    },
    Need {
        present: || Path::new("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").exists(),
        packages: &["fonts-dejavu-core"],
    },
];

/// To test the screens in a browser.
const BROWSER: &[Need] = &[Need {
    present: || has("chromium"),
    packages: &["chromium"],
}];

/// To test the second store.
const DATABASE: &[Need] = &[Need {
    present: || Path::new("/usr/lib/postgresql").exists() || std::env::var_os("PG_BIN").is_some(),
    packages: &["postgresql-15"],
}];

/// Makes sure of what the tests of the second store need.
pub fn ensure_database() -> Result<()> {
    let missing: Vec<&str> = DATABASE
        .iter()
        .filter(|n| !(n.present)())
        .flat_map(|n| n.packages.iter().copied())
        .collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Makes sure of the build's needs, and of the display's and the browser's where asked.
pub fn ensure(show: bool, browser: bool) -> Result<()> {
    let mut needs: Vec<&Need> = BUILD.iter().collect();
    if show {
        needs.extend(SHOW);
    }
    if browser {
        needs.extend(BROWSER);
    }
    let missing: Vec<&str> = needs
        .iter()
        .filter(|n| !(n.present)())
        .flat_map(|n| n.packages.iter().copied())
        .collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    if !has("node") || !has("npm") {
        bail!("Node.js 20 or newer with npm is needed: install it and run the command again");
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !has("apt-get") {
        bail!("these Debian packages (or your system's equivalents) are needed: {list}");
    }
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if !root && !has("sudo") {
        bail!("as root, run: apt-get install -y --no-install-recommends {list}");
    }
    let apt = |args: &[&str]| {
        let mut all: Vec<&str> = if root { vec![] } else { vec!["apt-get"] };
        all.extend(["-q", "-o", "DPkg::Lock::Timeout=500"]);
        all.extend(args);
        let mut c = command(if root { "apt-get" } else { "sudo" }, &all);
        c.env("DEBIAN_FRONTEND", "noninteractive");
        // what apt says belongs to the log: standard output may be the JSON of a command
        c.stdout(std::io::stderr());
        run(c)
    };
    apt(&["update"])?;
    let mut args = vec!["install", "-y", "--no-install-recommends"];
    args.extend(packages);
    apt(&args)
}
