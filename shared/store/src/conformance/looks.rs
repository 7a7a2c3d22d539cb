//! Cases about finding rows of the audit log.

use super::hospital::{Hospital, pat, person};
use crate::audit_find::{AuditCursor, AuditQuery, FoundRow, MOST, actor_name};
use crate::{EnrolCode, NewDevice, StoreError};
use std::collections::BTreeSet;
use uuid::Uuid;
use vitrine_access::action::ReadAudit;
use vitrine_access::chain::{Head, Row};
use vitrine_access::{AccessId, Actor, AuditEntry, Decision, Disclosure, Purpose};
use vitrine_clinical::{DeviceId, UserId, UtcMs, WardId};

/// A small generator, so that a failure can be repeated.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

const ACTS: [&str; 6] = [
    "read-card",
    "read-chart",
    "view-board",
    "search-patients",
    "break-glass",
    "an-act-of-tomorrow",
];
const DEVICES: [&str; 3] = ["dev-b", "dev-a", "dev-c"];
/// Rows of many share a time.
const TIMES: u64 = 60;

fn device(id: &str) -> DeviceId {
    DeviceId::new(id).expect("a device")
}

fn entry(h: &Hospital, dice: &mut Dice, at: i64) -> AuditEntry {
    let actor = match dice.roll(8) {
        0 => Actor::Client("labs".to_owned()),
        1 => Actor::Operator("root".to_owned()),
        2 => Actor::Device(device(DEVICES[dice.roll(3) as usize])),
        n => Actor::User(UserId::new(format!("user{}", n % 4)).expect("a user")),
    };
    let named = |dice: &mut Dice| pat(&format!("p{}", dice.roll(9)));
    let patients: BTreeSet<_> = (0..dice.roll(6)).map(|_| named(dice)).collect();
    AuditEntry {
        access_id: AccessId(Uuid::from_u128(u128::from(h.number()) | (9 << 76))),
        at: UtcMs(at),
        actor,
        device: (dice.roll(3) > 0).then(|| device(DEVICES[dice.roll(3) as usize])),
        action: ACTS[dice.roll(6) as usize].to_owned(),
        purpose: Purpose::Treatment,
        decision: if dice.roll(7) == 0 {
            Decision::Deny
        } else {
            Decision::Permit
        },
        rule: "suite".to_owned(),
        grant: None,
        patient: (dice.roll(3) == 0).then(|| named(dice)),
        disclosure: Disclosure {
            patients: patients.into_iter().collect(),
            ..Disclosure::default()
        },
        notes: std::collections::BTreeMap::new(),
    }
}

/// Every row of every chain, as the chains give them.
async fn everything(h: &Hospital) -> Vec<FoundRow> {
    let mut out = Vec::new();
    for (chain, _) in h.store.heads().await.expect("heads") {
        let permit = h.operator::<ReadAudit>();
        let rows = h.store.rows(&permit, &chain, 0, 100_000).await.expect("rows");
        out.extend(rows.into_iter().map(|r| {
            let entry: Option<AuditEntry> = serde_json::from_str(&r.row.body).ok();
            FoundRow {
                chain: chain.clone(),
                seq: r.row.seq,
                at: entry.as_ref().map_or(UtcMs(0), |e| e.at),
                entry,
            }
        }));
    }
    out
}

/// What is asked, in other words than the stores use.
fn asked(q: &AuditQuery, row: &FoundRow) -> bool {
    let in_time = q.from.is_none_or(|f| f.0 <= row.at.0) && q.until.is_none_or(|u| row.at.0 < u.0);
    let Some(e) = &row.entry else {
        return in_time
            && q.patient.is_none()
            && q.user.is_none()
            && q.device.is_none()
            && q.action.is_none();
    };
    let patient = |p| e.patient.as_ref() == Some(p) || e.disclosure.patients.iter().any(|d| d == p);
    let at_device = |d: &DeviceId| e.device.as_ref() == Some(d) || e.actor == Actor::Device(d.clone());
    in_time
        && q.patient.as_ref().is_none_or(patient)
        && q.user.as_ref().is_none_or(|u| actor_name(&e.actor) == u)
        && q.device.as_ref().is_none_or(at_device)
        && q.action.as_ref().is_none_or(|a| *a == e.action)
}

fn sorted(mut rows: Vec<FoundRow>) -> Vec<FoundRow> {
    rows.sort_by(|a, b| (b.at, &b.chain, b.seq).cmp(&(a.at, &a.chain, a.seq)));
    rows
}

fn question(dice: &mut Dice) -> AuditQuery {
    let time = |dice: &mut Dice| UtcMs(1_000 + dice.roll(TIMES + 2) as i64 - 1);
    AuditQuery {
        patient: (dice.roll(2) == 0).then(|| pat(&format!("p{}", dice.roll(10)))),
        user: match dice.roll(5) {
            0 => Some(format!("user{}", dice.roll(5))),
            1 => Some(["labs", "root", "dev-a"][dice.roll(3) as usize].to_owned()),
            _ => None,
        },
        device: (dice.roll(4) == 0).then(|| device(DEVICES[dice.roll(3) as usize])),
        action: (dice.roll(4) == 0).then(|| ACTS[dice.roll(6) as usize].to_owned()),
        from: (dice.roll(3) == 0).then(|| time(dice)),
        until: (dice.roll(3) == 0).then(|| time(dice)),
        before: None,
        limit: 1 + dice.roll(40) as usize,
    }
}

