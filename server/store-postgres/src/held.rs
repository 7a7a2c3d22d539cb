//! The quarantine as it is worked off.
//!
//! Never here: putting into it (`acts`). Called by the server's imaging through `vitrine_store::held`, and by `acts` for
//! what is written.

use crate::PostgresStore;
use crate::acts::{About, Act, json};
use crate::group::Group;
use crate::sql::{Fault, all, col, int, one, parsed, run, uint};
use crate::vault::{Place, Vault};
use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::Row;
use vitrine_access::action::ImportData;
use vitrine_access::{Disclosure, Permit};
use vitrine_clinical::UtcMs;
use vitrine_store::held::{Held, HeldChange, HeldItem, HeldPage};
use vitrine_store::{QuarantineRow, StoreError};

const READING: &str = "reading the quarantine";
const CHANGING: &str = "changing the quarantine";

fn about(vault: &Vault, sealed: &[u8], doing: &'static str) -> Result<About, StoreError> {
    let about = vault.get(Place::Quarantine, sealed)?;
    Ok(parsed(serde_json::from_slice(&about), doing)?)
}

/// What a row says of an item; its columns are `id, at, bytes, about`.
pub(crate) fn listed(vault: &Vault, row: &Row, doing: &'static str) -> Result<QuarantineRow, StoreError> {
    let about = about(vault, col(row, 3, doing)?, doing)?;
    Ok(QuarantineRow {
        id: uint(col(row, 0, doing)?),
        at: UtcMs(col(row, 1, doing)?),
        location: about.location,
        kind: about.kind,
        reason: about.reason,
        expression: about.expression,
        bytes: uint(col(row, 2, doing)?),
    })
}

fn body(vault: &Vault, sealed: Option<&[u8]>) -> Result<Bytes, StoreError> {
    let body = sealed.map(|s| vault.get(Place::Quarantine, s)).transpose()?;
    Ok(body.map(Bytes::from).unwrap_or_default())
}

impl Group<'_> {
    /// Changes an item; whether it is there.
    pub(crate) async fn change_held(&self, id: u64, change: &HeldChange) -> Result<bool, Fault> {
        let id = int(id);
        let done = match change {
            HeldChange::Leaves => {
                run(self.tx, CHANGING, "DELETE FROM quarantine WHERE id = $1", &[&id]).await?
            }
            HeldChange::Stays { reason, body } => {
                let sql = "SELECT about FROM quarantine WHERE id = $1 FOR UPDATE";
                let Some(row) = one(self.tx, CHANGING, sql, &[&id]).await? else {
                    return Ok(false);
                };
                let about = About {
                    reason: reason.clone(),
                    ..about(self.vault, col(&row, 0, CHANGING)?, CHANGING)?
                };
                let about = self.vault.put(Place::Quarantine, json(&about)?.as_bytes())?;
                let sealed = self.vault.put(Place::Quarantine, body)?;
                let bytes = int(body.len() as u64);
                let sql = "UPDATE quarantine SET bytes = $2, about = $3, body = $4 WHERE id = $1";
                run(self.tx, CHANGING, sql, &[&id, &bytes, &about, &sealed]).await?
            }
        };
        Ok(done > 0)
    }
}

#[async_trait]
impl Held for PostgresStore {
    async fn held(&self, kind: &str, after: u64, limit: usize) -> Result<HeldPage, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let client = self.reader().await?;
        // The kind is sealed: bodies are read of those alone that are of it.
        let sql = "SELECT id, at, bytes, about FROM quarantine WHERE id > $1 ORDER BY id LIMIT $2";
        let rows = all(&client, READING, sql, &[&int(after), &most]).await?;
        let mut page = HeldPage {
            last: after,
            more: rows.len() == limit,
            ..HeldPage::default()
        };
        for row in &rows {
            let row = listed(self.vault(), row, READING)?;
            page.last = row.id;
            if row.kind.as_deref() == Some(kind) {
                let body = Bytes::new();
                page.items.push(HeldItem { row, body });
            }
        }
        let ids: Vec<i64> = page.items.iter().map(|i| int(i.row.id)).collect();
        let sql = "SELECT id, body FROM quarantine WHERE id = ANY($1) ORDER BY id";
        let rows = all(&client, READING, sql, &[&ids]).await?;
        for row in &rows {
            let id = uint(col(row, 0, READING)?);
            if let Some(item) = page.items.iter_mut().find(|i| i.row.id == id) {
                item.body = body(self.vault(), col(row, 1, READING)?)?;
            }
        }
        Ok(page)
    }

    async fn held_item(&self, id: u64) -> Result<Option<HeldItem>, StoreError> {
        let sql = "SELECT id, at, bytes, about, body FROM quarantine WHERE id = $1";
        let found = one(&self.reader().await?, READING, sql, &[&int(id)]).await?;
        let item = |row: &Row| -> Result<HeldItem, StoreError> {
            Ok(HeldItem {
                row: listed(self.vault(), row, READING)?,
                body: body(self.vault(), col(row, 4, READING)?)?,
            })
        };
        found.as_ref().map(item).transpose()
    }

    async fn change_held(
        &self,
        permit: &Permit<ImportData>,
        id: u64,
        change: HeldChange,
    ) -> Result<bool, StoreError> {
        let entry = permit.entry(Disclosure::default());
        let acted = self.act(Act::ChangeHeld(id, change), Some(entry)).await?;
        Ok(acted.receipt.is_some())
    }
}
