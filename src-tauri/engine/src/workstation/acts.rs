//! The acts of a person at this workstation, as the facade offers them.
//!
//! Every act works without any server. An act that reads the databases runs on a thread for blocking work; breaking
//! the glass runs on a thread of its own. Never here: what an act does (`search`, `board`, `chart`, `break_glass`,
//! `session`), opening and closing a workstation (`mod`).
//! Called by the desktop shell and by `vitrine-cli`.

use super::Workstation;
use super::board::board;
use super::chart::chart;
use super::entries;
use super::owed;
use super::packet::{self, Packet};
use super::results::results;
use super::scan::scan;
use super::search::search;
use super::wall;
use crate::EngineError;
use crate::break_glass::{self, BreakGlass, reasons};
use crate::clock::Stopwatch;
use crate::drill;
use crate::entry;
use crate::horizon;
use crate::images::give_way;
use crate::integrity;
use crate::layouts;
use crate::link;
use crate::memory;
use crate::outbox::read_head;
use crate::selftest::{self, SelfTest};
use crate::session::{self, Ended, NewSecret, declared};
use crate::station::Station;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use vitrine_access::chain::{Head, Row};
use vitrine_clinical::card::EmergencyCard;
use vitrine_clinical::scan::badge::of_uid;
use vitrine_wire::entry_view::{
    DraftKind, EntriesView, EntryDraftView, EntryFormView, EntryInput, EntryPreviewView, EntrySeen, EntryView,
};
use vitrine_wire::results_view::ResultsView;
use vitrine_wire::scan_view::ScanView;
use vitrine_wire::sync_view::CheckView;
use vitrine_wire::view::{
    BadgeView, BoardView, ChartView, EmergencyCardView, EngineEvent, OwedWordsView, PacketView, ReasonsView,
    SearchView, SectionAge, SessionView,
};
use vitrine_wire::wall_view::{WallTrendsView, WallView};
use zeroize::Zeroizing;

/// What is given beside name and PIN where somebody identifies themself without a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// The token of a badge that was held to the reader, for the row of what follows.
    pub badge: Option<String>,
    /// With an emergency account: who they say they are and where they are from.
    pub declared: Option<String>,
}

/// Proof of identity without a session, good for five minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityToken(String);

impl IdentityToken {
    /// From the text a screen was given.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The text for the screen.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Workstation {
    /// Signs a person in: with what is here at once, with the server where needed.
    ///
    /// # Errors
    /// [`EngineError::WrongSecret`], [`EngineError::Throttled`], [`EngineError::SlotRemoved`],
    /// [`EngineError::Disabled`], [`EngineError::Offline`] for a person never seen here, [`EngineError::AuditFailed`].
    pub async fn sign_in(&self, user: &str, secret: &str) -> Result<SessionView, EngineError> {
        let station = self.station()?;
        let secret = Zeroizing::new(secret.to_owned());
        let user = user.to_owned();
        // On our own runtime, so that it also works where the caller has none.
        self.inner
            .handle
            .spawn(async move { session::sign_in(&station, &user, secret, None).await })
            .await
            .map_err(|_| EngineError::Internal("signing in"))?
    }

    /// Gives the person who is signed in a new password or PIN; `now` is the password as it is. The screen is locked by it.
    ///
    /// # Errors
    /// [`EngineError::Usage`] for a secret that is too easily guessed, [`EngineError::WrongSecret`] for the password, [`EngineError::Offline`],
    /// [`EngineError::NotSignedIn`], [`EngineError::Throttled`].
    pub async fn change_secret(&self, now: &str, new: NewSecret) -> Result<(), EngineError> {
        let station = self.station()?;
        let now = Zeroizing::new(now.to_owned());
        self.inner
            .handle
            .spawn(async move { session::change_secret(&station, &now, new).await })
            .await
            .map_err(|_| EngineError::Internal("changing a secret"))?
    }

    /// Whom a badge picks: `text` as the reader sent it. Nobody is let in by it.
    ///
    /// # Errors
    /// [`EngineError::NoBadge`], [`EngineError::UnknownBadge`], [`EngineError::Disabled`].
    pub async fn badge(&self, text: &str) -> Result<BadgeView, EngineError> {
        let text = text.to_owned();
        self.at_desk(move |s| session::present(s, &text)).await
    }

