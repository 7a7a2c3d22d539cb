//! What happens to the simulated world: changes, faults, people.

use super::world::{Do, World};
use vitrine_sync::client::Event;
use vitrine_wire::message::AuditRow;

impl World {
    pub(super) fn change(&mut self) {
        if self.quiet {
            return;
        }
        for _ in 0..1 + self.rng.up_to(3) {
            self.hospital.change(&mut self.rng);
        }
        if !self.hub_due {
            self.hub_due = true;
            let lag = self.rng.up_to(60);
            self.later(lag, Do::Hub);
        }
        let wait = self.rng.up_to(900);
        self.later(wait, Do::Change);
    }

    pub(super) fn fault(&mut self) {
        if self.quiet {
            return;
        }
        let wait = self.rng.up_to(4_000);
        self.later(wait, Do::Fault);
        match self.rng.up_to(9) {
            0..=2 if self.faults.network => {
                if let Some(id) = self.some_link() {
                    self.cut(id);
                }
            }
            3 | 4 if self.faults.network => self.half_open(),
            5 => self.hospital.prune(&mut self.rng),
            6 if self.faults.restores => self.backup_or_restore(),
            7 => {
                // The workstation is carried to another ward.
                let n = self.someone();
                self.stations[n].ward = usize::try_from(self.rng.up_to(1)).unwrap();
                let ids: Vec<u64> = self
                    .links
                    .iter()
                    .filter(|(_, l)| l.client == n)
                    .map(|(id, _)| *id)
                    .collect();
                ids.into_iter().for_each(|id| self.cut(id));
            }
            _ => {}
        }
    }

    pub(super) fn someone(&mut self) -> usize {
        usize::try_from(self.rng.up_to(self.stations.len() as u64 - 1)).unwrap()
    }

    pub(super) fn some_link(&mut self) -> Option<u64> {
        let ids: Vec<u64> = self.links.keys().copied().collect();
        let last = (ids.len() as u64).checked_sub(1)?;
        Some(ids[usize::try_from(self.rng.up_to(last)).unwrap()])
    }

    /// The connection breaks: both ends learn of it, at different times; what was under way may still arrive late.
    pub(super) fn cut(&mut self, id: u64) {
        self.stats.cuts += 1;
        let l = self.links.get_mut(&id).unwrap();
        (l.up_dead, l.down_dead) = (true, true);
        let (n, conn) = (l.client, l.conn);
        let (a, b) = (self.rng.up_to(300), self.rng.up_to(3_000));
        self.later(a, Do::EndClient(n, conn));
        self.later(b, Do::EndServer(id));
    }

    /// One or both directions fall silent and nobody is told.
    pub(super) fn half_open(&mut self) {
        let Some(id) = self.some_link() else { return };
        self.stats.half_open += 1;
        let which = self.rng.up_to(2);
        let l = self.links.get_mut(&id).unwrap();
        l.up_dead |= which != 1;
        l.down_dead |= which != 0;
    }

    pub(super) fn backup_or_restore(&mut self) {
        if self.backup.is_none() {
            self.backup = Some(self.hospital.clone());
            return;
        }
        self.stats.restores += 1;
        let backup = self.backup.take().unwrap();
        self.hospital.restore(backup);
        self.hub_pos = self.hospital.pos;
        for (_, l) in std::mem::take(&mut self.links) {
            let wait = self.rng.up_to(20);
            self.later(wait, Do::EndClient(l.client, l.conn));
        }
    }

    /// People sign in and out, open and close charts, break the glass.
    pub(super) fn someone_acts(&mut self) {
        if self.quiet {
            return;
        }
        let wait = self.rng.up_to(1_500);
        self.later(wait, Do::Act);
        let n = self.someone();
        let patient = format!("p{}", self.rng.up_to(self.hospital.patients.len() as u64 - 1));
        match self.rng.up_to(7) {
            0 => {
                if std::mem::replace(&mut self.stations[n].signed_in, true) {
                    self.stations[n].open.clear();
                }
                self.feed_client(
                    n,
                    Event::SignedIn {
                        token: format!("t{}", self.now),
                    },
                );
            }
            1 if self.rng.up_to(2) == 0 => {
                self.stations[n].signed_in = false;
                self.stations[n].open.clear();
                self.feed_client(n, Event::SignedOut);
            }
            2 | 3 => {
                self.stations[n].open.push(patient.clone());
                self.feed_client(n, Event::OpenPatient { patient });
            }
            4 => {
                self.stations[n].open.retain(|p| *p != patient);
                self.feed_client(n, Event::ClosePatient { patient });
            }
            _ => {
                let o = &mut self.stations[n].outbox;
                let seq = o.rows.len() as u64 + 1;
                let body = format!("row {seq} of {n}");
                o.rows.push(AuditRow {
                    seq,
                    prev: String::new(),
                    hash: String::new(),
                    body,
                });
                if self.rng.up_to(4) == 0 {
                    let id = format!("g{n}-{seq}");
                    self.stations[n].outbox.grants.insert(id, false);
                }
                if self.rng.up_to(2) == 0 {
                    let o = &mut self.stations[n].outbox;
                    o.entries.push((format!("e{n}-{seq:06}"), false));
                }
                self.feed_client(n, Event::OutboxChanged);
            }
        }
    }
}
