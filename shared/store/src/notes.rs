//! Searching the notes of one patient by their words: what an answer is made of, the same in every backend.
//!
//! Lives here: [`NoteQuery`], [`NoteHits`], and [`Collecting`], which decides what each note of the patient is to the
//! query. Never here: a table, FHIR (a [`Projector`] gives a note's text), who may search.
//! Called by the backends.
//!
//! A backend keeps the words of a note with the note's version, off the path of writing: they are made when somebody
//! searches the patient's notes, and before a body moves into a pack. What is kept counts for that very version and no
//! other; any other note is read and compared on the spot. So an answer never rests on how far an index has come.

use crate::labels;
use crate::search::content_words;
use crate::{ArchivedResource, Projector, StoreError, StoredResource};
use bytes::Bytes;
use std::collections::BTreeSet;
use vitrine_clinical::label::Confidentiality;
use vitrine_clinical::{PatientId, ResourceKey, UtcMs};

/// The types whose words are searched.
pub const NOTE_KINDS: &[&str] = &["DocumentReference", "DiagnosticReport"];
/// Notes looked at in one statement.
pub const STRETCH: usize = 50;
/// A note of more words is not kept by its words: it is read whenever it is searched.
const BIG: usize = 20_000;
/// Words that one search keeps at most; the rest is kept by later ones.
const KEPT: usize = 100_000;

/// What a note says, as words are made of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoteText {
    /// All text of it.
    pub text: String,
    /// False when it has content that is no text (a scan, a PDF, a link).
    pub whole: bool,
}

/// A search of one patient's notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteQuery {
    /// The type, one of [`NOTE_KINDS`].
    pub kind: String,
    /// Words; a note must have every one ([`content_words`]).
    pub text: String,
    /// At most so many, the newest.
    pub limit: usize,
}

/// What a search of notes found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoteHits {
    /// Notes with every word, the latest stored first.
    pub resources: Vec<StoredResource>,
    /// Notes with every word whose bodies lie in the archive.
    pub archived: Vec<ArchivedResource>,
    /// Notes in the archive whose words nobody kept: whether they match is not known.
    pub unsearched: Vec<ArchivedResource>,
    /// Notes with content that is no text: of them, only what is text was searched.
    pub partial: u64,
    /// Notes with every word, those not given because of the limit too.
    pub total: u64,
    /// Notes of that type that the patient has, without those withheld.
    pub of: u64,
    /// Notes of that type that the permit does not let see, whether they match or not.
    pub withheld: u64,
}

/// What is kept of a note at its present version.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// As [`NoteText::whole`].
    pub whole: bool,
    /// It has every word of the query.
    pub matches: bool,
}

/// One live note of the patient, as a backend finds it.
#[derive(Debug)]
pub struct NoteRow {
    /// Its number: grows with every new resource.
    pub number: i64,
    /// Which.
    pub key: ResourceKey,
    /// Its version.
    pub version: u64,
    /// When that was stored.
    pub updated: UtcMs,
    /// What is kept of this version; `None` = nothing.
    pub known: Option<Known>,
    /// The body; asked for unless it is known not to match.
    pub body: Result<Bytes, StoreError>,
}

/// Words that are to be kept of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The note's number.
    pub number: i64,
    /// The version they are of.
    pub version: u64,
    /// As [`NoteText::whole`].
    pub whole: bool,
    /// The words.
    pub words: BTreeSet<String>,
}

/// An answer in the making.
#[derive(Debug)]
pub struct Collecting {
    words: BTreeSet<String>,
    limit: usize,
    found: Vec<(i64, StoredResource)>,
    hits: NoteHits,
    fresh: Vec<Fresh>,
    kept: usize,
    clearance: Confidentiality,
}

impl Collecting {
    /// The same search for whoever sees up to this level alone.
    #[must_use]
    pub fn seen_with(self, clearance: Confidentiality) -> Self {
        Self { clearance, ..self }
    }
    /// Whether the body of every note is asked for, because its label decides.
    #[must_use]
    pub fn reads_all(&self) -> bool {
        self.clearance < Confidentiality::VeryRestricted
    }
    /// Begins a search for whoever may see everything. Without words nothing matches, and every note's words are made.
    #[must_use]
    pub fn new(text: &str, limit: usize) -> Self {
        Self {
            words: content_words(text),
            limit,
            found: Vec::new(),
            hits: NoteHits::default(),
            fresh: Vec::new(),
            kept: 0,
            clearance: Confidentiality::VeryRestricted,
        }
    }

    /// The words of the query.
    #[must_use]
    pub const fn words(&self) -> &BTreeSet<String> {
        &self.words
    }

