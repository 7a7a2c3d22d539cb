//! Whether what is in memory could be written to a disk in the clear: swap, and where it lies (ADR 51).
//!
//! Called by the self-test. Reads what the kernel says (`/proc/swaps`, `/sys`): an area is safe on a volume of dm-crypt
//! (`dm/uuid` begins with `CRYPT-`), also below LVM or another layer where every device under it is, and in compressed memory
//! (zram) that is written out to no device. What cannot be told is not called safe.

use std::path::{Path, PathBuf};
use vitrine_clinical::say;

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Swap {
    /// None: nothing of the memory is written out.
    Off,
    /// All of it is encrypted or stays in memory.
    Safe,
    /// These areas are not known to be encrypted.
    Clear(Vec<String>),
    /// This system does not say.
    Unknown,
}

impl Swap {
    /// Of this machine.
    pub(crate) fn of_this_machine() -> Self {
        Self::at(Path::new("/proc/swaps"), Path::new("/sys"))
    }

    /// `swaps`: as the kernel lists them; `sys`: where it describes its devices.
    fn at(swaps: &Path, sys: &Path) -> Self {
        let Ok(listed) = std::fs::read_to_string(swaps) else {
            return Self::Unknown;
        };
        let mut areas = listed.lines().skip(1).filter_map(Area::of).peekable();
        if areas.peek().is_none() {
            return Self::Off;
        }
        let clear: Vec<String> = areas.filter(|a| !a.safe(sys)).map(|a| a.name).collect();
        if clear.is_empty() {
            Self::Safe
        } else {
            Self::Clear(clear)
        }
    }

    /// For whoever looks after the workstation.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Off => say!("swap is off", "Auslagerungsspeicher ist abgeschaltet"),
            Self::Safe => say!(
                "swap is on and encrypted, or stays in memory",
                "Auslagerungsspeicher ist verschlüsselt oder bleibt im Arbeitsspeicher"
            ),
            Self::Clear(areas) => say!(
                "WARNING: swap is on and not encrypted ({areas}): what is on the screen can be written to the disk in the clear. \
                 Switch it off, or put it on an encrypted volume",
                "WARNUNG: Auslagerungsspeicher ist an und nicht verschlüsselt ({areas}): was angezeigt wird, kann unverschlüsselt auf den \
                 Datenträger geschrieben werden. Abschalten oder auf ein verschlüsseltes Laufwerk legen",
                areas = areas.join(", ")
            ),
            Self::Unknown => say!(
                "whether there is swap, this system does not say",
                "ob es Auslagerungsspeicher gibt, sagt dieses System nicht"
            ),
        }
    }
}

/// One line of `/proc/swaps`.
struct Area {
    name: String,
    file: bool,
}

impl Area {
    fn of(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        // Blanks in a name are written as octal.
        let name = words.next()?.replace("\\040", " ");
        let file = words.next()? == "file";
        Some(Self { name, file })
    }

    fn safe(&self, sys: &Path) -> bool {
        self.device(sys).is_some_and(|device| encrypted(&device, 0))
    }

    /// Where the kernel describes the device that holds it.
    fn device(&self, sys: &Path) -> Option<PathBuf> {
        let path = Path::new(&self.name);
        if self.file {
            return holder(path, sys);
        }
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Some(sys.join("class/block").join(real.file_name()?))
    }
}

/// The device of the file system that a file lies in.
#[cfg(target_os = "linux")]
fn holder(file: &Path, sys: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let device = std::fs::metadata(file).ok()?.dev();
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    Some(sys.join("dev/block").join(number))
}

#[cfg(not(target_os = "linux"))]
fn holder(_: &Path, _: &Path) -> Option<PathBuf> {
    None
}

/// Layers of devices at most.
const DEEP: u32 = 8;

