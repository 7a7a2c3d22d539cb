//! Telling people outside of broken glass, by mail.
//!
//! Lives here: what a mail says and handing it to the hospital's mail server. Never here: whose turn it is
//! (`jobs::notices`), what is kept of it (`vitrine_access::review`).
//!
//! Mail is read on telephones and forwarded: it names the person who broke the glass, never the patient. Whoever may see
//! that opens the review.

use crate::clock;
use crate::config::Config;
use crate::data_dir::{DataDir, read_private};
use crate::error::Fault;
use lettre::message::{Mailbox, MultiPart, SinglePart, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use std::time::Duration;
use vitrine_access::grant::Reason;
use vitrine_clinical::WardId;
use vitrine_store::{Account, DeviceRow, GrantRow};

/// A mail server that does not answer for so long is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a mail is about, as far as the server knows.
pub struct About<'a> {
    /// The grant with its review.
    pub row: &'a GrantRow,
    /// The level it was escalated to; 0 for the broken glass itself.
    pub level: u8,
    /// Who broke it.
    pub account: Option<&'a Account>,
    /// Where.
    pub device: Option<&'a DeviceRow>,
    /// Where the patient lies.
    pub ward: Option<&'a WardId>,
}

/// Nobody was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// In words.
    pub why: String,
    /// The mail server is away or wants to be asked later; else it refuses this one.
    pub away: bool,
}

/// The hospital's mail server, with what every mail has.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    german: bool,
    /// Before `/console/`; empty where nobody said how others reach this server.
    url: String,
    /// After the @ of a message's id.
    domain: String,
    /// `host:port`.
    pub server: String,
}

impl Mailer {
    /// The mail server of the configuration; `None` where nobody is told.
    ///
    /// # Errors
    /// [`Fault`]: a file of `notice.ca` or `notice.credentials` that cannot be used.
    pub fn of(config: &Config, dir: &DataDir) -> Result<Option<Self>, Fault> {
        let notice = &config.notice;
        let Some((host, port)) = notice.host_port().filter(|_| notice.is_on()) else {
            return Ok(None);
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let unusable = |what: &str, e: &dyn std::fmt::Display| Fault::usage(format!("{what}: {e}"));
        let mut tls = TlsParameters::builder(host.to_owned());
        if !notice.ca.is_empty() {
            let path = dir.root().join(&notice.ca);
            let pem = std::fs::read(&path).map_err(|e| Fault::io("cannot read", &path, &e))?;
            let no = |e: &dyn std::fmt::Display| {
                unusable(&format!("{} is no certificate in PEM", path.display()), e)
            };
            tls = tls
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(&pem).map_err(|e| no(&e))?);
        }
        let tls = tls
            .build_rustls()
            .map_err(|e| unusable("TLS to notice.server", &e))?;
        let tls = if notice.tls == "starttls" {
            Tls::Required(tls)
        } else {
            Tls::Wrapper(tls)
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .tls(tls)
            .timeout(Some(PATIENCE));
        if !notice.credentials.is_empty() {
            let path = dir.root().join(&notice.credentials);
            let bytes = zeroize::Zeroizing::new(read_private(&path)?);
            let text = std::str::from_utf8(&bytes).unwrap_or_default();
            let mut lines = text.lines();
            match (lines.next(), lines.next(), lines.next()) {
                (Some(user), Some(password), None) => {
                    transport = transport.credentials(Credentials::new(user.to_owned(), password.to_owned()));
                }
                _ => {
                    return Err(Fault::usage(format!(
                        "{}: write the user on the first line and the password on the second, nothing else",
                        path.display()
                    )));
                }
            }
        }
        let from: Mailbox = notice.from.parse().map_err(|e| unusable("notice.from", &e))?;
        Ok(Some(Self {
            domain: from.email.domain().to_owned(),
            server: notice.server.clone(),
            transport: transport.build(),
            from,
            german: notice.language == "de",
            url: config.listen.public_url.trim_end_matches('/').to_owned(),
        }))
    }

    /// Whether the mail server answers, proves who it is and takes the credentials; no mail is sent.
    ///
    /// # Errors
    /// In words.
    pub async fn reach(&self) -> Result<(), String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("it answers, and does not take commands".to_owned()),
            Err(e) => Err(e.to_string()),
        }
    }

    /// Hands a mail over for each address; gives those it was taken for. An address that is refused for good is told to
    /// the log and keeps nobody else from hearing of it.
    ///
    /// # Errors
    /// [`Unsent`]: nobody was told.
    pub async fn send<'t>(&self, about: &About<'_>, to: &[&'t str]) -> Result<Vec<&'t str>, Unsent> {
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for address in to {
            let mail = self
                .mail(about, address)
                .map_err(|why| Unsent { why, away: false })?;
            match self.transport.send(mail).await {
                Ok(_) => taken.push(*address),
                Err(e) if e.is_permanent() => refused.push(format!("{address}: {e}")),
                // Who was told already is told again then: a mail of the same id.
                Err(e) => {
                    return Err(Unsent {
                        why: e.to_string(),
                        away: true,
                    });
                }
            }
        }
        if taken.is_empty() {
            return Err(Unsent {
                why: refused.join("; "),
                away: false,
            });
        }
        for why in refused {
            tracing::warn!(id = %about.row.grant.id, error = %why, "an address of [notice] is refused: nobody there is told of broken glass");
        }
        Ok(taken)
    }

    /// The same broken glass at the same level has the same id, whichever server sends it and however often.
    fn mail(&self, about: &About<'_>, to: &str) -> Result<Message, String> {
        let (subject, text) = words(about, self.german, &self.url);
        let id = format!("<{}.{}@{}>", about.row.grant.id, about.level, self.domain);
        Message::builder()
            .from(self.from.clone())
            .subject(subject)
            .message_id(Some(id))
            .header(header::MIME_VERSION_1_0)
            .to(to.parse().map_err(|e| format!("{to}: {e}"))?)
            .multipart(MultiPart::mixed().singlepart(SinglePart::plain(text)))
            .map_err(|e| e.to_string())
    }
}

