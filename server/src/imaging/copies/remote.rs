//! A target: what is to go there, what is there and still right, what is to be removed there.
//!
//! Never here: how a target is spoken to (`target`), the server's own folder (`local`). Called by the jobs.

use super::super::blobs::Temporary;
use super::target::{Fault, Target};
use super::{Copier, Halt, ROWS, Turn, named};
use crate::clock;
use crate::keys::hex;
use std::path::PathBuf;
use vitrine_store::StoreError;
use vitrine_store::copies::{Again, CopyOf, CopyRow, CopyState, LOCAL, Sum, Which};

/// Files that a target did not take or give, one after the other, before it is left alone.
const IN_VAIN: u32 = 3;

/// The file a copy is made of.
enum Source {
    Here(PathBuf),
    /// Fetched from another target, because the original left this machine.
    Fetched(Temporary, String),
}

impl Source {
    fn path(&self) -> Result<PathBuf, Fault> {
        match self {
            Self::Here(path) => Ok(path.clone()),
            Self::Fetched(file, _) => file
                .path()
                .map(std::path::Path::to_owned)
                .map_err(|e| Fault::Source(e.to_string())),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Here(_) => LOCAL,
            Self::Fetched(_, target) => target,
        }
    }
}

impl Copier {
    /// Whether a target is there and the one it was. One that has no mark yet gets it.
    pub(super) async fn ready(&self, target: &Target) -> Result<(), Fault> {
        let store = |e: StoreError| Fault::Source(format!("the record does not answer: {e}"));
        let known = self
            .store
            .copy_target_mark(&target.name, None)
            .await
            .map_err(store)?;
        let found = match target.mark().await {
            Ok(mark) => Some(mark),
            Err(Fault::NotThere) => None,
            Err(e) => return Err(e),
        };
        match (known, found) {
            (Some(known), Some(found)) if known == found => Ok(()),
            (Some(_), Some(_)) => Err(Fault::Away(
                "it is another target than it was: its object vitrine-copies differs".to_owned(),
            )),
            (Some(_), None) => Err(Fault::Away(
                "its object vitrine-copies is not there: is the right disk mounted?".to_owned(),
            )),
            (None, found) => {
                let mark = match found {
                    Some(mark) => {
                        // Two names for one place would count as two copies.
                        for other in self.targets.iter().filter(|t| t.name != target.name) {
                            let of = self
                                .store
                                .copy_target_mark(&other.name, None)
                                .await
                                .map_err(store)?;
                            if of.as_deref() == Some(mark.as_str()) {
                                return Err(Fault::Away(format!(
                                    "it is the target {} under another name",
                                    other.name
                                )));
                            }
                        }
                        mark
                    }
                    None => {
                        let mark = hex(&clock::random::<16>());
                        target.put_mark(&mark).await?;
                        mark
                    }
                };
                let kept = self.store.copy_target_mark(&target.name, Some(&mark)).await;
                // Another server was first: its mark is found the next time.
                match kept.map_err(store)? {
                    Some(kept) if kept != mark => target.put_mark(&kept).await,
                    _ => Ok(()),
                }
            }
        }
    }

    /// Looks at what is due at a target.
    pub(super) async fn turn_of(&self, target: &Target) -> Result<Turn, Halt> {
        let now = clock::now();
        let mut rows = self
            .store
            .copies_due(&target.name, Which::Work, now, ROWS)
            .await?;
        if rows.is_empty() {
            rows = self
                .store
                .copies_due(&target.name, Which::Scrub, now, ROWS)
                .await?;
        }
        if rows.is_empty() && self.answered_lately(&target.name, now) {
            return Ok(Turn::Rest);
        }
        self.ready(target)
            .await
            .map_err(|e| Halt::Away(e.text().to_owned()))?;
        if rows.is_empty() {
            self.answers(&target.name, now);
            return Ok(Turn::Rest);
        }
        // One file that a target does not take says nothing of the target; several in a row do.
        let mut in_vain = 0;
        for row in &rows {
            if self.stops() {
                break;
            }
            match self.there(target, row).await? {
                None => {
                    in_vain = 0;
                    self.answers(&target.name, now);
                }
                Some(_) if in_vain + 1 < IN_VAIN => in_vain += 1,
                Some(why) => return Err(Halt::Away(why)),
            }
        }
        Ok(Turn::Did)
    }

