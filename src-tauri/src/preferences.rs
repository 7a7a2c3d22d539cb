//! How this workstation shows things: night colours, size and language, kept in `window.json` beside the profile.
//!
//! Never here: anything about a person or a patient. Called by the commands and by `window`.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use vitrine_engine::language::Language;

/// Sizes that may be chosen, per cent.
pub const SCALES: [u16; 4] = [100, 125, 150, 200];

/// The preferences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    /// Night colours.
    pub night: bool,
    /// Size of everything, per cent; one of [`SCALES`].
    pub scale: u16,
    /// What it speaks.
    #[serde(default)]
    pub language: Language,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            night: false,
            scale: 100,
            language: Language::English,
        }
    }
}

impl Preferences {
    /// The same with a size that may be chosen: the next smaller one.
    #[must_use]
    pub fn settled(self) -> Self {
        let scale = SCALES
            .iter()
            .rev()
            .copied()
            .find(|s| *s <= self.scale)
            .unwrap_or(SCALES[0]);
        Self { scale, ..self }
    }

    /// The factor of the web view's zoom.
    #[must_use]
    pub fn zoom(self) -> f64 {
        f64::from(self.settled().scale) / 100.0
    }
}

fn file(profile: &Path) -> PathBuf {
    profile.join("window.json")
}

/// What was kept; the default where nothing was, or nothing that can be read.
#[must_use]
pub fn read(profile: &Path) -> Preferences {
    std::fs::read(file(profile))
        .ok()
        .and_then(|kept| serde_json::from_slice(&kept).ok())
        .map_or_else(Preferences::default, Preferences::settled)
}

/// Keeps them, whole or not at all. Does nothing where the profile has no folder yet.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(profile: &Path, preferences: Preferences) -> io::Result<()> {
    if !profile.is_dir() {
        return Ok(());
    }
    let beside = profile.join("window.json.new");
    std::fs::write(&beside, serde_json::to_vec(&preferences.settled())?)?;
    std::fs::rename(beside, file(profile))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn come_back_as_they_were() {
        let folder = std::env::temp_dir().join(format!("vitrine-preferences-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(read(&folder), Preferences::default());
        let night = Preferences {
            night: true,
            scale: 150,
            language: Language::German,
        };
        write(&folder, night).unwrap();
        assert_eq!(read(&folder), night);
        std::fs::write(file(&folder), b"{\"night\":true").unwrap();
        assert_eq!(read(&folder), Preferences::default());
        // Of before there was a choice, and a language that there is not.
        std::fs::write(file(&folder), br#"{"night":true,"scale":150}"#).unwrap();
        assert_eq!(
            read(&folder),
            Preferences {
                language: Language::English,
                ..night
            }
        );
        for tag in ["qps-ploc", "fr"] {
            let kept = format!(r#"{{"night":true,"scale":150,"language":"{tag}"}}"#);
            std::fs::write(file(&folder), kept).unwrap();
            assert_eq!(read(&folder), Preferences::default(), "{tag}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        write(&folder, night).unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn sizes_are_settled() {
        for (given, taken) in [(0, 100), (100, 100), (124, 100), (150, 150), (9_999, 200)] {
            assert_eq!(
                Preferences {
                    scale: given,
                    ..Preferences::default()
                }
                .settled()
                .scale,
                taken
            );
        }
    }
}