    /// Signs in whom a badge picked within the last minute, by their PIN (or password).
    ///
    /// # Errors
    /// As [`Self::sign_in`]; [`EngineError::NoBadge`] when it was held to the reader longer ago, [`EngineError::UnknownBadge`] when the
    /// server says that it is not theirs any more.
    pub async fn sign_in_by_badge(&self, token: &str, secret: &str) -> Result<SessionView, EngineError> {
        let station = self.station()?;
        let secret = Zeroizing::new(secret.to_owned());
        let picked = station.badges.find(token, station.clock.elapsed())?;
        self.inner
            .handle
            .spawn(async move {
                let user = picked.user.to_string();
                session::sign_in(&station, &user, secret, Some(picked)).await
            })
            .await
            .map_err(|_| EngineError::Internal("signing in"))?
    }

    /// Signs a person in by the hospital's identity provider: `show` is given the address for the system's browser, once;
    /// [`Workstation::open_browser`] opens it. `pin`: the PIN of the staff list, for the person's own key here.
    ///
    /// # Errors
    /// [`EngineError::Refused`] by the provider, by the server, or after five minutes; [`EngineError::Offline`];
    /// [`EngineError::WrongSecret`] for the PIN; [`EngineError::AuditFailed`].
    pub async fn sign_in_by_provider(
        &self,
        show: impl FnOnce(&str) -> Result<(), EngineError> + Send + 'static,
        pin: Option<&str>,
    ) -> Result<SessionView, EngineError> {
        let station = self.station()?;
        let pin = pin.map(|p| Zeroizing::new(p.to_owned()));
        self.inner
            .handle
            .spawn(async move { session::sign_in_by_provider(&station, show, pin).await })
            .await
            .map_err(|_| EngineError::Internal("signing in"))?
    }

    /// Ends a sign-in by the provider that waits for the browser, if there is one.
    pub fn cancel_provider(&self) {
        if let Ok(station) = self.station() {
            station.browsing.send_modify(|n| *n += 1);
        }
    }

    /// A card was held to the card reader: whom it picks is told to the screen, while nobody is signed in. In a session nothing
    /// happens. `uid`: as the card gave it.
    pub fn card(&self, uid: &[u8]) {
        let Ok(station) = self.station() else { return };
        if station.session().is_some() {
            return;
        }
        station.tell(match session::present(&station, &of_uid(uid)) {
            Ok(picked) => EngineEvent::Badge(picked),
            Err(e) => EngineEvent::BadgeRefused(e.view()),
        });
    }

    /// What is known of a card reader now.
    pub fn note_reader(&self, now: session::Reader) {
        if let Ok(station) = self.station() {
            station.note_reader(now);
        }
    }

    /// Opens the system's browser at the address of [`Workstation::sign_in_by_provider`].
    ///
    /// # Errors
    /// [`EngineError::Io`] when there is none.
    pub fn open_browser(address: &str) -> Result<(), EngineError> {
        session::open_browser(address)
    }

    /// Ends the session, with the emergency access of its person, and wipes the user's key.
    pub fn lock(&self) {
        if let Ok(station) = self.station() {
            station.lock(Ended::Person);
        }
    }

    /// The same because nobody has done anything at the screen for a while: emergency access of the person who comes back goes on.
    pub fn lock_idle(&self) {
        if let Ok(station) = self.station() {
            station.lock(Ended::Idle);
        }
    }

    /// Who is signed in.
    #[must_use]
    pub fn session(&self) -> Option<SessionView> {
        let station = self.station().ok()?;
        station.idle_check();
        station
            .session()
            .as_ref()
            .map(|s| s.view(layouts::view(&station, &s.person)))
    }

    /// The person did something that is no act of the engine (a key, the mouse): the idle lock waits anew.
    pub fn active(&self) {
        if let Ok(station) = self.station()
            && let Some(s) = station.session_mut().as_mut()
        {
            s.active = station.clock.elapsed();
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Station>) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let station = self.station()?;
        self.inner
            .handle
            .spawn_blocking(move || {
                let done = work(&station);
                memory::forget();
                done
            })
            .await
            .map_err(|_| EngineError::Internal("reading the workstation's data"))?
    }

    /// Finds patients by name, number or birth date among the essentials here.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::Denied`], [`EngineError::NotOnThisWorkstation`] when nothing was
    /// ever synchronised, [`EngineError::AuditFailed`], [`EngineError::Damaged`].
    pub async fn search(&self, query: &str) -> Result<SearchView, EngineError> {
        let query = query.to_owned();
        self.blocking(move |s| {
            let person = s.person()?;
            search(s, &person, &query, false)
        })
        .await
    }

