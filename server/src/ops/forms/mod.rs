//! Rows of the audit log in the forms that others read: FHIR AuditEvents ([`balp`]), audit messages of DICOM ([`atna`]).
//!
//! Lives here: what both forms say of a row: which event it is, how it ended, who and where; one `match` over every act
//! there is ([`shape`]). Never here: finding rows, sending them, who may see them. Called by `ops::look`, `ops::repository`
//! and `http::fhir::audit_event`.
//!
//! Pure: the same row gives the same text. What a row does not say (the address of a program, a name of somebody who has no
//! account any more) is marked as unknown, never made up. Names and roles are those of the accounts now.

pub mod atna;
pub mod balp;

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use vitrine_access::{Actor, AuditEntry, Decision, Kind};
use vitrine_clinical::PatientId;
use vitrine_store::audit_find::FoundRow;
use vitrine_store::{Store, StoreError};

/// In which form rows are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Our own.
    #[default]
    Json,
    /// FHIR R4 AuditEvents after IHE BALP 1.1.4.
    Balp,
    /// Audit messages of DICOM PS3.15 A.5 in syslog (ITI-20).
    Atna,
}

/// What is known beside the row.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Name of this server.
    pub server: String,
    /// Where it is reached; empty when that is not configured.
    pub address: String,
    /// Display name and role by sign-in name.
    pub people: BTreeMap<String, (String, &'static str, &'static str)>,
    /// Names of workstations by id.
    pub devices: BTreeMap<String, String>,
}

/// The name of a server that has no other.
const SERVER: &str = "vitrine-server";

impl Known {
    /// As store and configuration say now: `node` is the server's name among others, `public_url` where it is reached; both may
    /// be empty.
    ///
    /// # Errors
    /// [`StoreError`] when accounts or workstations cannot be read.
    pub async fn of(store: &dyn Store, node: &str, public_url: &str) -> Result<Self, StoreError> {
        let people = store.accounts().await?.into_iter();
        let devices = store.devices().await?.into_iter();
        let address = public_url.trim_end_matches('/');
        let host = address
            .split("://")
            .nth(1)
            .and_then(|a| a.split(['/', ':']).next());
        let named = [node, host.unwrap_or_default(), SERVER];
        Ok(Self {
            server: named
                .into_iter()
                .find(|n| !n.is_empty())
                .unwrap_or(SERVER)
                .to_owned(),
            address: address.to_owned(),
            people: people
                .map(|a| (a.user.to_string(), (a.display, a.role.name(), a.role.words())))
                .collect(),
            devices: devices.map(|d| (d.id.to_string(), d.name)).collect(),
        })
    }
}

/// Where a code is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    /// DICOM PS3.16 annex D.
    Dcm,
    /// FHIR R4 audit-event-type.
    Rest,
    /// RFC 3881.
    Rfc3881,
    /// Ours: the names of acts.
    Act,
}

impl System {
    /// As FHIR names it.
    const fn uri(self) -> &'static str {
        match self {
            Self::Dcm => "http://dicom.nema.org/resources/ontology/DCM",
            Self::Rest => "http://terminology.hl7.org/CodeSystem/audit-event-type",
            Self::Rfc3881 => "urn:ietf:rfc:3881",
            Self::Act => "urn:vitrine:audit-act",
        }
    }
    /// As a message of DICOM names it.
    const fn name(self) -> &'static str {
        match self {
            Self::Dcm => "DCM",
            Self::Rfc3881 => "RFC-3881",
            other => other.uri(),
        }
    }
}

/// A code and its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Code(System, &'static str, &'static str);

const fn dcm(code: &'static str, words: &'static str) -> Code {
    Code(System::Dcm, code, words)
}

