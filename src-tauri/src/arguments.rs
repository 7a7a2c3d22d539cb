//! The command line of the window. Pure: what it says, not what is done with it.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: vitrine [--profile DIR] [--hidden]
       vitrine --autostart on|off [--profile DIR]

  --profile DIR       folder of this workstation's keys and data (enrolled with vitrine-cli);
                      default: $XDG_DATA_HOME/vitrine, else ~/.local/share/vitrine
  --hidden            start resident, without showing the window
  --autostart on|off  start hidden at every sign-in to the operating system, or no longer; then end
  --version           print the version
  --help              print this";

/// What to start.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// Print this and end.
    Say(String),
    /// Open the window.
    Window(Arguments),
}

/// How to open the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// Folder of keys and data.
    pub profile: PathBuf,
    /// Stay out of sight.
    pub hidden: bool,
    /// Change the autostart entry instead, and end.
    pub autostart: Option<bool>,
}

/// Reads the command line without the program's name.
///
/// # Errors
/// A sentence that says what is wrong with which argument.
pub fn parse(given: impl Iterator<Item = OsString>) -> Result<Start, String> {
    let mut given = given;
    let mut arguments = Arguments {
        profile: PathBuf::new(),
        hidden: false,
        autostart: None,
    };
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("--help" | "-h") => return Ok(Start::Say(USAGE.to_owned())),
            Some("--version" | "-V") => {
                return Ok(Start::Say(format!("vitrine {}", env!("CARGO_PKG_VERSION"))));
            }
            Some("--hidden") => arguments.hidden = true,
            Some("--profile") => {
                let value = given
                    .next()
                    .filter(|v| !v.is_empty())
                    .ok_or("--profile needs a folder")?;
                arguments.profile = PathBuf::from(value);
            }
            Some("--autostart") => {
                arguments.autostart = match given.next().as_deref().and_then(|v| v.to_str()) {
                    Some("on") => Some(true),
                    Some("off") => Some(false),
                    _ => return Err("--autostart needs \"on\" or \"off\"".to_owned()),
                }
            }
            _ => {
                return Err(format!(
                    "{} is not an argument of this program",
                    argument.to_string_lossy()
                ));
            }
        }
    }
    if arguments.profile.as_os_str().is_empty() {
        arguments.profile = default_profile(|name| std::env::var_os(name))
            .ok_or("there is no home folder to keep the profile in: name one with --profile DIR")?;
    }
    Ok(Start::Window(arguments))
}

/// `$XDG_DATA_HOME/vitrine`, else `~/.local/share/vitrine`; on Windows `%LOCALAPPDATA%\vitrine`.
fn default_profile(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let data = if cfg!(windows) {
        folder("LOCALAPPDATA")
    } else {
        folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local").join("share")))
    };
    data.map(|data| data.join("vitrine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[&str]) -> Result<Start, String> {
        parse(given.iter().map(OsString::from))
    }

    #[test]
    fn reads_a_profile() {
        let expected = Arguments {
            profile: PathBuf::from("here"),
            hidden: true,
            autostart: None,
        };
        assert_eq!(
            of(&["--profile", "here", "--hidden"]),
            Ok(Start::Window(expected))
        );
    }

    #[test]
    fn reads_autostart() {
        for (word, on) in [("on", true), ("off", false)] {
            let Ok(Start::Window(arguments)) = of(&["--profile", "here", "--autostart", word]) else {
                panic!("{word}")
            };
            assert_eq!(arguments.autostart, Some(on));
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for bad in [
            &["--profile"][..],
            &["--profile", ""],
            &["--autostart"],
            &["--autostart", "yes"],
            &["--devtools"],
            &["x"],
        ] {
            let message = of(bad).expect_err("refused");
            assert!(message.len() > 15, "{message}");
        }
    }

    #[test]
    fn says_help_and_version() {
        assert!(matches!(of(&["--help"]), Ok(Start::Say(text)) if text.contains("--profile DIR")));
        assert!(matches!(of(&["--version"]), Ok(Start::Say(text)) if text.starts_with("vitrine ")));
    }

    #[test]
    #[cfg(unix)]
    fn the_profile_follows_the_data_folder() {
        let of = |data: &'static str, home: &'static str| {
            default_profile(move |name| match name {
                "XDG_DATA_HOME" => Some(data.into()).filter(|v: &OsString| !v.is_empty()),
                "HOME" => Some(home.into()).filter(|v: &OsString| !v.is_empty()),
                _ => None,
            })
        };
        assert_eq!(of("/d", "/h"), Some(PathBuf::from("/d/vitrine")));
        assert_eq!(of("", "/h"), Some(PathBuf::from("/h/.local/share/vitrine")));
        assert_eq!(
            of("relative", "/h"),
            Some(PathBuf::from("/h/.local/share/vitrine"))
        );
        assert_eq!(of("", ""), None);
    }
}
