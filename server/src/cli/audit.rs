//! `audit …`: the audit log; the work is in `ops::audit` and `ops::look`.

use super::acts::Act;
use super::{Context, Data, Outcome, admin};
use crate::error::Fault;
use crate::ops::forms::Form;
use crate::ops::look::Asked;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check every chain and the log over them; names the first bad row.
    Verify {
        #[command(flatten)]
        data: Data,
        /// What a witness wrote down: every checkpoint in it is compared.
        #[arg(long, value_name = "FILE")]
        witness: Option<PathBuf>,
        /// The code of a checkpoint, as `audit checkpoint` printed it.
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
    },
    /// Take every row into the log and print its signed checkpoint and its code, to be kept on paper.
    Checkpoint(Data),
    /// Make the index by which rows are found anew from the rows. Until it is whole nothing is found, and that is said.
    Reindex(Data),
    /// Prove that a row is in the log's newest checkpoint.
    Prove {
        #[command(flatten)]
        data: Data,
        /// Chain: server, or a device id.
        #[arg(long, default_value = "server")]
        chain: String,
        /// Number of the row.
        #[arg(long)]
        seq: u64,
    },
    /// Write the rows as NDJSON.
    Export {
        #[command(flatten)]
        data: Data,
        /// Chain: server, or a device id.
        #[arg(long, default_value = "server")]
        chain: String,
        /// File to write.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Find rows of all chains, newest first; without --from those of the last seven days.
    Find {
        #[command(flatten)]
        data: Data,
        /// Rows that name this patient.
        #[arg(long, value_name = "ID")]
        patient: Option<String>,
        /// Rows of whoever acts under this name: a person, a program, an operator, a workstation.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Rows of acts at this workstation.
        #[arg(long, value_name = "ID")]
        device: Option<String>,
        /// Rows of this act, e.g. read-chart.
        #[arg(long, value_name = "ACT")]
        action: Option<String>,
        /// Not before: a day (its beginning, UTC) or an instant.
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Before: a day (its beginning, UTC) or an instant.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Rows at once, 1 to 1000.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Go on at the `next` of an answer.
        #[arg(long, value_name = "PLACE")]
        before: Option<String>,
        /// json: ours; balp: FHIR AuditEvents (IHE BALP); atna: audit messages of DICOM in syslog (ITI-20).
        #[arg(long, value_enum, default_value_t)]
        format: Form,
    },
    /// Account for the disclosures of one patient (45 CFR 164.528).
    Disclosures {
        #[command(flatten)]
        data: Data,
        /// The patient.
        #[arg(long, value_name = "ID")]
        patient: String,
        /// Not before: a day (its beginning, UTC) or an instant.
        #[arg(long, value_name = "TIME")]
        from: String,
        /// Before: a day (its beginning, UTC) or an instant.
        #[arg(long, value_name = "TIME")]
        until: String,
        /// File to write: CSV when its name ends so, else JSON.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Name accesses that are unusual and why; the thresholds are in the configuration.
    Anomalies {
        #[command(flatten)]
        data: Data,
        /// Not before: a day (its beginning, UTC) or an instant.
        #[arg(long, value_name = "TIME")]
        from: String,
        /// Before: a day (its beginning, UTC) or an instant.
        #[arg(long, value_name = "TIME")]
        until: String,
    },
}

pub(super) async fn audit(context: &Context, command: AuditCommand) -> Result<Outcome, Fault> {
    let absolute = |p: PathBuf| std::path::absolute(&p).map_err(|e| Fault::io("cannot use", &p, &e));
    let (data, act) = match command {
        AuditCommand::Verify { data, witness, code } => {
            let witness = witness.map(absolute).transpose()?;
            (data, Act::AuditVerify { witness, code })
        }
        AuditCommand::Checkpoint(data) => (data, Act::AuditCheckpoint),
        AuditCommand::Reindex(data) => (data, Act::AuditReindex),
        AuditCommand::Prove { data, chain, seq } => (data, Act::AuditProve { chain, seq }),
        AuditCommand::Export { data, chain, to } => {
            let to = absolute(to)?;
            (data, Act::AuditExport { chain, to })
        }
        AuditCommand::Find {
            data,
            patient,
            user,
            device,
            action,
            from,
            until,
            limit,
            before,
            format,
        } => {
            let asked = Asked::Find {
                patient,
                user,
                device,
                action,
                from,
                until,
                before,
                limit,
                format,
            };
            (data, Act::Look(asked))
        }
        AuditCommand::Disclosures {
            data,
            patient,
            from,
            until,
            out,
        } => {
            let out = out.map(absolute).transpose()?;
            let asked = Asked::Disclosures {
                patient,
                from,
                until,
                out,
            };
            (data, Act::Look(asked))
        }
        AuditCommand::Anomalies { data, from, until } => (data, Act::Look(Asked::Anomalies { from, until })),
    };
    admin::act(context, &data, act).await
}