fn encrypted(device: &Path, depth: u32) -> bool {
    let said = |name: &str| std::fs::read_to_string(device.join(name)).ok();
    if said("dm/uuid").is_some_and(|uuid| uuid.starts_with("CRYPT-")) {
        return true;
    }
    // Compressed memory; where it is written out to, if anywhere.
    if said("disksize").is_some() && said("backing_dev").is_none_or(|to| to.trim() == "none") {
        return true;
    }
    let Ok(below) = std::fs::read_dir(device.join("slaves")) else {
        return false;
    };
    let below: Vec<_> = below.flatten().collect();
    depth < DEEP && !below.is_empty() && below.iter().all(|d| encrypted(&d.path(), depth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::language::{Language, speaking};

    const HEAD: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

    /// Devices as `/sys` describes them: name, and files in it.
    fn machine(devices: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, files) in devices {
            for (file, content) in *files {
                let path = dir.path().join("class/block").join(name).join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
        }
        dir
    }

    fn judged(lines: &str, devices: &[(&str, &[(&str, &str)])]) -> Swap {
        let sys = machine(devices);
        let swaps = sys.path().join("swaps");
        std::fs::write(&swaps, format!("{HEAD}{lines}")).unwrap();
        Swap::at(&swaps, sys.path())
    }

    #[test]
    fn what_is_not_known_to_be_encrypted_is_named() {
        const CRYPT: (&str, &str) = ("dm/uuid", "CRYPT-PLAIN-swap\n");
        const LVM: (&str, &str) = ("dm/uuid", "LVM-abc\n");
        let line = |name: &str| format!("{name}  partition  1048572  0  -2\n");
        let clear = |names: &[&str]| Swap::Clear(names.iter().map(|n| (*n).to_owned()).collect());
        type Case<'a> = (String, Vec<(&'a str, Vec<(&'a str, &'a str)>)>, Swap);
        let cases: Vec<Case> = vec![
            (String::new(), vec![], Swap::Off),
            (
                line("/dev/t-sda3"),
                vec![("t-sda3", vec![("size", "9\n")])],
                clear(&["/dev/t-sda3"]),
            ),
            (line("/dev/t-dm-0"), vec![("t-dm-0", vec![CRYPT])], Swap::Safe),
            (
                line("/dev/t-dm-1"),
                vec![("t-dm-1", vec![LVM])],
                clear(&["/dev/t-dm-1"]),
            ),
            (
                line("/dev/t-dm-1"),
                vec![("t-dm-1", vec![LVM, ("slaves/dm-0/dm/uuid", "CRYPT-LUKS2-x")])],
                Swap::Safe,
            ),
            (
                line("/dev/t-dm-1"),
                vec![(
                    "t-dm-1",
                    vec![
                        LVM,
                        ("slaves/dm-0/dm/uuid", "CRYPT-LUKS2-x"),
                        ("slaves/sdb/size", "9"),
                    ],
                )],
                clear(&["/dev/t-dm-1"]),
            ),
            (
                line("/dev/t-zram0"),
                vec![("t-zram0", vec![("disksize", "9"), ("backing_dev", "none\n")])],
                Swap::Safe,
            ),
            (
                line("/dev/t-zram0"),
                vec![("t-zram0", vec![("disksize", "9"), ("backing_dev", "/dev/sda4\n")])],
                clear(&["/dev/t-zram0"]),
            ),
            (
                line("/dev/t-dm-0") + &line("/dev/t-sda3"),
                vec![("t-dm-0", vec![CRYPT])],
                clear(&["/dev/t-sda3"]),
            ),
            (
                "/no\\040such/swapfile file 9 0 -2\n".to_owned(),
                vec![],
                clear(&["/no such/swapfile"]),
            ),
        ];
        for (lines, devices, wanted) in cases {
            let devices: Vec<(&str, &[(&str, &str)])> = devices
                .iter()
                .map(|(name, files)| (*name, files.as_slice()))
                .collect();
            assert_eq!(judged(&lines, &devices), wanted, "{lines}");
        }
        assert_eq!(
            Swap::at(Path::new("/no/such/file"), Path::new("/sys")),
            Swap::Unknown
        );
    }

    #[test]
    fn it_is_said_plainly() {
        let clear = Swap::Clear(vec!["/dev/sda3".to_owned()]);
        let english = speaking(Language::English, || clear.text());
        assert!(
            english.contains("swap is on and not encrypted (/dev/sda3)"),
            "{english}"
        );
        assert!(speaking(Language::German, || clear.text()).contains("nicht verschlüsselt (/dev/sda3)"));
    }
}
