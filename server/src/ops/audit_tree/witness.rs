//! Handing checkpoints to witnesses: a file on a mount, a collector of syslog.
//!
//! Lives here: writing one line, how far each witness is. Never here: what a line says. Called by [`super::Tree`].
//! Nothing is lost while a witness is away: the journal keeps every line, and it is sent when the witness is back. A
//! line may come twice; that is no fault.

use super::{Tree, TreeFault};
use crate::clock;
use crate::config::Witness;
use crate::data_dir;
use crate::ops::metrics::Gauge;
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use vitrine_access::tree::book::Line;
use vitrine_clinical::UtcMs;

/// Lines read from the journal at once.
const AT_ONCE: usize = 64;
/// A mount that does not answer for so long is away.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest message for a collector, bytes: RFC 5424 wants 2048 of every receiver.
const MESSAGE_MOST: usize = 2048;

/// How a witness stands.
#[derive(Debug, Clone, Default)]
pub struct Stand {
    /// Time of the first checkpoint it has not got.
    pub behind_since: Option<UtcMs>,
    /// Why.
    pub error: Option<String>,
}

/// A witness and how it stands.
pub struct Kept {
    /// What the configuration says.
    pub config: Witness,
    stand: Mutex<Stand>,
    /// Held by the thread that writes: a mount that hangs holds one thread, not one more each minute.
    busy: Arc<Mutex<()>>,
}

impl Kept {
    /// One that was not tried yet.
    #[must_use]
    pub fn new(config: Witness) -> Self {
        Self {
            config,
            stand: Mutex::default(),
            busy: Arc::default(),
        }
    }
    /// How it stands.
    #[must_use]
    pub fn stand(&self) -> Stand {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Seconds since the first checkpoint that it has not got; 0 when it has all.
    #[must_use]
    pub fn behind_s(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        self.stand().behind_since.map_or(0.0, |at| {
            clock::now().0.saturating_sub(at.0).max(0) as f64 / 1000.0
        })
    }
    /// For Prometheus.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        (
            "vitrine_audit_witness_behind_seconds",
            "Age of the oldest checkpoint of the audit log that a witness has not got",
            format!("witness=\"{}\"", self.config.name),
            self.behind_s(),
        )
    }

    /// Hands over whatever is missing there.
    pub(super) async fn bring_up(&self, tree: &Tree) {
        let end = self.all(tree).await;
        let stand = match end {
            Ok(()) => Stand::default(),
            Err((since, why)) => {
                let before = self.stand();
                if before.error.as_ref() != Some(&why) {
                    tracing::warn!(witness = %self.config.name, error = %why, "checkpoints of the audit log wait for their witness");
                }
                Stand {
                    behind_since: since.or(before.behind_since).or_else(|| Some(clock::now())),
                    error: Some(why),
                }
            }
        };
        *self.stand.lock().unwrap_or_else(PoisonError::into_inner) = stand;
    }

    async fn all(&self, tree: &Tree) -> Result<(), (Option<UtcMs>, String)> {
        let place = tree.folder().join(format!("witness-{}", self.config.name));
        let kept = std::fs::read_to_string(&place).unwrap_or_default();
        let mut at: u64 = kept.trim().parse().unwrap_or(0);
        loop {
            let from = at;
            let lines = tree.with(move |disk, _| disk.lines(from, AT_ONCE)).await;
            let lines = lines.map_err(|e: TreeFault| (None, e.to_string()))?;
            let Some((first, end)) = lines
                .first()
                .map(|(l, _)| l.at.clone())
                .zip(lines.last().map(|(_, e)| *e))
            else {
                return Ok(());
            };
            let since = first
                .parse::<jiff::Timestamp>()
                .ok()
                .map(|t| UtcMs(t.as_millisecond()));
            self.send(lines).await.map_err(|why| (since, why))?;
            let text = format!("{end}\n");
            data_dir::write_durably(&place, text.as_bytes(), 0o600).map_err(|f| (since, f.text))?;
            at = end;
        }
    }

    async fn send(&self, lines: Vec<(Line, u64)>) -> Result<(), String> {
        let (config, busy) = (self.config.clone(), self.busy.clone());
        let work = tokio::task::spawn_blocking(move || {
            let Ok(_one) = busy.try_lock() else {
                return Err("it still does not answer".to_owned());
            };
            let lines = lines.into_iter().map(|(l, _)| l);
            if config.kind == "file" {
                to_file(Path::new(&config.to), lines)
            } else {
                to_syslog(&config.to, lines)
            }
        });
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(e)) => Err(e.to_string()),
            Err(_) => Err(format!("it did not answer for {} s", PATIENCE.as_secs())),
        }
    }
}