    /// Takes a note in.
    ///
    /// # Errors
    /// A body that cannot be read, unless it lies in the archive.
    pub fn row(&mut self, row: NoteRow, of: &PatientId, projector: &dyn Projector) -> Result<(), StoreError> {
        if self.reads_all()
            && let Ok(body) = &row.body
            && labels::of_body(body).level() > self.clearance
        {
            self.hits.withheld += 1;
            return Ok(());
        }
        self.hits.of += 1;
        if let Some(known) = row.known {
            self.hits.partial += u64::from(!known.whole);
            if !known.matches {
                return Ok(());
            }
        }
        let body = match row.body {
            Ok(body) => body,
            Err(StoreError::Archived { pack, .. }) => {
                let away = ArchivedResource {
                    key: row.key,
                    version: row.version,
                    updated: row.updated,
                    pack,
                };
                if row.known.is_some() {
                    self.hits.total += 1;
                    self.hits.archived.push(away);
                } else {
                    self.hits.unsearched.push(away);
                }
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        if row.known.is_none() {
            // What cannot be read as a note was not searched whole.
            let note = projector.note(&row.key, &body).unwrap_or_default();
            let words = content_words(&note.text);
            self.hits.partial += u64::from(!note.whole);
            let matches = !self.words.is_empty() && self.words.is_subset(&words);
            if words.len() <= BIG && self.kept + words.len() <= KEPT {
                self.kept += words.len();
                self.fresh.push(Fresh {
                    number: row.number,
                    version: row.version,
                    whole: note.whole,
                    words,
                });
            }
            if !matches {
                return Ok(());
            }
        }
        self.hits.total += 1;
        let resource = StoredResource {
            key: row.key,
            version: row.version,
            updated: row.updated,
            patient: Some(of.clone()),
            body,
            deleted: false,
        };
        self.found.push((row.number, resource));
        // Bodies beyond the limit are not held while the rest is looked at.
        if self.found.len() >= self.limit.saturating_mul(2).max(STRETCH) {
            self.newest();
        }
        Ok(())
    }

    fn newest(&mut self) {
        self.found
            .sort_by_key(|(number, r)| std::cmp::Reverse((r.updated, *number)));
        self.found.truncate(self.limit);
    }

    /// The answer, and the words to keep.
    #[must_use]
    pub fn finish(mut self) -> (NoteHits, Vec<Fresh>) {
        self.newest();
        self.hits.resources = self.found.into_iter().map(|(_, r)| r).collect();
        (self.hits, self.fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::hospital::{NoteProjector, key, note, pat};

    fn row(n: i64, known: Option<Known>, body: Result<Bytes, StoreError>) -> NoteRow {
        NoteRow {
            number: n,
            key: key(&format!("DocumentReference/d{n}")),
            version: 1,
            updated: UtcMs(n),
            known,
            body,
        }
    }

    #[test]
    fn what_cannot_be_looked_at_is_named_and_never_left_out() {
        let away = || {
            Err(StoreError::Archived {
                pack: uuid::Uuid::from_u128(1),
                bytes: 9,
            })
        };
        let known = |matches| Some(Known { whole: true, matches });
        let says = |t: &str| Ok(note("p1", "doc", t).bytes());
        let mut c = Collecting::new("Ödem", 10);
        for r in [
            row(1, None, away()),
            row(2, known(true), away()),
            row(3, known(false), away()),
            row(4, None, says("Oedem, ödem")),
            row(5, None, says("kein Befund")),
            row(6, None, Ok(Bytes::from_static(b"not a note"))),
        ] {
            c.row(r, &pat("p1"), &NoteProjector).unwrap();
        }
        let damaged = row(7, None, Err(StoreError::Damaged("x".to_owned())));
        assert!(c.row(damaged, &pat("p1"), &NoteProjector).is_err());
        let (hits, fresh) = c.finish();
        let keys = |a: &[ArchivedResource]| a.iter().map(|a| a.key.to_string()).collect::<Vec<_>>();
        assert_eq!(keys(&hits.unsearched), ["DocumentReference/d1"]);
        assert_eq!(keys(&hits.archived), ["DocumentReference/d2"]);
        assert_eq!(hits.resources.len(), 1);
        assert_eq!(
            (hits.total, hits.partial),
            (2, 1),
            "what is no note was not searched whole"
        );
        assert_eq!(fresh.iter().map(|f| f.number).collect::<Vec<_>>(), [4, 5, 6]);
    }

    #[test]
    fn a_note_of_too_many_words_is_read_each_time() {
        let long: String = (0..=BIG).map(|n| format!("w{n} ")).collect();
        let mut c = Collecting::new("w20000", 10);
        let r = row(1, None, Ok(note("p1", "doc", &long).bytes()));
        c.row(r, &pat("p1"), &NoteProjector).unwrap();
        let (hits, fresh) = c.finish();
        assert_eq!((hits.total, fresh.len()), (1, 0));
    }
}
