//! The schema: migrations by number, the same numbers as the embedded store's, each in one transaction.

use crate::sql::{During, Fault, all, col, one};
use deadpool_postgres::{Object, Transaction};
use vitrine_store::StoreError;

const DOING: &str = "preparing the schema";

struct Migration {
    number: i32,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        name: "record",
        sql: include_str!("../migrations/0001_record.sql"),
    },
    Migration {
        number: 2,
        name: "archive",
        sql: include_str!("../migrations/0002_archive.sql"),
    },
    Migration {
        number: 3,
        name: "tiers",
        sql: include_str!("../migrations/0003_tiers.sql"),
    },
    Migration {
        number: 4,
        name: "sound",
        sql: include_str!("../migrations/0004_sound.sql"),
    },
    Migration {
        number: 5,
        name: "notes",
        sql: include_str!("../migrations/0005_notes.sql"),
    },
    Migration {
        number: 6,
        name: "imaging",
        sql: include_str!("../migrations/0006_imaging.sql"),
    },
    Migration {
        number: 7,
        name: "pixels",
        sql: include_str!("../migrations/0007_pixels.sql"),
    },
    Migration {
        number: 8,
        name: "copies",
        sql: include_str!("../migrations/0008_copies.sql"),
    },
    Migration {
        number: 9,
        name: "reviews",
        sql: include_str!("../migrations/0009_reviews.sql"),
    },
    Migration {
        number: 10,
        name: "audit_find",
        sql: include_str!("../migrations/0010_audit_find.sql"),
    },
    Migration {
        number: 11,
        name: "identities",
        sql: include_str!("../migrations/0011_identities.sql"),
    },
    Migration {
        number: 12,
        name: "audit_pack",
        sql: include_str!("../migrations/0012_audit_pack.sql"),
    },
    Migration {
        number: 13,
        name: "badges",
        sql: include_str!("../migrations/0013_badges.sql"),
    },
    Migration {
        number: 14,
        name: "clients",
        sql: include_str!("../migrations/0014_clients.sql"),
    },
    Migration {
        number: 15,
        name: "totp",
        sql: include_str!("../migrations/0015_totp.sql"),
    },
    Migration {
        number: 16,
        name: "messages",
        sql: include_str!("../migrations/0016_messages.sql"),
    },
];

/// The newest schema this program knows.
pub const SCHEMA: u32 = 16;

/// Brings the schema up to date. Two servers that start at once go one after the other.
///
/// # Errors
/// [`StoreError::NewerSchema`]; [`StoreError::Refused`] for a database that is not ours or cannot hold the record.
/// Nothing is written then.
pub(crate) async fn migrate(client: &mut Object, name: &str) -> Result<(), StoreError> {
    let tx = client.transaction().await.during(DOING)?;
    all(&tx, DOING, "SELECT pg_advisory_xact_lock(7370)", &[]).await?;
    fit(&tx, name).await?;
    let has = "SELECT to_regclass('public.schema_migration') IS NOT NULL";
    let ours: bool = flag(&tx, has).await?;
    let mut found = 0;
    if ours {
        let newest = "SELECT coalesce(max(number), 0) FROM schema_migration";
        let row = one(&tx, DOING, newest, &[]).await?;
        found = row.map_or(Ok(0), |r| col::<i32>(&r, 0, DOING))?;
    } else {
        let empty =
            "SELECT NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'S'))";
        if !flag(&tx, empty).await? {
            return Err(StoreError::Refused(format!(
                "the database {name} holds tables of something else: name an empty one; nothing was changed"
            )));
        }
        let table = "CREATE TABLE schema_migration (
            number integer PRIMARY KEY, name text NOT NULL, done timestamptz NOT NULL DEFAULT now())";
        tx.batch_execute(table).await.during(DOING)?;
    }
    let known = MIGRATIONS.last().map_or(0, |m| m.number);
    if found > known {
        return Err(StoreError::NewerSchema {
            found: u32::try_from(found).unwrap_or(0),
            known: SCHEMA,
        });
    }
    for m in MIGRATIONS.iter().filter(|m| m.number > found) {
        tx.batch_execute(m.sql).await.during(DOING)?;
        let sql = "INSERT INTO schema_migration (number, name) VALUES ($1, $2)";
        crate::sql::run(&tx, DOING, sql, &[&m.number, &m.name]).await?;
    }
    tx.commit().await.during(DOING)?;
    Ok(())
}