const REST: Code = Code(System::Rest, "rest", "RESTful Operation");
const AUDIT_USED: Code = dcm("110101", "Audit Log Used");
const EXPORT: Code = dcm("110106", "Export");
const IMPORT: Code = dcm("110107", "Import");
const RECORD: Code = dcm("110110", "Patient Record");
const QUERY: Code = dcm("110112", "Query");
const ALERT: Code = dcm("110113", "Security Alert");
const AUTHENTICATION: Code = dcm("110114", "User Authentication");
const LOGIN: Code = dcm("110122", "Login");
const LOGOUT: Code = dcm("110123", "Logout");
const OVERRIDE: Code = dcm("110127", "Emergency Override Started");
const NETWORK: Code = dcm("110128", "Network Configuration");
const SECURITY: Code = dcm("110129", "Security Configuration");
const RESTRICTED: Code = dcm("110132", "Use of Restricted Function");
const ATTRIBUTES: Code = dcm("110137", "User Security Attributes Changed");
const OVERRIDDEN: Code = dcm("110138", "Emergency Override Stopped");
const SERVICE: Code = dcm("110141", "Local Service Operation Started");
const APPLICATION: Code = dcm("110150", "Application");
const DESTINATION: Code = dcm("110152", "Destination Role ID");
const SOURCE: Code = dcm("110153", "Source Role ID");

/// Which profile of BALP an event follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Read,
    Query,
    Create,
    Update,
    Delete,
    /// Data left for paper or a file.
    Disclose,
    /// None: BALP has no profile for it.
    Plain,
}

/// Which event a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    pattern: Pattern,
    /// `C`, `R`, `U`, `D` or `E`.
    action: &'static str,
    /// The event of DICOM.
    event: Code,
    /// Its types.
    types: &'static [Code],
}

const fn plain(action: &'static str, event: Code, types: &'static [Code]) -> Shape {
    Shape {
        pattern: Pattern::Plain,
        action,
        event,
        types,
    }
}

const fn rest(pattern: Pattern) -> Shape {
    let (action, event) = match pattern {
        Pattern::Query => ("E", QUERY),
        Pattern::Create => ("C", RECORD),
        Pattern::Update => ("U", RECORD),
        Pattern::Delete => ("D", RECORD),
        Pattern::Disclose => ("R", EXPORT),
        Pattern::Read | Pattern::Plain => ("R", RECORD),
    };
    Shape {
        pattern,
        action,
        event,
        types: &[],
    }
}

/// The event of an act. Every act there is has its line: one that is added does not compile without.
fn shape(kind: Kind, e: &AuditEntry) -> Shape {
    let noted = |name: &str| e.notes.get(name).map(String::as_str);
    let lists = noted("use") == Some("list");
    match kind {
        // Its pages are for the printer.
        Kind::ReadCard if noted("use") == Some("downtime-packet") => rest(Pattern::Disclose),
        Kind::ReadChart if noted("by").is_some() => rest(Pattern::Query),
        Kind::ReadCard | Kind::ReadChart | Kind::ReadResource => rest(Pattern::Read),
        Kind::SearchPatients | Kind::ViewBoard | Kind::SyncScope => rest(Pattern::Query),
        Kind::WriteClinical => {
            let written = &e.disclosure.resources;
            let new = !written.is_empty() && written.iter().all(|r| r.version == 1);
            rest(if new { Pattern::Create } else { Pattern::Update })
        }
        Kind::DestroyRecord => rest(Pattern::Delete),
        Kind::ManageUsers | Kind::ManageDevices if lists => rest(Pattern::Query),
        Kind::ManageUsers => plain("U", ALERT, &[ATTRIBUTES]),
        Kind::ManageDevices => plain("U", ALERT, &[SECURITY]),
        Kind::BreakGlass => plain("E", ALERT, &[OVERRIDE]),
        Kind::EndBreakGlass => plain("E", ALERT, &[OVERRIDDEN]),
        Kind::ExplainBreakGlass => plain("U", ALERT, &[]),
        Kind::ReceiveGrant => plain("C", ALERT, &[]),
        Kind::ReviewBreakGlass if noted("use").is_some() => plain("R", AUDIT_USED, &[]),
        Kind::ReviewBreakGlass => plain("U", ALERT, &[]),
        Kind::ReadAudit => plain("R", AUDIT_USED, &[]),
        Kind::SendLive => plain("E", IMPORT, &[]),
        // Messages of interfaces that somebody looks at.
        Kind::ImportData if noted("use") == Some("message-list") => rest(Pattern::Query),
        Kind::ImportData if noted("use") == Some("message-show") => rest(Pattern::Plain),
        Kind::ImportData => plain("C", IMPORT, &[]),
        Kind::RunDrill | Kind::EndDrill => plain("E", ALERT, &[NETWORK]),
        Kind::OperateServer => plain("E", ALERT, &[SERVICE]),
        Kind::HoldRecord | Kind::RequestDestruction | Kind::ApproveDestruction => plain("U", RECORD, &[]),
        Kind::SignIn | Kind::Identify => plain("E", AUTHENTICATION, &[LOGIN]),
        Kind::SignOut => plain("E", AUTHENTICATION, &[LOGOUT]),
        Kind::Enrol => plain("C", ALERT, &[SECURITY]),
        Kind::Wiped => plain("D", ALERT, &[SECURITY]),
        Kind::Alarm => plain("E", ALERT, &[]),
        Kind::SelfTest => plain(
            "E",
            Code(System::Act, "self-test", "Self-test of a workstation"),
            &[],
        ),
        Kind::ClaimLane => plain("E", ALERT, &[RESTRICTED]),
        Kind::IntrospectToken => plain(
            "R",
            Code(System::Act, "introspect-token", "Introspection of a token"),
            &[],
        ),
        Kind::AuthorizeApp => plain("E", ALERT, &[ATTRIBUTES]),
        Kind::SecondFactor | Kind::ChangeSecret => plain("U", ALERT, &[ATTRIBUTES]),
    }
}

