//! The command line of `vitrine-server`.
//!
//! Lives here: the commands and their options, how an outcome is printed, how a process ends. Never here: what a
//! command does (`acts`, `serve`, `demo`, `import`). Called by `main`.
//! A command prints one JSON object on stdout with `--json`, words without it; logs go to stderr.

pub mod acts;
pub mod admin;
mod archive;
mod audit;
mod clients;
mod copies;
mod demo;
mod demo_images;
mod images;
mod import;
mod messages;
mod reviews;
mod serve;
mod show;
mod totp;
pub mod users;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::error::{Exit, Fault};
use crate::lanes::workers::Rank;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde_json::Value;
use std::path::PathBuf;

/// The companion server of Vitrine.
#[derive(Debug, Parser)]
#[command(
    name = "vitrine-server",
    version,
    about = "The companion server of Vitrine",
    disable_help_subcommand = false
)]
struct Cli {
    /// Print one JSON object on stdout.
    #[arg(long, global = true)]
    json: bool,
    /// Configuration file (default: vitrine.toml in the data folder, when it is there).
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// PostgreSQL in place of the embedded store (also VITRINE_DATABASE_URL or database.url in the configuration).
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

/// Where the data lie.
#[derive(Debug, Clone, Args)]
pub struct Data {
    /// Data folder.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Seed the synthetic hospital (again changes nothing) and print its staff.
    Demo(demo::DemoArgs),
    /// Bring in FHIR, HL7 v2 and DICOM files or folders.
    Import(import::ImportArgs),
    /// Add, list or disable people.
    #[command(subcommand)]
    User(UserCommand),
    /// Accounts for sealed envelopes: emergency cards for whoever nobody here knows, while nobody answers.
    #[command(subcommand)]
    EmergencyAccount(EmergencyAccountCommand),
    /// Second factors of local accounts: enrol, confirm, take away, list.
    #[command(subcommand)]
    Totp(totp::TotpCommand),
    /// Add, list, change or remove programs that may use the API.
    #[command(subcommand)]
    Client(clients::ClientCommand),
    /// Make a one-time code for a new workstation.
    Enrol {
        #[command(flatten)]
        data: Data,
        /// Ward the workstation stands in.
        #[arg(long)]
        ward: String,
        /// It may hold the essentials of the whole site.
        #[arg(long, conflicts_with = "ward_only")]
        site: bool,
        /// It holds its own ward alone (the default).
        #[arg(long)]
        ward_only: bool,
    },
    /// List or revoke workstations.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Verify, export or search the audit log; account for disclosures; name what is unusual.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// List what an import could not take.
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// HL7 v2 messages: what became of each, and working off what is held.
    #[command(subcommand)]
    Message(messages::MessageCommand),
    /// Work off images that could not be filed; have images looked at again; how their copies stand.
    #[command(subcommand)]
    Images(images::ImagesCommand),
    /// Legal hold, and the destruction of a patient's record.
    #[command(subcommand)]
    Archive(archive::ArchiveCommand),
    /// Review who broke the glass: list, show, decide, explain, count.
    #[command(subcommand)]
    Review(reviews::ReviewCommand),
    /// Copy everything into one encrypted file.
    Backup(copies::BackupArgs),
    /// Put a backup back; workstations then fetch everything anew.
    Restore(copies::RestoreArgs),
    /// Check that a backup is whole and opens.
    VerifyBackup(copies::VerifyArgs),
    /// Bring the database to this program's version, or move an embedded store into PostgreSQL.
    Migrate(copies::MigrateArgs),
    /// Check everything and report.
    Doctor(Data),
    /// Let the running server leave the cluster: no new work, workstations handed over, work under way finished.
    Drain {
        #[command(flatten)]
        data: Data,
        /// Seconds between `/readyz` saying 503 and the hand-over (at most 5).
        #[arg(long, default_value_t = 2, value_name = "SECONDS")]
        notice: u64,
        /// Take work again.
        #[arg(long)]
        undo: bool,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add a person; password and PIN are printed once unless given on stdin.
    Add {
        /// Sign-in name.
        name: String,
        #[command(flatten)]
        data: Data,
        /// Role: nurse, physician, charge-nurse, privacy-officer, clinical-it or integrator.
        #[arg(long)]
        role: String,
        /// Ward; give it again for further wards.
        #[arg(long)]
        ward: Vec<String>,
        /// Name as shown (default: the sign-in name).
        #[arg(long)]
        display: Option<String>,
        /// Read the password from the first line of stdin, a PIN from the second.
        #[arg(long)]
        secret_stdin: bool,
    },
    /// List people.
    List(Data),
    /// Disable a person; sessions end and workstations learn of it.
    Disable {
        /// Sign-in name.
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// Let a disabled person in again, with a new password and PIN; printed once unless given on stdin.
    Enable {
        /// Sign-in name.
        name: String,
        #[command(flatten)]
        data: Data,
        /// Read the password from the first line of stdin, the PIN from the second.
        #[arg(long)]
        secret_stdin: bool,
    },
    /// Give a person a new password and PIN, printed once unless given on stdin: forgotten, or known to somebody else. Sessions end,
    /// and workstations let go of what the old ones opened.
    Secret {
        /// Sign-in name.
        name: String,
        #[command(flatten)]
        data: Data,
        /// Only this one; the other stays.
        #[arg(long, value_enum)]
        only: Option<users::Which>,
        /// Read the password from the first line of stdin, the PIN from the second; with --only, that one from the first.
        #[arg(long)]
        secret_stdin: bool,
    },
    /// Badges that pick a person at a workstation; their PIN opens.
    #[command(subcommand)]
    Badge(BadgeCommand),
    /// Let go of a person's identity at the provider: sessions by it end, and the next sign-in there binds anew.
    Unbind {
        /// Sign-in name.
        name: String,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Debug, Subcommand)]
enum EmergencyAccountCommand {
    /// Make some; their codes are printed once, for the envelopes.
    Make {
        #[command(flatten)]
        data: Data,
        /// How many.
        #[arg(long, default_value_t = 10)]
        count: u32,
    },
    /// List them: sealed, opened by whom and where, withdrawn.
    List(Data),
    /// Take one back, or with --all every sealed one; workstations learn of it.
    Withdraw {
        /// Its name, as `list` shows it.
        #[arg(required_unless_present = "all")]
        name: Option<String>,
        #[command(flatten)]
        data: Data,
        /// Every sealed one: envelopes were lost.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
enum BadgeCommand {
    /// Give a person a badge; its number is read from stdin, as a reader types it.
    Add {
        /// Sign-in name.
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// Take a badge away, by its number from stdin; workstations learn of it.
    Remove {
        /// Sign-in name.
        name: String,
        #[command(flatten)]
        data: Data,
        /// All of theirs: one was lost, and nobody knows its number.
        #[arg(long)]
        all: bool,
    },
    /// List who has how many.
    List(Data),
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// List workstations.
    List(Data),
    /// Revoke a workstation: it is ordered to destroy its keys.
    Revoke {
        /// Device id.
        id: String,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Debug, Subcommand)]
enum QuarantineCommand {
    /// List items with place and reason, newest first.
    List {
        #[command(flatten)]
        data: Data,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
}

/// What a command gives: its exit code, its JSON object, its words.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How the process ends.
    pub exit: Exit,
    /// For `--json`.
    pub json: Value,
    /// For people.
    pub words: String,
}

impl Outcome {
    /// Everything was done.
    #[must_use]
    pub fn done(json: Value, words: impl Into<String>) -> Self {
        Self {
            exit: Exit::Done,
            json,
            words: words.into(),
        }
    }
}

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// Print JSON.
    pub json: bool,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--database-url`.
    pub database_url: Option<String>,
}

impl Context {
    /// The configuration for a data folder.
    ///
    /// # Errors
    /// [`Fault`] naming file, key and fix.
    pub fn config(&self, dir: &DataDir) -> Result<Config, Fault> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None if dir.config().exists() => Config::read(&dir.config())?,
            None => Config::default(),
        };
        let url = self.database_url.clone();
        if let Some(url) = url.or_else(|| std::env::var("VITRINE_DATABASE_URL").ok()) {
            config.database.url = url;
        }
        Ok(config)
    }
}

/// Runs the program and gives its exit code.
#[must_use]
pub fn run(args: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    let args: Vec<std::ffi::OsString> = args.into_iter().collect();
    let wants_json = args.iter().any(|a| a == "--json");
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            print!("{e}");
            return 0;
        }
        Err(e) => return finish(wants_json, Err(Fault::usage(sentence(&e, &args)))),
    };
    let context = Context {
        json: cli.json,
        config: cli.config,
        database_url: cli.database_url,
    };
    let serves = matches!(cli.command, Command::Serve { .. });
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    if serves {
        threads.on_thread_start(|| Rank::Line.take());
    }
    let outcome = match threads.enable_all().build() {
        Ok(runtime) => runtime.block_on(command(&context, cli.command)),
        Err(e) => Err(Fault::failed(format!(
            "the program could not start its threads: {e}"
        ))),
    };
    finish(cli.json, outcome)
}

/// One sentence from a parser's error: what is wrong and how it is called.
fn sentence(e: &clap::Error, args: &[std::ffi::OsString]) -> String {
    let rendered = e.to_string();
    let mut what = String::new();
    for line in rendered.lines() {
        let line = line.trim();
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        if e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            what = "a command is missing".to_owned();
            break;
        }
        if !line.is_empty() {
            what.push_str(if what.is_empty() { "" } else { " " });
            what.push_str(line.trim_start_matches("error: "));
        }
    }
    let mut command = Cli::command();
    let mut path = vec!["vitrine-server".to_owned()];
    for arg in args.iter().skip(1).filter_map(|a| a.to_str()) {
        let next = command.find_subcommand(arg).cloned();
        let Some(next) = next else { continue };
        path.push(arg.to_owned());
        command = next;
    }
    let names: Vec<&str> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .filter(|n| *n != "help")
        .collect();
    let fix = if names.is_empty() {
        format!("'{} --help' shows how it is called", path.join(" "))
    } else {
        format!(
            "choose one of {}; '{} --help' shows more",
            names.join(", "),
            path.join(" ")
        )
    };
    format!("{}: {fix}", what.trim_end_matches('.'))
}

fn finish(json: bool, outcome: Result<Outcome, Fault>) -> u8 {
    use std::io::Write as _;
    // A closed pipe at the reader's end is no reason to fail or to panic.
    let mut out = std::io::stdout().lock();
    match outcome {
        Ok(o) => {
            let _ = if json {
                writeln!(out, "{}", o.json)
            } else {
                writeln!(out, "{}", o.words.trim_end())
            };
            o.exit as u8
        }
        Err(fault) => {
            if json {
                let _ = writeln!(
                    out,
                    "{}",
                    serde_json::json!({"error": fault.text, "exit": fault.exit as u8})
                );
            }
            eprintln!("vitrine-server: {}", fault.text);
            fault.exit as u8
        }
    }
}

async fn command(context: &Context, command: Command) -> Result<Outcome, Fault> {
    use crate::ops::emergency_accounts::Asked as Envelopes;
    use acts::Act;
    match command {
        Command::Serve(args) => serve::serve(context, args).await,
        Command::Demo(args) => demo::demo(context, args).await,
        Command::Import(args) => import::import(context, args).await,
        Command::User(UserCommand::Add {
            name,
            data,
            role,
            ward,
            display,
            secret_stdin,
        }) => {
            let (password, pin) = if secret_stdin {
                users::secrets_from_stdin()?
            } else {
                (None, None)
            };
            admin::act(
                context,
                &data,
                Act::UserAdd {
                    name,
                    role,
                    wards: ward,
                    display,
                    password,
                    pin,
                },
            )
            .await
        }
        Command::User(UserCommand::List(data)) => admin::act(context, &data, Act::UserList).await,
        Command::User(UserCommand::Disable { name, data }) => {
            admin::act(context, &data, Act::UserDisable { name }).await
        }
        Command::User(UserCommand::Enable {
            name,
            data,
            secret_stdin,
        }) => {
            let asked = users::NewSecrets::read(name, None, true, secret_stdin)?;
            admin::act(context, &data, Act::UserSecrets(asked)).await
        }
        Command::User(UserCommand::Secret {
            name,
            data,
            only,
            secret_stdin,
        }) => {
            let asked = users::NewSecrets::read(name, only, false, secret_stdin)?;
            admin::act(context, &data, Act::UserSecrets(asked)).await
        }
        Command::User(UserCommand::Badge(BadgeCommand::List(data))) => {
            admin::act(context, &data, Act::UserList).await
        }
        Command::User(UserCommand::Badge(BadgeCommand::Remove {
            name,
            data,
            all: true,
        })) => admin::act(context, &data, Act::BadgesGone { name }).await,
        Command::User(UserCommand::Badge(BadgeCommand::Add { name, data })) => {
            let number = acts::badge_from_stdin()?;
            admin::act(
                context,
                &data,
                Act::Badge {
                    name,
                    number,
                    add: true,
                },
            )
            .await
        }
        Command::User(UserCommand::Badge(BadgeCommand::Remove {
            name,
            data,
            all: false,
        })) => {
            let number = acts::badge_from_stdin()?;
            admin::act(
                context,
                &data,
                Act::Badge {
                    name,
                    number,
                    add: false,
                },
            )
            .await
        }
        Command::User(UserCommand::Unbind { name, data }) => {
            admin::act(context, &data, Act::UserUnbind { name }).await
        }
        Command::EmergencyAccount(command) => {
            let (data, asked) = match command {
                EmergencyAccountCommand::Make { data, count } => (data, Envelopes::Make { count }),
                EmergencyAccountCommand::List(data) => (data, Envelopes::List),
                EmergencyAccountCommand::Withdraw { name, data, .. } => (data, Envelopes::Withdraw { name }),
            };
            admin::act(context, &data, Act::EmergencyAccount(asked)).await
        }
        Command::Totp(command) => totp::totp(context, command).await,
        Command::Message(command) => messages::message(context, command).await,
        Command::Client(command) => clients::client(context, command).await,
        Command::Enrol {
            data,
            ward,
            site,
            ward_only: _,
        } => admin::act(context, &data, Act::Enrol { ward, site }).await,
        Command::Device(DeviceCommand::List(data)) => admin::act(context, &data, Act::DeviceList).await,
        Command::Device(DeviceCommand::Revoke { id, data }) => {
            admin::act(context, &data, Act::DeviceRevoke { id }).await
        }
        Command::Audit(command) => audit::audit(context, command).await,
        Command::Quarantine(QuarantineCommand::List { data, limit }) => {
            admin::act(context, &data, Act::QuarantineList { limit }).await
        }
        Command::Images(command) => images::images(context, command).await,
        Command::Archive(command) => archive::archive(context, command).await,
        Command::Review(command) => reviews::review(context, command).await,
        Command::Backup(args) => copies::backup(context, args).await,
        Command::Restore(args) => copies::restore(context, args).await,
        Command::VerifyBackup(args) => copies::verify(context, args).await,
        Command::Migrate(args) => copies::migrate(context, args).await,
        Command::Doctor(data) => admin::act(context, &data, Act::Doctor).await,
        Command::Drain { data, notice, undo } => {
            let act = Act::Drain {
                notice_s: notice,
                undo,
            };
            admin::act(context, &data, act).await
        }
    }
}
