//! Leave to bring data in, for whoever does it.
//!
//! Lives here: who asks, as the audit log names them. Never here: what they may (the policy). Called by `ingest::dimse`,
//! `ingest::mllp`, the commands (whose own leave is `cli::acts::OfOperator`) and the console.

use super::import::Permits;
use crate::app::{App, NoAccess};
use crate::clock;
use async_trait::async_trait;
use std::sync::Arc;
use vitrine_access::Permit;
use vitrine_access::action::ImportData;
use vitrine_access::policy::{Request, Subject};
use vitrine_store::StoreError;

/// Permits for a program that the configuration knows: it may bring data in and read nothing.
pub struct OfProgram {
    app: Arc<App>,
    id: String,
}

impl OfProgram {
    /// Those of a feed of this name (`feed LAB`).
    #[must_use]
    pub fn feed(app: Arc<App>, name: &str) -> Self {
        Self {
            app,
            id: format!("feed {name}"),
        }
    }

    /// Those of a DICOM peer of this AE title (`AE CT1`).
    #[must_use]
    pub fn peer(app: Arc<App>, title: &str) -> Self {
        Self {
            app,
            id: format!("AE {title}"),
        }
    }
}

#[async_trait]
impl Permits for OfProgram {
    async fn permit(&self) -> Result<Permit<ImportData>, StoreError> {
        let request = Request {
            access_id: clock::new_access(),
            at: clock::now(),
            subject: Subject::Client {
                id: self.id.clone(),
                scopes: vec!["system/*.cruds".to_owned()],
            },
            device: None,
            patient: None,
            ward: None,
            kind: None,
            grant: None,
            purpose: None,
        };
        self.app.decide::<ImportData>(request).await.map_err(|e| match e {
            NoAccess::Store(e) => e,
            NoAccess::Denied(d) => StoreError::Refused(d.text.to_owned()),
        })
    }
}

/// Permits of somebody, with what their audit rows say beside.
pub struct Noted {
    of: Arc<dyn Permits>,
    notes: Vec<(&'static str, String)>,
}

impl Noted {
    /// Those of `of` with these notes.
    #[must_use]
    pub fn new(of: Arc<dyn Permits>, notes: Vec<(&'static str, String)>) -> Self {
        Self { of, notes }
    }

    /// With one more.
    #[must_use]
    pub fn noted(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.notes.push((key, value.into()));
        self
    }
}

#[async_trait]
impl Permits for Noted {
    async fn permit(&self) -> Result<Permit<ImportData>, StoreError> {
        let permit = self.of.permit().await?;
        let notes = self.notes.iter();
        Ok(notes.fold(permit, |permit, (key, value)| permit.noted(key, value.as_str())))
    }
}