/// A row that this program cannot read is told as such; nothing is said of what it may hold.
const UNREAD: Shape = plain("E", ALERT, &[]);

/// The outcome by RFC 3881 5.1.4: 0 done; 4 refused and may be tried again (a wrong secret); 8 refused.
fn outcome(e: &AuditEntry) -> &'static str {
    match e.decision {
        Decision::Permit => "0",
        Decision::Deny if e.rule.starts_with("wrong-") => "4",
        Decision::Deny => "8",
    }
}

/// A row, and what is known beside it.
struct Told<'a> {
    row: &'a FoundRow,
    known: &'a Known,
    /// `None`: it cannot be read, or names an act that this program does not know.
    read: Option<(&'a AuditEntry, Kind)>,
    shape: Shape,
}

impl<'a> Told<'a> {
    fn of(row: &'a FoundRow, known: &'a Known) -> Self {
        let read = row
            .entry
            .as_ref()
            .and_then(|e| Kind::parse(&e.action).map(|k| (e, k)));
        Self {
            row,
            known,
            read,
            shape: read.map_or(UNREAD, |(e, k)| shape(k, e)),
        }
    }
    /// `chain/seq`, by which the row is found again.
    fn place(&self) -> String {
        format!("{}/{}", self.row.chain, self.row.seq)
    }
    /// Written by a workstation about what it holds itself.
    fn at_device(&self) -> bool {
        self.known.devices.contains_key(&self.row.chain)
    }
    /// Everybody it is about: whom the request was about first.
    fn patients(&self) -> Vec<&'a PatientId> {
        let Some((e, _)) = self.read else {
            return Vec::new();
        };
        let others: BTreeSet<&PatientId> = e.disclosure.patients.iter().collect();
        let first = e.patient.as_ref();
        let others = others.into_iter().filter(|p| Some(*p) != first);
        first.into_iter().chain(others).collect()
    }
    /// Who acted, where that is a person.
    fn person(&self) -> Option<Who<'a>> {
        match self.read.map(|(e, _)| &e.actor)? {
            Actor::User(u) => {
                let known = self.known.people.get(u.as_str());
                let name = known.map(|(n, ..)| n.as_str()).filter(|n| !n.trim().is_empty());
                Some(Who {
                    system: "urn:vitrine:user",
                    account: u.as_str(),
                    name,
                    role: known.map(|(_, r, w)| (*r, *w)),
                })
            }
            Actor::Operator(account) => Some(Who {
                system: "urn:vitrine:operator",
                account,
                name: None,
                role: None,
            }),
            Actor::Device(_) | Actor::Client(_) => None,
        }
    }
    /// The program or machine that asked.
    fn client(&self) -> Node<'a> {
        let Some((e, _)) = self.read else {
            return Node::Unknown;
        };
        let device = match &e.actor {
            Actor::Client(name) => return Node::Client(name),
            Actor::Operator(_) => return Node::Server,
            Actor::Device(d) => Some(d),
            Actor::User(_) => e.device.as_ref(),
        };
        device.map_or(Node::Unknown, |d| Node::Device(d.as_str()))
    }
    /// The machine that answered.
    fn server(&self) -> Node<'a> {
        if self.at_device() {
            Node::Device(&self.row.chain)
        } else {
            Node::Server
        }
    }
    /// Facts of the row that have no place of their own.
    fn further(&self) -> Vec<(String, String)> {
        let Some((e, _)) = self.read else {
            let why = if self.row.entry.is_some() {
                "this program does not know its act"
            } else {
                "its body cannot be read"
            };
            return vec![("unread".to_owned(), why.to_owned())];
        };
        let mut out = vec![("access".to_owned(), e.access_id.to_string())];
        out.push(("rule".to_owned(), e.rule.clone()));
        out.extend(e.grant.map(|g| ("grant".to_owned(), g.to_string())));
        if e.disclosure.total > 0 {
            out.push(("total".to_owned(), e.disclosure.total.to_string()));
        }
        out.extend(
            e.disclosure
                .digest
                .iter()
                .map(|d| ("digest".to_owned(), d.clone())),
        );
        out.extend(e.notes.iter().map(|(n, v)| (format!("note:{n}"), v.clone())));
        out
    }
    /// What was asked of a query, as far as the row has it.
    fn query(&self) -> String {
        let Some((e, k)) = self.read else {
            return String::new();
        };
        let asked: Vec<String> = e
            .notes
            .iter()
            .filter(|(n, _)| n.as_str() != "door")
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        if asked.is_empty() {
            k.name().to_owned()
        } else {
            asked.join("&")
        }
    }
}

