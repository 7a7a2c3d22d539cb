//! Sealing old bodies with the newest data key, while the server works.
//!
//! Called by `PostgresStore::reseal`. Audit rows keep the key they were written under: they are never changed.

use crate::PostgresStore;
use crate::sql::{During, Fault, all, col, run};
use crate::vault::{Place, Vault, key_of, referenced};
use deadpool_postgres::Object;
use vitrine_store::StoreError;

const DOING: &str = "sealing bodies with the newest key";
/// Rows looked at in one transaction.
const STRETCH: i64 = 500;

/// A table whose bodies can be sealed again: name, its number, the column of the body, what a body is bound to.
struct Table {
    name: &'static str,
    number: &'static str,
    body: &'static str,
    place: fn(i64) -> Place<'static>,
}

const TABLES: &[Table] = &[
    Table {
        name: "resource",
        number: "rid",
        body: "body",
        place: Place::Resource,
    },
    Table {
        name: "fact",
        number: "rid",
        body: "body",
        place: Place::Fact,
    },
    Table {
        name: "card",
        number: "pid",
        body: "body",
        place: Place::Card,
    },
    Table {
        name: "board",
        number: "pid",
        body: "body",
        place: Place::Board,
    },
    Table {
        name: "imaging_study",
        number: "no",
        body: "body",
        place: Place::Study,
    },
    Table {
        name: "imaging_series",
        number: "no",
        body: "body",
        place: Place::Series,
    },
    Table {
        name: "imaging_instance",
        number: "no",
        body: "body",
        place: Place::Instance,
    },
    Table {
        name: "imaging_pack",
        number: "no",
        body: "body",
        place: Place::Pack,
    },
    Table {
        name: "message",
        number: "id",
        body: "about",
        place: Place::Message,
    },
    Table {
        name: "message",
        number: "id",
        body: "said",
        place: Place::MessageSaid,
    },
    Table {
        name: "message_body",
        number: "id",
        body: "body",
        place: Place::MessageBody,
    },
];

impl PostgresStore {
    /// Seals every body that lies under an older data key with the newest one; gives how many. Old versions, grants,
    /// the quarantine and audit rows keep theirs. May be stopped and begun again at any time.
    ///
    /// # Errors
    /// As every write.
    pub async fn reseal(&self) -> Result<u64, StoreError> {
        let mut client = self.keeping.get().await.during(DOING)?;
        let mut done = 0;
        for table in TABLES {
            let mut after = -1;
            while let Some((last, n)) = stretch(&mut client, self.vault(), table, after).await? {
                after = last;
                done += n;
            }
        }
        Ok(done)
    }
}

async fn stretch(
    client: &mut Object,
    vault: &Vault,
    table: &Table,
    after: i64,
) -> Result<Option<(i64, u64)>, Fault> {
    let tx = client.transaction().await.during(DOING)?;
    all(
        &tx,
        DOING,
        "SELECT set_config('vitrine.writer', 'store', true)",
        &[],
    )
    .await?;
    let Table {
        name,
        number,
        body,
        place,
    } = table;
    let sql = format!(
        "SELECT {number}, {body} FROM {name} WHERE {number} > $1 ORDER BY {number} LIMIT $2 FOR UPDATE"
    );
    let rows = all(&tx, DOING, &sql, &[&after, &STRETCH]).await?;
    let (mut numbers, mut bodies, mut last) = (Vec::new(), Vec::new(), None);
    for row in &rows {
        let n: i64 = col(row, 0, DOING)?;
        last = Some(n);
        let sealed: Option<&[u8]> = col(row, 1, DOING)?;
        if let Some(body) = sealed.filter(|b| key_of(b) != vault.newest() && referenced(b).is_none()) {
            let packed = vault.unseal(place(n), body)?;
            numbers.push(n);
            bodies.push(vault.seal(place(n), &packed)?);
        }
    }
    let Some(last) = last else { return Ok(None) };
    let mut count = 0;
    if !numbers.is_empty() {
        let sql = format!(
            "UPDATE {name} t SET {body} = u.body FROM unnest($1::bigint[], $2::bytea[]) u(n, body) WHERE t.{number} = u.n"
        );
        count = run(&tx, DOING, &sql, &[&numbers, &bodies]).await?;
    }
    tx.commit().await.during(DOING)?;
    Ok(Some((last, count)))
}