    /// Looks after one copy; gives what the target said when it did not do what was asked.
    async fn there(&self, target: &Target, row: &CopyRow) -> Result<Option<String>, StoreError> {
        let Some(of) = &row.of else {
            return match target.remove(&row.file).await {
                Ok(()) => self.store.copies_left(row.no, row.file).await.map(|()| None),
                Err(fault) => self.failed(row, CopyState::Leaving, &fault).await,
            };
        };
        let Some(must) = row.original else {
            return Ok(None);
        };
        let found = match self.is(target, row, must).await {
            Ok(found) => found,
            Err(fault) => return self.failed(row, CopyState::Failed, &fault).await,
        };
        if found == CopyState::Verified {
            return self.verified(target, row, must).await;
        }
        // It was there and right, or is there and wrong: that is no first copy.
        let again = row.sum.is_some() || found == CopyState::Damaged;
        if row.state == CopyState::Verified {
            tracing::warn!(
                file = named(&row.file),
                target_name = target.name,
                state = found.name(),
                "a copy of an original is not what it was"
            );
        }
        match self.copy(target, row, of, must).await {
            Ok(from) => {
                self.metrics.count("vitrine_image_copied_total", "", 1);
                if again {
                    self.mended(&row.file, &from, &target.name).await?;
                }
                self.verified(target, row, must).await
            }
            Err(Fault::Source(why)) => {
                let state = if again { found } else { CopyState::Failed };
                self.store
                    .copies_again(Again::Original(of.uid.clone()), clock::now())
                    .await?;
                self.rouse();
                self.note(row, state, row.tries + 1, None, Some(why)).await?;
                Ok(None)
            }
            Err(fault) => {
                let state = if again { found } else { CopyState::Failed };
                self.failed(row, state, &fault).await
            }
        }
    }

    /// How the copy stands at the target, read back: verified, missing or damaged.
    async fn is(&self, target: &Target, row: &CopyRow, must: Sum) -> Result<CopyState, Fault> {
        match target.len(&row.file).await? {
            None => return Ok(CopyState::Missing),
            Some(bytes) if bytes != must.bytes => return Ok(CopyState::Damaged),
            Some(_) => {}
        }
        let pace = (row.state == CopyState::Verified).then_some(&self.pace);
        match target.sum(&row.file, pace).await {
            Ok(sum) if sum == must => Ok(CopyState::Verified),
            Ok(_) => Ok(CopyState::Damaged),
            Err(Fault::NotThere) => Ok(CopyState::Missing),
            Err(e) => Err(e),
        }
    }

    /// Copies an original to a target and reads it back; gives where it was taken from.
    async fn copy(&self, target: &Target, row: &CopyRow, of: &CopyOf, must: Sum) -> Result<String, Fault> {
        let source = self.source(target, row, of, must).await?;
        target.put(&row.file, &source.path()?, must).await?;
        match target.sum(&row.file, None).await {
            Ok(sum) if sum == must => Ok(source.name().to_owned()),
            Ok(_) => Err(Fault::Away(
                "what was written there reads back as something else".to_owned(),
            )),
            Err(Fault::NotThere) => Err(Fault::Away("what was written there is not there".to_owned())),
            Err(e) => Err(e),
        }
    }

    /// The file to copy: the original here, or, when it left, what another target has.
    async fn source(&self, to: &Target, row: &CopyRow, of: &CopyOf, must: Sum) -> Result<Source, Fault> {
        let path = self.blobs.file(&row.file);
        if path.is_file() {
            return Ok(Source::Here(path));
        }
        let store = |e: StoreError| Fault::Source(format!("the record does not answer: {e}"));
        let mut said = "the original is gone".to_owned();
        for other in self.store.copies_of(&of.uid).await.map_err(store)? {
            let has = other.state == CopyState::Verified && other.target != to.name;
            let Some(from) = self.target(&other.target).filter(|_| has) else {
                continue;
            };
            match self.fetch(from, &row.file, of, Some(must)).await {
                Ok((file, _)) => return Ok(Source::Fetched(file, from.name.clone())),
                Err(e) => said = format!("{said}; {}: {}", from.name, e.text()),
            }
        }
        Err(Fault::Source(said))
    }

    async fn verified(&self, target: &Target, row: &CopyRow, sum: Sum) -> Result<Option<String>, StoreError> {
        if !self.note(row, CopyState::Verified, 0, Some(sum), None).await? {
            let destroyed = match &row.of {
                Some(of) => self.destroyed(row, of).await?,
                None => true,
            };
            // Its row may be gone already, with what was there before.
            if destroyed && let Err(e) = target.remove(&row.file).await {
                tracing::warn!(
                    file = named(&row.file),
                    why = e.text(),
                    "a copy of a destroyed record stays as noise at a target"
                );
            }
        }
        Ok(None)
    }

    /// A target did not do what was asked.
    async fn failed(
        &self,
        row: &CopyRow,
        state: CopyState,
        fault: &Fault,
    ) -> Result<Option<String>, StoreError> {
        let why = fault.text().to_owned();
        self.note(row, state, row.tries + 1, None, Some(why.clone()))
            .await?;
        Ok(Some(why))
    }
}