async fn find(h: &Hospital, query: &AuditQuery) -> Result<(Vec<FoundRow>, Option<AuditCursor>), StoreError> {
    let found = h.store.find(&h.operator::<ReadAudit>(), query.clone()).await?;
    Ok((found.rows, found.next))
}

/// A workstation whose rows come in later.
struct Station {
    id: DeviceId,
    head: Head,
}

impl Station {
    async fn new(h: &Hospital, n: u8) -> Self {
        let id = device(DEVICES[usize::from(n)]);
        let code = EnrolCode {
            hash: [n; 32],
            ward: WardId::new("ED").expect("a ward"),
            site: false,
            until: UtcMs(i64::MAX),
        };
        h.store.put_enrol_code(&h.operator(), code).await.expect("code");
        let new = NewDevice {
            id: id.clone(),
            name: "desk".to_owned(),
            public_key: vec![n; 32],
        };
        h.store.enrol([n; 32], new, h.now()).await.expect("enrolled");
        Self {
            id,
            head: Head::EMPTY,
        }
    }

    fn row(&mut self, body: String) -> Row {
        let (prev, next) = (self.head.hash, self.head.after(body.as_bytes()));
        self.head = next;
        Row {
            seq: next.seq,
            prev,
            hash: next.hash,
            body,
        }
    }
}

pub(super) async fn finds_rows_of_all_chains(h: Hospital) {
    let mut dice = Dice(20_261_129);
    let mut stations = Vec::new();
    for n in 0..2 {
        stations.push(Station::new(&h, n).await);
    }
    let time = |dice: &mut Dice| 1_000 + dice.roll(TIMES) as i64;
    for _ in 0..60 {
        for _ in 0..dice.roll(6) {
            let at = time(&mut dice);
            let e = entry(&h, &mut dice, at);
            h.append(e).await;
        }
        let s = dice.roll(2) as usize;
        let mut rows = Vec::new();
        for _ in 0..dice.roll(5) {
            let at = time(&mut dice);
            let e = entry(&h, &mut dice, at);
            rows.push(stations[s].row(serde_json::to_string(&e).expect("an entry")));
        }
        if dice.roll(20) == 0 {
            rows.push(stations[s].row("{\"n\":0}".to_owned()));
        }
        h.store
            .accept_device_rows(&stations[s].id, rows.clone())
            .await
            .expect("taken");
        h.store
            .accept_device_rows(&stations[s].id, rows)
            .await
            .expect("taken once");
    }
    let mut seen = 0;
    let mut later = 1_000_000;
    for n in 0..160 {
        let mut q = question(&mut dice);
        let want = sorted(
            everything(&h)
                .await
                .into_iter()
                .filter(|r| asked(&q, r))
                .collect(),
        );
        let (whole, _) = find(
            &h,
            &AuditQuery {
                limit: MOST,
                ..q.clone()
            },
        )
        .await
        .expect("found");
        assert_eq!(sorted(whole.clone()), want, "{q:?}");
        assert!(
            whole.is_sorted_by(|a, b| a.at > b.at || a.at == b.at && (a.chain != b.chain || a.seq > b.seq)),
            "newest first: {q:?}"
        );
        seen += whole.len();
        let mut paged: Vec<FoundRow> = Vec::new();
        loop {
            let (rows, next) = find(&h, &q).await.expect("found");
            assert!(rows.len() <= q.limit);
            paged.extend(rows);
            if next.is_none() {
                break;
            }
            assert_eq!(next, paged.last().map(FoundRow::cursor));
            q.before = next;
            // Rows come in meanwhile, newer than what was shown: on all chains.
            if n % 8 == 0 && paged.len() < 200 {
                later += 1;
                let e = entry(&h, &mut dice, later);
                h.append(e).await;
                let e = entry(&h, &mut dice, later);
                let row = stations[0].row(serde_json::to_string(&e).expect("an entry"));
                h.store
                    .accept_device_rows(&stations[0].id, vec![row])
                    .await
                    .expect("taken");
            }
        }
        assert_eq!(paged, whole, "pages are the whole: {q:?}");
    }
    assert!(seen > 2_000, "the questions have answers: {seen}");
    // Whatever writes a row writes its entries: here a batch.
    h.apply(vec![person("p-new", "Ann Somebody", "1980", "9")]).await;
    let q = AuditQuery {
        patient: Some(pat("p-new")),
        limit: 10,
        ..AuditQuery::default()
    };
    let (rows, next) = find(&h, &q).await.expect("found");
    let acts: Vec<&str> = rows
        .iter()
        .filter_map(|r| Some(r.entry.as_ref()?.action.as_str()))
        .collect();
    assert_eq!((acts, next), (vec!["write-clinical"], None));
}

pub(super) async fn refuses_what_cannot_be_asked(h: Hospital) {
    for limit in [0, MOST + 1] {
        let q = AuditQuery {
            limit,
            ..AuditQuery::default()
        };
        assert!(
            matches!(find(&h, &q).await, Err(StoreError::Refused(_))),
            "{limit}"
        );
    }
    let q = AuditQuery {
        limit: 1,
        ..AuditQuery::default()
    };
    assert_eq!(find(&h, &q).await, Ok((Vec::new(), None)), "an empty log");
    let place = AuditCursor {
        at: UtcMs(1),
        chain: "nowhere".to_owned(),
        seq: 1,
    };
    let q = AuditQuery {
        before: Some(place),
        ..q
    };
    assert!(matches!(find(&h, &q).await, Err(StoreError::Refused(_))));
}
