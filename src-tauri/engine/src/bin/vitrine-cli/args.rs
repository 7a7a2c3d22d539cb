//! The arguments of `vitrine-cli` (interfaces.md): names that stay fixed.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use vitrine_engine::keys::SealerKind;
use vitrine_engine::language::Language;

/// A secret of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The password
    Password,
    /// The PIN
    Pin,
}

/// The workstation without a window: for IT, for drills, for tests.
#[derive(Debug, Parser)]
#[command(name = "vitrine-cli", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// Profile folder of this workstation
    #[arg(long, global = true, value_name = "DIR")]
    pub profile: Option<PathBuf>,
    /// Print one JSON object on stdout; logs go to stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// Language of what the workstation says on screen and on paper: en or de. The words of this command, the audit
    /// and what is sent stay English
    #[arg(long, global = true, value_name = "TAG", default_value = "en", value_parser = language)]
    pub language: Language,
    /// What to do
    #[command(subcommand)]
    pub act: Act,
}

fn sealer(word: &str) -> Result<SealerKind, String> {
    match word {
        "tpm" => Ok(SealerKind::Tpm),
        "file" => Ok(SealerKind::File),
        _ => Err("write tpm or file".to_owned()),
    }
}

fn language(tag: &str) -> Result<Language, String> {
    Language::of_tag(tag).ok_or_else(|| "write en or de".to_owned())
}

/// How the secret is given.
#[derive(Debug, Args)]
pub struct Secret {
    /// Read the secret from the first line of stdin instead of asking for it
    #[arg(long)]
    pub secret_stdin: bool,
}

/// Who asks: the session kept by `login`, or a name and a secret for this run alone.
#[derive(Debug, Args)]
pub struct Who {
    /// Sign in for this run alone, instead of the session kept by `login`
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// How the secret is given
    #[command(flatten)]
    pub secret: Secret,
}