/// A person that acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Who<'a> {
    /// Whose accounts: the hospital's people, or those of the server's machine.
    system: &'static str,
    account: &'a str,
    /// As shown; `None` without an account.
    name: Option<&'a str>,
    /// Name and words.
    role: Option<(&'static str, &'static str)>,
}

/// A machine or program that took part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node<'a> {
    /// A workstation.
    Device(&'a str),
    /// A program with a client id.
    Client(&'a str),
    /// This server.
    Server,
    /// The row does not say.
    Unknown,
}

impl<'a> Node<'a> {
    /// System and value by which it is known.
    fn identifier(self, known: &'a Known) -> Option<(&'static str, &'a str)> {
        match self {
            Self::Device(id) => Some(("urn:vitrine:device", id)),
            Self::Client(id) => Some(("urn:vitrine:client", id)),
            Self::Server => Some(("urn:vitrine:server", &known.server)),
            Self::Unknown => None,
        }
    }
    /// What a person calls it.
    fn name(self, known: &'a Known) -> &'a str {
        match self {
            Self::Device(id) => known.devices.get(id).map_or(id, String::as_str),
            Self::Client(id) => id,
            Self::Server => &known.server,
            Self::Unknown => "not recorded",
        }
    }
    /// Its address on the network and the kind of it (FHIR R4 network-type, RFC 3881 5.2.6: 1 machine name, 5 URI). Rows keep
    /// no addresses of programs.
    fn address(self, known: &'a Known) -> Option<(&'a str, &'static str)> {
        match self {
            Self::Device(_) => Some((self.name(known), "1")),
            Self::Server if known.address.is_empty() => Some((&known.server, "1")),
            Self::Server => Some((&known.address, "5")),
            Self::Client(_) | Self::Unknown => None,
        }
    }
}

/// Characters that neither FHIR nor XML has become the replacement character; empty text is none.
fn clean(text: &str) -> Option<String> {
    let fits =
        |c: char| matches!(c, '\t' | '\n' | '\r') || (!c.is_control() && c != '\u{FFFE}' && c != '\u{FFFF}');
    let out: String = text
        .chars()
        .map(|c| if fits(c) { c } else { '\u{FFFD}' })
        .collect();
    (!out.trim().is_empty()).then_some(out)
}

#[cfg(test)]
pub(crate) mod tests;
