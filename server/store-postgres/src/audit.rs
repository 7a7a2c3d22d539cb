//! The audit chains of the writing servers and of the devices.

use crate::PostgresStore;
use crate::acts::Act;
use crate::lane::{Done, Job};
use crate::sql::{Fault, all, col, hash32, int, one, uint};
use crate::vault::{Place, Vault};
use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use vitrine_access::action::ReadAudit;
use vitrine_access::chain::{GENESIS, Head, Row, Verifier};
use vitrine_access::{AuditEntry, Permit, Receipt};
use vitrine_clinical::DeviceId;
use vitrine_store::{AuditChainRow, AuditLog, StoreError};

const READING: &str = "reading the audit chain";
const VERIFYING: &str = "verifying the audit chain";
/// Rows verified at a time.
const STRETCH: usize = 5_000;

/// What [`PostgresStore::verify_audit`] checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Chains of servers, with their heads.
    pub servers: Vec<(String, Head)>,
    /// Chains of devices, with their heads.
    pub devices: Vec<(String, Head)>,
}

fn chain_of(device: Option<&str>) -> (&'static str, &'static str) {
    match device {
        None => (
            "SELECT seq, hash, body FROM audit WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            "SELECT hash FROM audit WHERE chain = $1 AND seq = $2",
        ),
        Some(_) => (
            "SELECT seq, hash, body FROM device_audit WHERE device = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            "SELECT hash FROM device_audit WHERE device = $1 AND seq = $2",
        ),
    }
}

/// Rows of a chain after a number. The hash of the row before is not stored twice: it is the row before. A body that
/// does not open reads as empty, so that a verifier names the row.
pub(crate) async fn chain_rows<C: GenericClient>(
    c: &C,
    vault: &Vault,
    chain: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<Row>, Fault> {
    let device = (!is_server(c, chain).await?).then_some(chain);
    let (rows, hash) = chain_of(device);
    let mut prev = GENESIS;
    if after > 0
        && let Some(r) = one(c, READING, hash, &[&chain, &int(after)]).await?
    {
        prev = hash32(col(&r, 0, READING)?);
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut out = Vec::new();
    for r in all(c, READING, rows, &[&chain, &int(after), &limit]).await? {
        let seq = uint(col(&r, 0, READING)?);
        let body = vault
            .get(Place::Audit(chain, seq), col(&r, 2, READING)?)
            .ok()
            .and_then(|b| String::from_utf8(b).ok());
        let row = Row {
            seq,
            prev,
            hash: hash32(col(&r, 1, READING)?),
            body: body.unwrap_or_default(),
        };
        prev = row.hash;
        out.push(row);
    }
    Ok(out)
}

async fn is_server<C: GenericClient>(c: &C, chain: &str) -> Result<bool, Fault> {
    if chain == "server" {
        return Ok(true);
    }
    let sql = "SELECT 1 FROM audit_head WHERE chain = $1";
    Ok(one(c, READING, sql, &[&chain]).await?.is_some())
}

async fn heads_of<C: GenericClient>(c: &C, sql: &str) -> Result<Vec<(String, Head)>, Fault> {
    let mut out = Vec::new();
    for r in all(c, READING, sql, &[]).await? {
        let head = Head {
            seq: uint(col(&r, 1, READING)?),
            hash: hash32(col(&r, 2, READING)?),
        };
        out.push((col(&r, 0, READING)?, head));
    }
    Ok(out)
}

const SERVERS: &str = "SELECT chain, seq, hash FROM audit_head ORDER BY chain <> 'server', chain";
const DEVICES: &str = "SELECT id, audit_seq, audit_hash FROM device WHERE audit_seq > 0 ORDER BY id";

async fn verify<C: GenericClient>(c: &C, vault: &Vault, chain: &str, head: Head) -> Result<(), StoreError> {
    let mut verifier = Verifier::new(Some(head));
    let mut after = 0;
    loop {
        let rows = chain_rows(c, vault, chain, after, STRETCH).await?;
        let Some(last) = rows.last() else { break };
        after = last.seq;
        for row in &rows {
            verifier
                .push(row)
                .map_err(|e| named(chain, &e.to_string(), StoreError::Chain(e)))?;
        }
    }
    match verifier.finish() {
        Ok(_) => Ok(()),
        Err(e) => Err(named(chain, &e.to_string(), StoreError::Chain(e))),
    }
}

/// A fault of this server's own chain is typed; one of another says whose it is.
fn named(chain: &str, text: &str, typed: StoreError) -> StoreError {
    if chain == "server" {
        typed
    } else {
        StoreError::Refused(format!("audit chain of {chain}: {text}"))
    }
}

impl PostgresStore {
    /// Checks every row of every server's and every device's chain against its head.
    ///
    /// # Errors
    /// [`StoreError::Chain`] with the first bad row of the chain `server`, [`StoreError::Refused`] naming the chain and
    /// the row for another.
    pub async fn verify_audit(&self) -> Result<AuditReport, StoreError> {
        let mut client = self.reader().await?;
        let tx = client
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(|e| StoreError::Backend {
                doing: VERIFYING,
                cause: e.to_string(),
            })?;
        let report = AuditReport {
            servers: heads_of(&tx, SERVERS).await?,
            devices: heads_of(&tx, DEVICES).await?,
        };
        for (chain, head) in report.servers.iter().chain(&report.devices) {
            verify(&tx, self.vault(), chain, *head).await?;
        }
        Ok(report)
    }
}

#[async_trait]
impl AuditLog for PostgresStore {
    async fn append(&self, entry: AuditEntry) -> Result<Receipt, StoreError> {
        if let Some(spool) = self.spool() {
            return spool.append(entry).await;
        }
        match self.lane().run(Job::Append(Box::new(entry))).await? {
            Done::Receipt(receipt) => Ok(receipt),
            _ => Err(StoreError::Closed),
        }
    }

    async fn accept_device_rows(&self, device: &DeviceId, rows: Vec<Row>) -> Result<u64, StoreError> {
        let acted = self.act(Act::DeviceRows(device.clone(), rows), None).await?;
        Ok(acted.seq)
    }

    async fn rows(
        &self,
        _permit: &Permit<ReadAudit>,
        chain: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditChainRow>, StoreError> {
        let rows = chain_rows(&self.reader().await?, self.vault(), chain, after, limit).await?;
        Ok(rows
            .into_iter()
            .map(|row| AuditChainRow {
                chain: chain.to_owned(),
                row,
            })
            .collect())
    }

    async fn find(
        &self,
        _permit: &Permit<ReadAudit>,
        query: vitrine_store::audit_find::AuditQuery,
    ) -> Result<vitrine_store::audit_find::AuditFound, StoreError> {
        self.find_rows(query).await
    }

    async fn heads(&self) -> Result<Vec<(String, Head)>, StoreError> {
        let client = self.reader().await?;
        let mut heads = heads_of(&client, SERVERS).await?;
        if !heads.iter().any(|(chain, _)| chain == "server") {
            heads.insert(0, ("server".to_owned(), Head::EMPTY));
        }
        heads.extend(heads_of(&client, DEVICES).await?);
        Ok(heads)
    }
}