/// The acts.
#[derive(Debug, Subcommand)]
pub enum Act {
    /// Enrol this machine with a one-time code from `vitrine-server enrol`
    Enrol {
        /// Address of the server, https://HOST:PORT
        #[arg(long, value_name = "URL")]
        server: String,
        /// The one-time code
        #[arg(long, value_name = "CODE")]
        code: String,
        /// SHA-256 of the server's certificate or CA, as printed by the server
        #[arg(long, value_name = "SHA256")]
        fingerprint: Option<String>,
        /// Name of this workstation as shown; the machine's name when left out
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// What keeps the device's keys: tpm, file (labelled weak); the TPM where one works, else the file, when left out
        #[arg(long, value_name = "KIND", value_parser = sealer)]
        sealer: Option<SealerKind>,
    },
    /// Move the device's keys to another sealer. Close the program first; what is stored here stays as it is
    Reseal {
        /// What is to keep them: tpm, file (labelled weak)
        #[arg(long, value_name = "KIND", value_parser = sealer, default_value = "tpm")]
        sealer: SealerKind,
    },
    /// Sign in and keep the session for fifteen minutes
    Login {
        /// Sign-in name
        #[arg(long, value_name = "NAME", required_unless_present_any = ["provider", "badge"])]
        user: Option<String>,
        /// Whoever the badge picks whose number is the first line of stdin; with --secret-stdin their PIN is the second
        #[arg(long, conflicts_with_all = ["user", "provider"])]
        badge: bool,
        /// Sign in by the hospital's identity provider, in the browser; a secret on stdin is then the PIN for the own key here
        #[arg(long, conflicts_with = "user")]
        provider: bool,
        /// With --provider: print the address alone, and open no browser
        #[arg(long, requires = "provider")]
        print: bool,
        /// How the secret is given
        #[command(flatten)]
        secret: Secret,
    },
    /// Give yourself a new password or PIN: the password as it is now on the first line of stdin, the new one on the second
    ChangeSecret {
        /// Sign-in name
        #[arg(long)]
        user: String,
        /// Which of them is changed
        #[arg(value_enum)]
        which: Which,
    },
    /// End the kept session
    Lock,
    /// Synchronise with the server
    Sync {
        /// End when everything is current and everything written here has reached the server
        #[arg(long)]
        until_current: bool,
        /// Go on and print what happens until interrupted
        #[arg(long)]
        follow: bool,
        /// Give up --until-current after so many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        timeout: u64,
    },
    /// Find patients by name, MRN or birth date
    Search {
        /// What to look for
        query: String,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// Find the patient of a scanned band
    Scan {
        /// What the barcode reader sent
        code: String,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// The board of a ward
    Board {
        /// The ward; this workstation's when left out
        ward: Option<String>,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// The critical results of a ward: which wait, who has taken one up
    Results {
        /// The ward; this workstation's when left out
        ward: Option<String>,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// A downtime drill: cuts this workstation off from its server on purpose, and says what it could do alone
    Drill {
        /// How long it lasts, minutes; Ctrl+C ends it before
        #[arg(long, default_value_t = 15)]
        minutes: u32,
        /// Who begins it
        #[command(flatten)]
        who: Who,
    },
    /// The live vital signs of a ward, as its monitors say them now
    Wall {
        /// The ward; this workstation's when left out
        ward: Option<String>,
        /// Go on for so many seconds, printing what changes
        #[arg(long = "for", value_name = "SECONDS", default_value_t = 0)]
        seconds: u64,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// The downtime packet of a ward: a PDF with the emergency card of each patient
    Packet {
        /// The ward; this workstation's when left out
        ward: Option<String>,
        /// Write it to this file, readable by nobody else. It holds patients' data in the clear: destroy it after the downtime
        #[arg(long, value_name = "FILE", required_unless_present = "print")]
        out: Option<PathBuf>,
        /// Print it by the system's own printing
        #[arg(long, conflicts_with = "out")]
        print: bool,
        /// The printer; the default one when left out
        #[arg(long, value_name = "NAME", requires = "print")]
        printer: Option<String>,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// Record for a patient: kept here at once, sent when the server can be reached
    Record {
        /// What to record
        #[command(subcommand)]
        what: Recorded,
    },
    /// What was recorded at this workstation and the server has not accepted
    Entries {
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// Take an entry that the server refuses off the list
    Settle {
        /// Its id, as `entries` prints it
        id: String,
        /// What was done about it
        #[arg(long, value_name = "TEXT")]
        words: String,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// The chart of a patient
    Chart {
        /// MRN or FHIR id
        patient: String,
        /// Wait so many seconds for the full record when it is not here
        #[arg(long, value_name = "SECONDS", default_value_t = 3)]
        wait: u64,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// The images of a patient: studies and series
    Images {
        /// MRN or FHIR id
        patient: String,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// Fetch a series whole, check every frame, and say how long it took
    ImagePull {
        /// MRN or FHIR id
        patient: String,
        /// Series Instance UID
        series: String,
        /// Longest side of the place on a screen, pixels: how far the first frame is fetched before the others
        #[arg(long, value_name = "PX", default_value_t = 1_024)]
        px: u32,
        /// Give up after so many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        timeout: u64,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// Break the glass: the emergency card, with or without a server
    Emergency {
        /// MRN or FHIR id
        patient: String,
        /// life-threatening, cannot-consent, covering, mass-casualty, other; or a digit 1 to 5
        #[arg(long, value_name = "CODE")]
        reason: String,
        /// Words; needed for "other"
        #[arg(long, value_name = "TEXT")]
        words: Option<String>,
        /// Sign-in name
        #[arg(long, value_name = "NAME")]
        user: String,
        /// With an emergency account: your name and where you are from
        #[arg(long, value_name = "TEXT")]
        declared: Option<String>,
        /// How the PIN is given
        #[command(flatten)]
        secret: Secret,
    },
    /// State of this workstation
    Status,
    /// The audit log of this workstation
    Audit {
        /// What to do with it
        #[command(subcommand)]
        act: AuditAct,
    },
    /// What is stored on this workstation
    Cache {
        /// What to do with it
        #[command(subcommand)]
        act: CacheAct,
    },
    /// Could this workstation open its essentials and write its audit log right now?
    Selftest,
    /// Time the emergency card and the search on this workstation's own data
    #[command(hide = true)]
    Bench {
        /// Sign-in name
        #[arg(long, value_name = "NAME")]
        user: String,
        /// How the PIN is given
        #[command(flatten)]
        secret: Secret,
        /// How many of each
        #[arg(long, default_value_t = 1_000)]
        n: u32,
        /// What to search for; the patients found are opened in turn
        #[arg(long, default_value = "a")]
        query: Vec<String>,
    },
}

/// What can be recorded.
#[derive(Debug, Subcommand)]
pub enum Recorded {
    /// Vital signs measured at one time
    Vitals {
        /// MRN or FHIR id
        patient: String,
        /// respiration, saturation, oxygen (0 is room air), pulse, systolic, diastolic, temperature, awareness (alert, confused,
        /// voice, pain, unresponsive), coma, pain; e.g. pulse=88
        #[arg(value_name = "SIGN=VALUE", required = true)]
        readings: Vec<String>,
        /// Measured so many minutes ago
        #[arg(long, value_name = "MINUTES", default_value_t = 0)]
        minutes_ago: u32,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// Vital signs of the record, measured at one time, are wrong
    VitalsError {
        /// MRN or FHIR id
        patient: String,
        /// A value, as `chart --json` has it in the flowsheet: its `source` (may be repeated)
        #[arg(long = "value", value_name = "SOURCE", required = true)]
        values: Vec<String>,
        /// other-patient, typed, artefact, other
        #[arg(long, value_name = "CODE")]
        why: String,
        /// More about that; needed with `other`
        #[arg(long, value_name = "TEXT", default_value = "")]
        words: String,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// An allergy or intolerance
    Allergy {
        /// MRN or FHIR id
        patient: String,
        /// Against what
        agent: String,
        /// What happened
        #[arg(long, value_name = "TEXT")]
        reaction: Option<String>,
        /// mild, moderate, severe, life-threatening
        #[arg(long, value_name = "CODE")]
        severity: Option<String>,
        /// Seen or tested, not only reported
        #[arg(long)]
        confirmed: bool,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// An allergy of the record stands differently, or what two changes contradict each other in is decided
    AllergyChange {
        /// MRN or FHIR id
        patient: String,
        /// The allergy, as `chart --json` has it: AllergyIntolerance/…
        allergy: String,
        /// confirmed, unconfirmed, refuted, resolved, entered-in-error
        #[arg(long, value_name = "CODE")]
        standing: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        because: String,
        /// What happened beyond what is recorded
        #[arg(long, value_name = "TEXT", default_value = "")]
        reaction: String,
        /// mild, moderate, severe, life-threatening
        #[arg(long, value_name = "CODE", default_value = "")]
        severity: String,
        /// The contradiction that this decides, as `chart --json` has it: Task/…
        #[arg(long, value_name = "TASK", default_value = "")]
        settles: String,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// The patient or somebody who speaks for them was asked: no known allergies
    NoneKnown {
        /// MRN or FHIR id
        patient: String,
        /// They were asked about medicines, food, latex, contrast and anything else
        #[arg(long)]
        asked: bool,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// A note
    Note {
        /// MRN or FHIR id
        patient: String,
        /// The text
        text: String,
        /// progress, nursing, emergency, handover
        #[arg(long, value_name = "CODE", default_value = "progress")]
        kind: String,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
    /// What is done about a critical result of this workstation's ward
    Result {
        /// The result, as `results` prints it: Observation/…
        result: String,
        /// acting, passed-on, questioned
        #[arg(long, value_name = "CODE")]
        answer: String,
        /// What is done; to whom it is passed on; what is wrong
        #[arg(long, value_name = "TEXT", default_value = "")]
        words: String,
        /// What was read back to the laboratory, where it called
        #[arg(long, value_name = "TEXT", default_value = "")]
        read_back: String,
        /// Who asks
        #[command(flatten)]
        who: Who,
    },
}

/// Acts on what is stored here.
#[derive(Debug, Subcommand)]
pub enum CacheAct {
    /// Check everything to the last byte, and whether the glass could be broken; the window fetches anew what its own check finds
    Verify,
    /// Make the emergency cards, boards and the staff list anew from the server, where damage keeps them from being written.
    /// Close the program first; what is here stays until everything has come
    Renew {
        /// Seconds to wait for the server
        #[arg(long, value_name = "S", default_value_t = 600)]
        timeout: u64,
    },
}

/// Acts on the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditAct {
    /// Rows in order
    List {
        /// Begin after this row
        #[arg(long, value_name = "N", default_value_t = 0)]
        after: u64,
        /// At most so many rows
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        limit: usize,
    },
    /// Check the chain and name the first bad row
    Verify,
}