fn json(line: &Line) -> Result<String, String> {
    serde_json::to_string(line).map_err(|e| e.to_string())
}

/// Appends to a file that nobody here ever reads or cuts.
fn to_file(path: &Path, lines: impl Iterator<Item = Line>) -> Result<(), String> {
    let said = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    let mut file = options.open(path).map_err(said)?;
    for line in lines {
        let text = json(&line)? + "\n";
        file.write_all(text.as_bytes()).map_err(said)?;
    }
    file.sync_all().map_err(said)
}

/// Sends one message.
type Send = Box<dyn Fn(&[u8]) -> std::io::Result<usize>>;

/// RFC 5424, facility "log audit", severity "notice". That a collector has it is not known: UDP does not say.
fn to_syslog(to: &str, lines: impl Iterator<Item = Line>) -> Result<(), String> {
    let said = |e: std::io::Error| format!("{to}: {e}");
    let send: Send = if let Some(address) = to.strip_prefix("udp://") {
        let any = if address.starts_with('[') {
            "[::]:0"
        } else {
            "0.0.0.0:0"
        };
        let socket = UdpSocket::bind(any)
            .and_then(|s| s.connect(address).map(|()| s))
            .map_err(said)?;
        Box::new(move |m| socket.send(m))
    } else {
        local(to.strip_prefix("unix://").unwrap_or(to)).map_err(said)?
    };
    for line in lines {
        send(&message(line)?).map_err(said)?;
    }
    Ok(())
}

#[cfg(unix)]
fn local(path: &str) -> std::io::Result<Send> {
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(Box::new(move |m| socket.send(m)))
}
#[cfg(not(unix))]
fn local(_: &str) -> std::io::Result<Send> {
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported))
}

/// The message, with as much as there is room for: the signed note always.
fn message(mut line: Line) -> Result<Vec<u8>, String> {
    let before = format!(
        "<109>1 {} - vitrine-server {} audit-checkpoint - ",
        line.at,
        std::process::id()
    );
    let mut text = json(&line)?;
    if before.len() + text.len() > MESSAGE_MOST {
        line.leaves = None;
        text = json(&line)?;
    }
    if before.len() + text.len() > MESSAGE_MOST {
        line.moved.clear();
        text = json(&line)?;
    }
    Ok((before + &text).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_access::tree::book::Moved;

    #[test]
    fn a_message_is_never_too_long_and_always_holds_the_note() {
        for chains in [1, 10, 200] {
            let moved = |n: usize| Moved {
                chain: format!("0198f2a4-device-{n}"),
                first: 1,
                last: 2,
                hash: "h".repeat(44),
            };
            let line = Line {
                note: "n".repeat(300),
                at: "2026-11-21T07:35:02.007Z".into(),
                moved: (0..chains).map(moved).collect(),
                leaves: Some("x".repeat(88 * chains)),
            };
            let text = String::from_utf8(message(line.clone()).unwrap()).unwrap();
            assert!(
                text.len() <= MESSAGE_MOST
                    && text.starts_with("<109>1 2026-11-21T07:35:02.007Z - vitrine-server ")
            );
            let back = Line::parse(&text).unwrap();
            assert_eq!(back.note, line.note);
            assert_eq!(
                (back.leaves.is_some(), back.moved.is_empty()),
                (chains == 1, chains == 200)
            );
        }
    }
}