async fn flag(tx: &Transaction<'_>, sql: &str) -> Result<bool, Fault> {
    let row = one(tx, DOING, sql, &[]).await?;
    row.map_or(Ok(false), |r| col(&r, 0, DOING))
}

/// Whether this PostgreSQL can hold the record at all.
async fn fit(tx: &Transaction<'_>, name: &str) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
                      pg_is_in_recovery(), current_setting('transaction_read_only'),
                      current_setting('synchronous_commit'), current_setting('fsync')";
    let Some(row) = one(tx, DOING, sql, &[]).await? else {
        return Err(StoreError::Closed);
    };
    let refused = |text: String| Err(StoreError::Refused(text));
    let version: i32 = col(&row, 0, DOING)?;
    if version < 150_000 {
        return refused(format!(
            "PostgreSQL {} is too old: 15 or newer is needed; nothing was changed",
            version / 10_000
        ));
    }
    let encoding: &str = col(&row, 1, DOING)?;
    if encoding != "UTF8" {
        return refused(format!(
            "the database {name} has the encoding {encoding}: make one with ENCODING 'UTF8'; nothing was changed"
        ));
    }
    let (standby, read_only): (bool, &str) = (col(&row, 2, DOING)?, col(&row, 3, DOING)?);
    if standby || read_only == "on" {
        return refused(format!(
            "the database {name} is read-only (a standby, or default_transaction_read_only): name the primary; nothing was changed"
        ));
    }
    let (commit, fsync): (&str, &str) = (col(&row, 4, DOING)?, col(&row, 5, DOING)?);
    if commit == "off" || fsync == "off" {
        return refused(
            "the database acknowledges what is not on disk (synchronous_commit or fsync is off): switch them on; nothing was changed"
                .to_owned(),
        );
    }
    Ok(())
}

/// The triggers without which a change by somebody else would not reach a screen, or an audit row could be changed.
const TRIGGERS: &[(&str, &str)] = &[
    ("account", "account_feed"),
    ("account", "account_foreign"),
    ("account", "account_no_delete"),
    ("audit", "audit_no_update"),
    ("board", "board_feed"),
    ("board", "board_foreign"),
    ("card", "card_feed"),
    ("card", "card_feed_new"),
    ("card", "card_foreign"),
    ("device_audit", "device_audit_no_update"),
    ("ess_member", "ess_feed"),
    ("resource", "resource_feed"),
    ("resource", "resource_foreign"),
    ("resource", "resource_no_delete"),
];

/// One sentence for each fault of the schema.
pub(crate) async fn check<C: deadpool_postgres::GenericClient>(c: &C) -> Result<Vec<String>, StoreError> {
    let doing = "checking the schema";
    let mut faults = Vec::new();
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = to_regclass($1) AND t.tgname = $2
                               AND t.tgenabled = 'O')";
    for (table, trigger) in TRIGGERS {
        let row = one(c, doing, sql, &[table, trigger]).await?;
        if !row.map_or(Ok(false), |r| col::<bool>(&r, 0, doing))? {
            faults.push(format!(
                "the trigger {trigger} of {table} is gone or switched off"
            ));
        }
    }
    let sql = "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                 JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'public' AND NOT i.indisvalid AND c.relkind = 'i'";
    for row in all(c, doing, sql, &[]).await? {
        faults.push(format!(
            "the index {} is not valid: REINDEX it",
            col::<&str>(&row, 0, doing)?
        ));
    }
    Ok(faults)
}