    /// What a barcode reader sent: whose band it is, by its exact number among the patients of this workstation.
    ///
    /// # Errors
    /// As [`Self::search`]. A code that cannot be used is no error: the view says so.
    pub async fn scan(&self, text: &str) -> Result<ScanView, EngineError> {
        let text = text.to_owned();
        self.blocking(move |s| {
            let person = s.person()?;
            scan(s, &person, &text, false)
        })
        .await
    }

    /// The board of a ward; `None` = of this workstation's.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub async fn board(&self, ward: Option<&str>) -> Result<BoardView, EngineError> {
        let ward = ward.map(str::to_owned);
        self.blocking(move |s| board(s, ward.as_deref())).await
    }

    /// The downtime packet of a ward as a PDF; `None` = of this workstation's. Each card in it is a disclosure with its own audit
    /// row; who may not be read by this person is left out and named.
    ///
    /// # Errors
    /// As [`Self::board`]; [`EngineError::Paper`] when the pages cannot be made.
    pub async fn packet(&self, ward: Option<&str>) -> Result<Packet, EngineError> {
        let ward = ward.map(str::to_owned);
        self.blocking(move |s| packet::packet(s, ward.as_deref())).await
    }

    /// Prints the downtime packet of a ward by the system's own printing (`lp`), at `printer` or its default one.
    ///
    /// # Errors
    /// As [`Self::packet`]; [`EngineError::Printer`] in the words of the printing system. Nothing stays on the disk.
    pub async fn print_packet(
        &self,
        ward: Option<&str>,
        printer: Option<&str>,
    ) -> Result<PacketView, EngineError> {
        let (ward, printer) = (ward.map(str::to_owned), printer.map(str::to_owned));
        self.blocking(move |s| {
            let made = packet::packet(s, ward.as_deref())?;
            packet::send(&made.pdf, printer.as_deref())?;
            Ok(made.view)
        })
        .await
    }

    /// The chart of a patient, by FHIR id or MRN. Stays live until [`Self::close_chart`].
    ///
    /// # Errors
    /// [`EngineError::Denied`] saying whether breaking the glass would allow it; [`EngineError::NotOnThisWorkstation`];
    /// else as [`Self::search`].
    pub async fn chart(&self, patient: &str) -> Result<ChartView, EngineError> {
        let patient = patient.to_owned();
        self.blocking(move |s| chart(s, &patient)).await
    }

    /// The chart is no longer on the screen.
    pub fn close_chart(&self, patient: &str) {
        if let Ok(station) = self.station() {
            station.command(link::Command::ClosePatient(patient.to_owned()));
        }
    }

    /// What breaking the glass asks for now: the reasons, and whether who is signed in has to prove it again.
    #[must_use]
    pub fn reasons(&self) -> ReasonsView {
        ReasonsView {
            reasons: reasons(),
            secret_needed: !self.station().is_ok_and(|s| break_glass::fresh(&s)),
        }
    }

    /// Proves who somebody is by name and PIN, without a session.
    ///
    /// # Errors
    /// [`EngineError::WrongSecret`], [`EngineError::Throttled`], [`EngineError::UnknownUser`], [`EngineError::Disabled`];
    /// [`EngineError::NameNeeded`] for an emergency account.
    pub async fn identify(&self, user: &str, secret: &str) -> Result<IdentityToken, EngineError> {
        self.identify_with(user, secret, Beside::default()).await
    }

    /// The same, with what was given beside name and PIN.
    ///
    /// # Errors
    /// As [`Self::identify`]; [`EngineError::Envelope`] for an emergency account that opens nothing here now.
    pub async fn identify_with(
        &self,
        user: &str,
        secret: &str,
        beside: Beside,
    ) -> Result<IdentityToken, EngineError> {
        let (user, secret) = (user.to_owned(), Zeroizing::new(secret.to_owned()));
        let station = self.station()?;
        // Asked here, before the thread of emergencies is, which never waits for a network.
        let because = if declared::is_one(&station, &user) {
            Some(declared::open(&station, &user).await?)
        } else {
            None
        };
        self.at_desk(move |s| {
            let (person, how) = match because {
                Some(because) => declared::identify(s, &user, &secret, beside.declared.as_deref(), because)?,
                None => break_glass::identify(s, &user, &secret, beside.badge.as_deref())?,
            };
            Ok(IdentityToken(s.proofs.keep(person, how, s.clock.elapsed())?))
        })
        .await
    }

    /// Finds patients for somebody who proved their identity without a session.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`] when the token is unknown or older than five minutes; else as [`Self::search`].
    pub async fn emergency_search(
        &self,
        token: &IdentityToken,
        query: &str,
    ) -> Result<SearchView, EngineError> {
        let (token, query) = (token.clone(), query.to_owned());
        self.at_desk(move |s| {
            let (person, _) = s.proofs.find(token.as_str(), s.clock.elapsed())?;
            search(s, &person, &query, true)
        })
        .await
    }

    /// As [`Self::scan`], for somebody identified without a session.
    ///
    /// # Errors
    /// As [`Self::emergency_search`].
    pub async fn emergency_scan(&self, token: &IdentityToken, text: &str) -> Result<ScanView, EngineError> {
        let (token, text) = (token.clone(), text.to_owned());
        self.at_desk(move |s| {
            let (person, _) = s.proofs.find(token.as_str(), s.clock.elapsed())?;
            scan(s, &person, &text, true)
        })
        .await
    }

    /// Breaks the glass: grant and audit row on disk, then the card.
    ///
    /// # Errors
    /// [`EngineError::NotOnThisWorkstation`], [`EngineError::Denied`] for somebody who is no clinician,
    /// [`EngineError::WrongSecret`], [`EngineError::Throttled`], [`EngineError::PinNeeded`], [`EngineError::Usage`].
    pub async fn break_glass(&self, request: BreakGlass) -> Result<EmergencyCardView, EngineError> {
        let since = Stopwatch::start();
        let opened = self
            .at_desk(move |s| break_glass::open(s, &request, since))
            .await?;
        self.outbox_changed();
        Ok(opened.view)
    }

    /// The same with the card itself, for `vitrine-cli emergency --json`.
    ///
    /// # Errors
    /// As [`Self::break_glass`].
    pub async fn break_glass_card(
        &self,
        request: BreakGlass,
    ) -> Result<(EmergencyCardView, Option<EmergencyCard>, SectionAge), EngineError> {
        let since = Stopwatch::start();
        let opened = self
            .at_desk(move |s| break_glass::open(s, &request, since))
            .await?;
        self.outbox_changed();
        Ok((opened.view, opened.card, opened.age))
    }

    /// Ends an emergency access before its time, by the id of its grant. Nothing happens where it has ended.
    ///
    /// # Errors
    /// [`EngineError::Usage`] for that of somebody else; [`EngineError::AuditFailed`]: it goes on.
    pub async fn end_break_glass(&self, grant: &str) -> Result<(), EngineError> {
        let grant = grant.to_owned();
        self.blocking(move |s| break_glass::after::end_own(s, &grant))
            .await?;
        self.outbox_changed();
        Ok(())
    }

    /// Adds words to an own emergency access that has none, by the id of its grant. They are due within 60 minutes and are taken
    /// after that too.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`]; [`EngineError::Usage`] for no words or more than 2,000 characters, for that of somebody else and
    /// for one that has words; [`EngineError::AuditFailed`]: nothing was written.
    pub async fn break_glass_words(&self, grant: &str, words: &str) -> Result<(), EngineError> {
        let (grant, words) = (grant.to_owned(), words.to_owned());
        self.blocking(move |s| break_glass::after::add_words(s, &grant, &words))
            .await?;
        self.outbox_changed();
        Ok(())
    }

    /// Own emergency accesses of the last 24 hours that have no words yet.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub async fn break_glass_owed(&self) -> Result<OwedWordsView, EngineError> {
        self.blocking(owed::owed).await
    }

    fn outbox_changed(&self) {
        if let Ok(station) = self.station() {
            station.command(link::Command::OutboxChanged);
        }
    }

    async fn at_desk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Station>) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let station = self.station()?;
        let inside = Arc::clone(&station);
        let work = move || {
            let done = work(&inside);
            memory::forget();
            done
        };
        station.desk.run(work).await?
    }

    /// The critical results of a ward (default: that of this workstation): who has to be told, and who has taken one up.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::Denied`], [`EngineError::NotOnThisWorkstation`] when the board is not here,
    /// [`EngineError::AuditFailed`].
    pub async fn results(&self, ward: Option<&str>) -> Result<ResultsView, EngineError> {
        let ward = ward.map(str::to_owned);
        self.blocking(move |s| results(s, ward.as_deref())).await
    }

    /// Opens the wall of live vital signs of a ward, or reads its board again; `None` = of this workstation's. One audit row for each
    /// reading of the board. The values follow by [`EngineEvent::Wall`](vitrine_wire::view::EngineEvent) and [`Self::wall`].
    ///
    /// # Errors
    /// As [`Self::board`].
    pub async fn wall_open(&self, ward: Option<&str>) -> Result<WallView, EngineError> {
        let (ward, runtime) = (ward.map(str::to_owned), self.inner.handle.clone());
        self.blocking(move |s| wall::open(s, &runtime, ward.as_deref()))
            .await
    }

    /// The open wall as it stands now. Reading values is no act of a person: it does not keep a session from being locked.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`]; [`EngineError::Usage`] when none is open; as [`Self::board`] when the board changed.
    pub async fn wall(&self) -> Result<WallView, EngineError> {
        self.blocking(wall::wall).await
    }

    /// The trends of the open wall: the last quarter of an hour.
    ///
    /// # Errors
    /// As [`Self::wall`].
    pub async fn wall_trends(&self) -> Result<WallTrendsView, EngineError> {
        self.blocking(wall::trends).await
    }

    /// Closes the wall: the stream ends, nothing of it stays.
    pub fn wall_close(&self) {
        if let Ok(station) = self.station() {
            station.live.close();
        }
    }

    /// The forms for recording.
    #[must_use]
    pub fn entry_form(&self) -> EntryFormView {
        entry::form()
    }

    /// The FHIR id of a patient by id or record number. Recording goes by the id alone.
    ///
    /// # Errors
    /// [`EngineError::NotOnThisWorkstation`]; [`EngineError::Usage`] for a number of several patients.
    pub async fn patient_id(&self, text: &str) -> Result<String, EngineError> {
        let text = text.to_owned();
        self.blocking(move |s| Ok(s.resolve(&text)?.to_string())).await
    }

    /// What would be recorded, with what is wrong or unusual about it.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::NotOnThisWorkstation`].
    pub async fn entry_preview(
        &self,
        patient: &str,
        input: &EntryInput,
    ) -> Result<EntryPreviewView, EngineError> {
        let (patient, input) = (patient.to_owned(), input.clone());
        self.blocking(move |s| entries::preview(s, &patient, &input))
            .await
    }

    /// Records: durable on this workstation on return, and on its way to the server from then on.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::Denied`], [`EngineError::Usage`] with the first fault,
    /// [`EngineError::NotKept`]: nothing was recorded.
    pub async fn entry_record(
        &self,
        patient: &str,
        input: &EntryInput,
        seen: &EntrySeen,
    ) -> Result<EntryView, EngineError> {
        let (patient, input, seen) = (patient.to_owned(), input.clone(), seen.clone());
        self.blocking(move |s| entries::record(s, &patient, &input, &seen))
            .await
    }

    /// All that was recorded here and that the server has not accepted.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::Denied`], [`EngineError::AuditFailed`].
    pub async fn entries(&self) -> Result<EntriesView, EngineError> {
        self.blocking(entries::list).await
    }

    /// Takes a rejected entry off the list, with what was done about it.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::Denied`], [`EngineError::Usage`] when it is no rejected one.
    pub async fn entry_settle(&self, id: &str, words: &str) -> Result<(), EngineError> {
        let (id, words) = (id.to_owned(), words.to_owned());
        self.blocking(move |s| entries::settle(s, &id, &words)).await
    }

    /// The signed-in person's draft about a patient.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::NotOnThisWorkstation`], [`EngineError::Damaged`].
    pub async fn entry_draft(
        &self,
        patient: &str,
        kind: DraftKind,
    ) -> Result<Option<EntryDraftView>, EngineError> {
        let patient = patient.to_owned();
        self.blocking(move |s| entries::draft(s, &patient, kind)).await
    }

    /// Keeps it; without fields it is removed.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::Usage`] for one that is too long, [`EngineError::NotKept`].
    pub async fn set_entry_draft(
        &self,
        patient: &str,
        kind: DraftKind,
        fields: BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let patient = patient.to_owned();
        self.blocking(move |s| entries::set_draft(s, &patient, kind, fields))
            .await
    }

    /// Checks whether this workstation could open its essentials and write its audit log right now.
    ///
    /// # Errors
    /// That of a workstation that cannot be used.
    pub async fn selftest(&self) -> Result<SelfTest, EngineError> {
        self.blocking(|s| Ok(selftest::run(s))).await
    }

    /// Begins a downtime drill: this workstation cuts itself off from the server on purpose, says so on every screen, and
    /// measures whether its emergency cards open. It ends by anybody ([`Self::end_drill`]), by its time, by breaking the glass, and
    /// with the program.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::Denied`], [`EngineError::AuditFailed`]; [`EngineError::Usage`] where something
    /// is missing here already, critical results wait, or it would last longer than an hour.
    pub async fn start_drill(&self, length: Duration) -> Result<(), EngineError> {
        let station = self.station()?;
        self.inner
            .handle
            .spawn(async move { drill::start(&station, length).await })
            .await
            .map_err(|_| EngineError::Internal("beginning a drill"))?
    }

    /// Ends a downtime drill; nobody need be signed in. What it found stays on the status screen. Nothing happens when none runs.
    ///
    /// # Errors
    /// That of a workstation that cannot be used.
    pub async fn end_drill(&self) -> Result<(), EngineError> {
        self.blocking(|s| {
            drill::end(s, drill::How::Person);
            Ok(())
        })
        .await
    }

    /// Checks everything that is stored here, to the last byte, and whether the glass could be broken. Runs on a thread that
    /// gives way to every other. What does not hold is fetched anew.
    ///
    /// # Errors
    /// That of a workstation that cannot be used; [`EngineError::Usage`] while another check runs.
    pub async fn verify_stored(&self) -> Result<CheckView, EngineError> {
        let station = self.station()?;
        let (done, answer) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("check".to_owned())
            .spawn(move || {
                give_way();
                let found = integrity::run(&station).map(|f| f.view(&station));
                station.tell_status();
                drop(station);
                let _ = done.send(found);
            })
            .map_err(EngineError::io("beginning a check"))?;
        answer
            .await
            .map_err(|_| EngineError::Internal("checking the stored data"))?
    }

    /// Rows of this workstation's audit chain after `after`, in order. Bodies hold PHI: for IT with the rights to it.
    ///
    /// # Errors
    /// [`EngineError::Damaged`].
    pub async fn audit_list(&self, after: u64, limit: usize) -> Result<Vec<Row>, EngineError> {
        self.blocking(move |s| Ok(s.outbox.rows(after, limit)?.rows))
            .await
    }

    /// Checks the audit chain against the signed head. Gives the head reached.
    ///
    /// # Errors
    /// [`EngineError::Store`] with the first bad row; [`EngineError::Unsafe`] when the signed head is not ours.
    pub async fn audit_verify(&self) -> Result<Head, EngineError> {
        self.blocking(|s| {
            let device = s.device().device.clone();
            let sealed = read_head(&s.profile.audit_head(), &s.key, &device)?;
            Ok(s.outbox.verify(sealed)?)
        })
        .await
    }

    /// Keeps the session for the next runs of `vitrine-cli` (fifteen minutes, sealed with the device's key).
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`], [`EngineError::Io`].
    pub async fn save_session(&self, secret: &str) -> Result<(), EngineError> {
        let secret = Zeroizing::new(secret.to_owned());
        self.blocking(move |s| session::save_current(s, &secret)).await
    }

    /// Takes up a session kept by an earlier run.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`] when there is none that is fresh.
    pub fn restore_session(&self) -> Result<SessionView, EngineError> {
        let station = self.station()?;
        if let Some(past) = horizon::left(&station).filter(|l| l.over()) {
            session::forget_saved(&station.profile)?;
            return Err(EngineError::HorizonPassed { days: past.days });
        }
        let kept = session::restore(&station)?;
        let view = kept.view(layouts::view(&station, &kept.person));
        if let Some(token) = &kept.token {
            station.command(link::Command::SignedIn {
                token: token.to_string(),
            });
        }
        *station.session_mut() = Some(kept);
        Ok(view)
    }

    /// Destroys a kept session, and ends the emergency access of whose it was.
    ///
    /// # Errors
    /// [`EngineError::Io`] when it is still there.
    pub fn forget_session(&self) -> Result<(), EngineError> {
        let station = self.station()?;
        if station.session().is_none()
            && let Ok(user) = session::kept_of(&station)
        {
            break_glass::after::session_over(&station, &user, Ended::Person);
        }
        station.lock(Ended::Person);
        session::forget_saved(&station.profile)
    }
}
