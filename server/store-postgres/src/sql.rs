//! Small words over tokio-postgres: prepared once per connection, errors said by what was being done.

use deadpool_postgres::{GenericClient, PoolError};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};
use vitrine_store::StoreError;

/// What went wrong, and whether trying again can help.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The connection is gone, or leads to a server that may no longer write.
    Lost(StoreError),
    /// Another transaction was in the way.
    Conflict(StoreError),
    /// It will go wrong again.
    Failed(StoreError),
}

impl Fault {
    pub fn into_error(self) -> StoreError {
        match self {
            Self::Lost(e) | Self::Conflict(e) | Self::Failed(e) => e,
        }
    }
}

impl From<StoreError> for Fault {
    fn from(e: StoreError) -> Self {
        Self::Failed(e)
    }
}

impl From<Fault> for StoreError {
    fn from(f: Fault) -> Self {
        f.into_error()
    }
}

fn text(e: &Error) -> String {
    match e.as_db_error() {
        // DETAIL and the statement may carry values; the message names tables and rules alone.
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => {
            let mut out = e.to_string();
            let mut source = std::error::Error::source(e);
            while let Some(s) = source {
                out = format!("{out}: {s}");
                source = s.source();
            }
            out
        }
    }
}

/// Says an error by what was being done.
pub(crate) trait During<T> {
    fn during(self, doing: &'static str) -> Result<T, Fault>;
}

impl<T> During<T> for Result<T, Error> {
    fn during(self, doing: &'static str) -> Result<T, Fault> {
        self.map_err(|e| {
            let error = StoreError::Backend {
                doing,
                cause: text(&e),
            };
            let Some(code) = e.code() else {
                return if e.is_closed()
                    || std::error::Error::source(&e).is_some_and(|s| s.is::<std::io::Error>())
                {
                    Fault::Lost(error)
                } else {
                    Fault::Failed(error)
                };
            };
            match *code {
                SqlState::DISK_FULL => Fault::Failed(StoreError::Full(doing)),
                SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => {
                    Fault::Failed(StoreError::Damaged("the PostgreSQL database".to_owned()))
                }
                SqlState::T_R_DEADLOCK_DETECTED
                | SqlState::T_R_SERIALIZATION_FAILURE
                | SqlState::UNIQUE_VIOLATION
                | SqlState::LOCK_NOT_AVAILABLE => Fault::Conflict(error),
                SqlState::ADMIN_SHUTDOWN
                | SqlState::CRASH_SHUTDOWN
                | SqlState::CANNOT_CONNECT_NOW
                | SqlState::READ_ONLY_SQL_TRANSACTION
                | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Fault::Lost(error),
                _ if code.code().starts_with("08") => Fault::Lost(error),
                _ => Fault::Failed(error),
            }
        })
    }
}

impl<T> During<T> for Result<T, PoolError> {
    fn during(self, doing: &'static str) -> Result<T, Fault> {
        self.map_err(|e| match e {
            PoolError::Backend(e) => Err::<(), _>(e).during(doing).err().map_or_else(
                || Fault::Lost(StoreError::Closed),
                |f| Fault::Lost(f.into_error()),
            ),
            other => Fault::Lost(StoreError::Backend {
                doing,
                cause: other.to_string(),
            }),
        })
    }
}

pub(crate) type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// All rows.
pub(crate) async fn all<C: GenericClient>(
    c: &C,
    doing: &'static str,
    sql: &str,
    params: Params<'_>,
) -> Result<Vec<Row>, Fault> {
    let statement = c.prepare_cached(sql).await.during(doing)?;
    c.query(&statement, params).await.during(doing)
}

/// The first row, if any.
pub(crate) async fn one<C: GenericClient>(
    c: &C,
    doing: &'static str,
    sql: &str,
    params: Params<'_>,
) -> Result<Option<Row>, Fault> {
    Ok(all(c, doing, sql, params).await?.into_iter().next())
}

/// Runs it and gives how many rows it touched.
pub(crate) async fn run<C: GenericClient>(
    c: &C,
    doing: &'static str,
    sql: &str,
    params: Params<'_>,
) -> Result<u64, Fault> {
    let statement = c.prepare_cached(sql).await.during(doing)?;
    c.execute(&statement, params).await.during(doing)
}

/// A column; a type that does not fit is a schema that is not ours.
pub(crate) fn col<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    index: usize,
    doing: &'static str,
) -> Result<T, Fault> {
    row.try_get(index).during(doing)
}

/// Reads what the database holds as text.
pub(crate) fn parsed<T, E: std::fmt::Display>(made: Result<T, E>, doing: &'static str) -> Result<T, Fault> {
    made.map_err(|e| {
        Fault::Failed(StoreError::Backend {
            doing,
            cause: e.to_string(),
        })
    })
}

pub(crate) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
pub(crate) fn uint(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
pub(crate) fn hash16(bytes: Option<&[u8]>) -> Option<[u8; 16]> {
    bytes.and_then(|b| b.try_into().ok())
}
pub(crate) fn hash32(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().unwrap_or([0; 32])
}
