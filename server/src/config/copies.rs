//! `images.copies`: where further copies of the originals of images go.
//!
//! Lives here: the keys of a target and their check. Never here: reaching one (`imaging::copies::target`).

use axum::http::Uri;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// One of `images.copies`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CopyTarget {
    /// What commands, metrics and the record call it: the same for ever, also when it moves.
    pub name: String,
    /// `file:///folder` or `s3://bucket/prefix`.
    pub url: String,
    /// Address of an S3-compatible service; empty = that of AWS for the region.
    pub endpoint: String,
    /// Region the service expects in signatures.
    pub region: String,
    /// File with the access key on its first line and the secret key on its second; absolute or within the data folder.
    pub credentials: String,
    /// PEM file of the authority that signed the service's certificate; empty = the system's.
    pub ca: String,
}

/// What the address of a target says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine, or mounted there.
    Folder(PathBuf),
    /// A bucket, and what stands before the name of every object in it.
    Bucket {
        /// Its name.
        bucket: String,
        /// May be empty.
        prefix: String,
    },
}

/// The longest name of a target.
const NAME_MOST: usize = 32;

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl CopyTarget {
    /// What the address says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn place(&self) -> Result<Place, String> {
        if let Some(path) = self.url.strip_prefix("file://") {
            let path = Path::new(path);
            if !path.is_absolute() || path.parent().is_none() {
                return Err(format!(
                    "holds {:?}: write the folder as file:///its/absolute/path",
                    self.url
                ));
            }
            return Ok(Place::Folder(path.to_owned()));
        }
        let Some(rest) = self.url.strip_prefix("s3://") else {
            return Err(format!(
                "holds {:?}: write file:///folder or s3://bucket/prefix",
                self.url
            ));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if bucket.is_empty() || !bucket.chars().all(fits) {
            return Err(format!("holds {:?}: the bucket has no name", self.url));
        }
        Ok(Place::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
        })
    }

    /// Whether it is spoken to without TLS.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.endpoint.starts_with("http://")
    }

    /// What is wrong with it.
    fn fault(&self) -> Option<String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = &self.name;
        if name.is_empty() || name.len() > NAME_MOST || !name.chars().all(fits) || name == "local" {
            return Some(format!(
                "names a target {name:?}: 1 to {NAME_MOST} of a-z, 0-9 and -, and not \"local\""
            ));
        }
        let place = match self.place() {
            Ok(place) => place,
            Err(fault) => return Some(fault),
        };
        let of_s3 = [
            ("endpoint", &self.endpoint),
            ("region", &self.region),
            ("credentials", &self.credentials),
            ("ca", &self.ca),
        ];
        match place {
            Place::Folder(_) => of_s3
                .iter()
                .find(|(_, value)| !value.is_empty())
                .map(|(key, _)| format!("gives the folder {name:?} a key {key}, which is for s3:// alone")),
            Place::Bucket { .. } if self.credentials.is_empty() => Some(format!(
                "gives {name:?} no credentials: name a file with the access key and, below it, the secret key"
            )),
            Place::Bucket { .. } if self.endpoint.is_empty() => None,
            Place::Bucket { .. } => {
                let uri: Option<Uri> = self.endpoint.parse().ok();
                let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
                match uri.as_ref().and_then(Uri::scheme_str) {
                    _ if host.is_empty() => Some(format!(
                        "gives {name:?} the endpoint {:?}: write https://host:port",
                        self.endpoint
                    )),
                    Some("https") => None,
                    Some("http") if is_loopback(host) => None,
                    Some("http") => Some(format!(
                        "reaches {name:?} without TLS: http:// is for a loopback address alone"
                    )),
                    _ => Some(format!(
                        "gives {name:?} the endpoint {:?}: write https://host:port",
                        self.endpoint
                    )),
                }
            }
        }
    }
}

/// What is wrong with the targets, taken together too.
pub(super) fn fault(targets: &[CopyTarget]) -> Option<String> {
    if let Some(fault) = targets.iter().find_map(CopyTarget::fault) {
        return Some(fault);
    }
    for (i, target) in targets.iter().enumerate() {
        let others = targets.iter().take(i);
        for other in others {
            if other.name == target.name {
                return Some(format!("names {:?} twice", target.name));
            }
            let same = other.place() == target.place() && other.endpoint == target.endpoint;
            if same {
                return Some(format!(
                    "has {:?} and {:?} at the same place: that is one copy, not two",
                    other.name, target.name
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn read(tables: &str) -> Result<usize, String> {
        let parsed = Config::parse(tables, "c.toml");
        parsed.map(|c| c.images.copies.len()).map_err(|f| f.text)
    }

    #[test]
    fn targets_are_taken_or_refused_with_their_fix() {
        let s3 = |more: &str| {
            format!("[[images.copies]]\nname = \"a\"\nurl = \"s3://b/p\"\ncredentials = \"k\"\n{more}\n")
        };
        let folder = |name: &str, path: &str| {
            format!("[[images.copies]]\nname = \"{name}\"\nurl = \"file://{path}\"\n")
        };
        let good = [
            (folder("nas", "/mnt/nas") + &s3(""), 2),
            (
                s3("endpoint = \"https://s3.example.org:9000\"\nregion = \"eu-1\"\nca = \"ca.pem\""),
                1,
            ),
            (s3("endpoint = \"http://127.0.0.1:9000\""), 1),
            (s3("endpoint = \"http://[::1]:9000\""), 1),
            (s3("endpoint = \"http://localhost:9000\""), 1),
            (folder("a1", "/x") + &folder("a2", "/y"), 2),
        ];
        for (text, count) in good {
            assert_eq!(read(&text), Ok(count), "{text}");
        }
        for (text, words) in [
            (folder("local", "/x"), "not \"local\""),
            (folder("A", "/x"), "names a target \"A\""),
            (folder("", "/x"), "names a target \"\""),
            (folder("a", "x"), "file:///its/absolute/path"),
            (folder("a", "/"), "file:///its/absolute/path"),
            (folder("a", "/x") + "region = \"r\"\n", "for s3:// alone"),
            (folder("a", "/x") + &folder("a", "/y"), "names \"a\" twice"),
            (folder("a", "/x") + &folder("b", "/x"), "that is one copy"),
            (s3("endpoint = \"http://10.0.0.5:9000\""), "without TLS"),
            (s3("endpoint = \"http://localhost.example.org\""), "without TLS"),
            (s3("endpoint = \"s3.example.org\""), "write https://"),
            (s3("endpoint = \"ftp://s3.example.org\""), "write https://"),
            (s3("secret = \"x\""), "secret"),
            (
                "[[images.copies]]\nname = \"a\"\nurl = \"s3://b\"\n".to_owned(),
                "no credentials",
            ),
            (
                "[[images.copies]]\nname = \"a\"\nurl = \"s3:///p\"\ncredentials = \"k\"\n".to_owned(),
                "the bucket has no name",
            ),
            (
                "[[images.copies]]\nname = \"a\"\nurl = \"gs://b\"\n".to_owned(),
                "write file:///folder or s3://",
            ),
        ] {
            let fault = read(&text).unwrap_err();
            assert!(fault.contains(words), "{text} gave {fault:?}");
        }
        let fault = read("[images]\nlocal_days = 3\ncopies = [{name = \"a\", url = \"file:///x\"}]\n");
        assert!(
            fault.clone().unwrap_err().contains("images.local_days"),
            "{fault:?}"
        );
    }
}
