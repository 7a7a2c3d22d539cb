//! What the build and the tests need from the system, installed with apt where it is missing.

use crate::run::{command, has, output, run};
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
    Need {
        present: || file_under(&PC_DIRS, "libpcsclite.pc"),
        packages: &["libpcsclite-dev"],
    },
    Need {
        present: || file_under(&PC_DIRS, "tss2-esys.pc"),
        packages: &["libtss2-dev"],
    },
];

/// To show it without a display, and to test it.
const SHOW: &[Need] = &[
    Need {
        present: || has("Xvfb"),
        packages: &["xvfb"],
    },
    Need {
        present: || has("xdotool") && has("xclip"),
        packages: &["xdotool", "xclip"],
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

/// To test the card reader: the real card service with a virtual reader.
const CARDS: &[Need] = &[Need {
    present: || {
        Path::new("/usr/sbin/pcscd").exists()
            && Path::new("/usr/lib/pcsc/drivers/serial/libifdvpcd.so").exists()
            && has("ip")
    },
    packages: &["pcscd", "vsmartcard-vpcd", "iproute2"],
}];

/// To test the keys that a TPM keeps: a TPM 2.0 in software.
const TPM: &[Need] = &[Need {
    present: || has("swtpm"),
    packages: &["swtpm"],
}];

/// To test the alert rules with what reads them in earnest.
const WATCH: &[Need] = &[Need {
    present: || has("prometheus") && has("promtool"),
    packages: &["prometheus"],
}];

/// To receive the audit log as a hospital's repository does: syslog over TLS.
const LOGS: &[Need] = &[Need {
    present: || {
        Path::new("/usr/sbin/rsyslogd").exists()
            && file_under(
                &[
                    "/usr/lib/x86_64-linux-gnu/rsyslog",
                    "/usr/lib/aarch64-linux-gnu/rsyslog",
                    "/usr/lib/rsyslog",
                ],
                "lmnsd_gtls.so",
            )
    },
    packages: &["rsyslog", "rsyslog-gnutls"],
}];

/// To send images as modalities do, to decode them with other people's decoders, and to run other people's Python.
const IMAGES: &[Need] = &[
    Need {
        // Reads what was printed.
        present: || has("pdftotext"),
        packages: &["poppler-utils"],
    },
    Need {
        present: || has("storescu") && has("echoscu"),
        packages: &["dcmtk"],
    },
    Need {
        present: || has("opj_decompress"),
        packages: &["libopenjp2-tools"],
    },
    Need {
        present: || has("ojph_expand"),
        packages: &["openjph-tools"],
    },
    Need {
        // Debian's Python makes an environment only with a package of its own
        present: || output(command("python3", &["-c", "import ensurepip, venv"])).is_ok(),
        packages: &["python3", "python3-venv"],
    },
];

/// To measure images against the usual server of them, on a network that is held to a rate.
const PEER: &[Need] = &[
    Need {
        present: || {
            Path::new("/usr/sbin/Orthanc").exists()
                && Path::new("/usr/share/orthanc/plugins/libOrthancDicomWeb.so").exists()
        },
        packages: &["orthanc", "orthanc-dicomweb"],
    },
    Need {
        present: || has("tc") || Path::new("/usr/sbin/tc").exists(),
        packages: &["iproute2"],
    },
];

/// To look at what is left in memory, and to set the clock of a program.
const SECRETS: &[Need] = &[
    Need {
        present: || has("gcore"),
        packages: &["gdb"],
    },
    Need {
        present: || has("faketime"),
        packages: &["faketime"],
    },
];

/// To test the screens in a browser.
const BROWSER: &[Need] = &[Need {
    present: || has("chromium"),
    packages: &["chromium"],
}];

/// To run the database cluster of `deploy/` on this machine.
const CLUSTER: &[Need] = &[
    Need {
        present: || {
            std::fs::read_dir("/usr/lib/postgresql")
                .into_iter()
                .flatten()
                .flatten()
                .any(|d| d.path().join("bin/postgres").is_file())
        },
        packages: &["postgresql"],
    },
    Need {
        // Debian's Patroni merely suggests what it needs for etcd over TLS
        present: || {
            let python = ["/usr/lib/python3/dist-packages"];
            has("patroni") && file_under(&python, "etcd") && file_under(&python, "idna")
        },
        packages: &["patroni", "python3-etcd", "python3-idna"],
    },
    Need {
        present: || has("etcd"),
        packages: &["etcd-server"],
    },
    Need {
        present: || has("haproxy") || Path::new("/usr/sbin/haproxy").exists(),
        packages: &["haproxy"],
    },
    Need {
        present: || has("pgbackrest"),
        packages: &["pgbackrest"],
    },
    Need {
        present: || has("openssl") && has("curl"),
        packages: &["openssl", "curl"],
    },
    Need {
        present: || has("ip") || Path::new("/usr/sbin/ip").exists(),
        packages: &["iproute2"],
    },
];

/// The system services that come with those packages. None is to run here: the tests bring their own processes.
const SERVICES: [&str; 9] = [
    "postgresql",
    "patroni",
    "etcd",
    "haproxy",
    "etcd2",
    "prometheus",
    "prometheus-node-exporter",
    "orthanc",
    "rsyslog",
];

/// Makes sure of what the cluster needs, the tests of the alert rules, those of modalities, of the audit repository, of
/// what is left in memory and of the TPM. Services of packages that this installs are neither started nor enabled; one that was there
/// before is left as it is.
pub fn ensure_cluster() -> Result<()> {
    let tests = WATCH
        .iter()
        .chain(IMAGES)
        .chain(LOGS)
        .chain(SECRETS)
        .chain(CARDS)
        .chain(TPM);
    unstarted(missing(CLUSTER.iter().chain(tests)).as_slice())
}

/// Makes sure of what the bench of images is compared with, likewise unstarted.
pub fn ensure_peer() -> Result<()> {
    unstarted(missing(PEER.iter().chain(IMAGES)).as_slice())
}

fn unstarted(missing: &[&str]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let unit = |s: &str| {
        ["/lib/systemd/system", "/usr/lib/systemd/system"]
            .iter()
            .any(|d| Path::new(d).join(format!("{s}.service")).exists())
    };
    let before: Vec<&str> = SERVICES.into_iter().filter(|s| unit(s)).collect();
    // Debian asks this file whether a package may start its service
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let ours = !policy.exists();
    if ours {
        as_root(
            "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d",
        )?;
    }
    let installed = install(missing);
    if ours {
        as_root("rm -f /usr/sbin/policy-rc.d")?;
    }
    installed?;
    let new: Vec<&str> = SERVICES
        .into_iter()
        .filter(|s| unit(s) && !before.contains(s))
        .collect();
    if has("systemctl") && !new.is_empty() {
        as_root(&format!("systemctl --quiet disable {} || true", new.join(" ")))?;
    }
    Ok(())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// Runs words of the shell as root.
fn as_root(words: &str) -> Result<()> {
    let mut c = if is_root() {
        command("sh", &["-c", words])
    } else if has("sudo") {
        command("sudo", &["sh", "-c", words])
    } else {
        bail!("as root, run: {words}")
    };
    c.stdout(std::io::stderr());
    run(c)
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
    let missing = missing(needs.into_iter());
    if !missing.is_empty() {
        install(&missing)?;
    }
    if !has("node") || !has("npm") {
        bail!("Node.js 20 or newer with npm is needed: install it and run the command again");
    }
    Ok(())
}

fn missing<'a>(needs: impl Iterator<Item = &'a Need>) -> Vec<&'static str> {
    needs
        .filter(|n| !(n.present)())
        .flat_map(|n| n.packages.iter().copied())
        .collect()
}

fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !has("apt-get") {
        bail!("these Debian packages (or your system's equivalents) are needed: {list}");
    }
    let root = is_root();
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