/// Subject and text.
fn words(about: &About<'_>, german: bool, url: &str) -> (String, String) {
    let say = |en: &str, de: &str| if german { de.to_owned() } else { en.to_owned() };
    let (row, g) = (about.row, &about.row.grant);
    let unknown = || say("not known", "nicht bekannt");
    let who = about.account.map_or_else(
        || g.user.to_string(),
        |a| {
            let wards: Vec<&str> = a.wards.iter().map(WardId::as_str).collect();
            format!(
                "{} ({}, {}) {}",
                a.display,
                g.user,
                a.role.name(),
                wards.join(" ")
            )
        },
    );
    let who = g.declared.as_ref().map_or(who, |name| {
        say(
            &format!("{name}: declared, not verified ({})", g.user),
            &format!("{name}: eigene Angabe, nicht geprüft ({})", g.user),
        )
    });
    let at = about
        .device
        .map_or_else(unknown, |d| format!("{}, {}", d.name, d.ward));
    let ward = about.ward.map_or_else(unknown, |w| w.as_str().to_owned());
    let reason = match g.reason {
        Reason::LifeThreatening => say("life-threatening", "lebensbedrohlich"),
        Reason::CannotConsent => say("cannot consent", "kann nicht einwilligen"),
        Reason::Covering => say("covering", "Vertretung"),
        Reason::MassCasualty => say("mass casualty", "Massenanfall"),
        Reason::Other => say("other", "anderer"),
    };
    let words = if g.words.is_some() || row.words.is_some() {
        say("with words", "mit Begründung")
    } else {
        say("no words yet", "noch ohne Begründung")
    };
    let learned = if row.late {
        say(
            "late: its workstation had no network",
            "verspätet: der Arbeitsplatz hatte kein Netz",
        )
    } else if g.offline {
        say(
            "its workstation had no network",
            "der Arbeitsplatz hatte kein Netz",
        )
    } else {
        say("at once", "sofort")
    };
    let subject = match about.level {
        0 => say("Emergency access", "Notfallzugriff"),
        3 => say(
            "Emergency access not reviewed in time",
            "Notfallzugriff nicht rechtzeitig geprüft",
        ),
        _ => say(
            "Emergency access not reviewed yet",
            "Notfallzugriff noch nicht geprüft",
        ),
    };
    let subject = format!(
        "{subject}: {}",
        about.device.map_or(ward.as_str(), |d| d.ward.as_str())
    );
    let mut lines = vec![
        (say("Who", "Wer"), who),
        (say("Workstation", "Arbeitsplatz"), at),
        (say("When", "Wann"), clock::instant(g.at)),
        (say("Reason", "Grund"), format!("{reason}, {words}")),
        (say("Ward of the patient", "Station des Patienten"), ward),
        (
            say("Learned of", "Bekannt geworden"),
            format!("{} ({learned})", clock::instant(row.received)),
        ),
        (
            say("Review due", "Prüfung fällig"),
            clock::instant(row.review_due),
        ),
    ];
    if about.level > 0 {
        lines.push((
            say("Escalated", "Eskaliert"),
            say(
                &format!("level {} of 3: nobody has decided", about.level),
                &format!("Stufe {} von 3: niemand hat entschieden", about.level),
            ),
        ));
    }
    let access = if url.is_empty() {
        format!("vitrine-server review show {}", g.id)
    } else {
        format!("{url}/console/#reviews/{}", g.id)
    };
    lines.push((say("Review", "Prüfung"), access));
    let mut text = say(
        "Somebody opened a record by emergency access (\"broke the glass\").\r\n\r\n",
        "Jemand hat eine Akte durch einen Notfallzugriff geöffnet.\r\n\r\n",
    );
    for (what, value) in lines {
        text.push_str(&format!("{what}: {value}\r\n"));
    }
    text.push_str(&say(
        "\r\nThis mail does not name the patient. Whoever may see that opens the review.\r\n",
        "\r\nDiese E-Mail nennt den Patienten nicht. Wer das sehen darf, öffnet die Prüfung.\r\n",
    ));
    (subject, text)
}
