//! The hub: one reader of the feed, frames built once, handed to every connection that listens.
//!
//! Lives here: who listens to what, reading the feed, the shared pages and digests. Never here: sockets, decisions.
//! Called by `session` and `work`; started by `cli::serve`.
//!
//! Connections take frames from queues that their tasks always drain (a task never waits for its socket), so these
//! queues stay short; what waits for a slow socket waits in the session's bounded lanes.

use crate::app::App;
use crate::clock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use vitrine_access::Disclosure;
use vitrine_store::{FeedRow, StoreError};
use vitrine_sync::fanout::{self, Item, Row, ScopeFrame};
use vitrine_sync::server::{Event, PageRead};
use vitrine_wire::digest::ScopeDigest;

/// Feed rows read at a time.
const STEP: usize = 2000;
/// Shared pages kept.
const PAGES: usize = 2048;

/// What comes to a connection from inside the server. Small: every connection keeps room for thirty.
pub enum Inside {
    /// An answer to one of its effects.
    Event(Box<Event>),
    /// A live frame.
    Frame(Arc<ScopeFrame>),
    /// Look again who you serve.
    Recheck(Changed),
    /// The server stops, or hands its workstations over to another: come back after so long.
    Close {
        /// Ms.
        after_ms: u32,
    },
}

/// What may have changed for a connection.
#[derive(Debug, Clone)]
pub enum Changed {
    /// Accounts, grants or wards.
    People,
    /// A grant ended.
    Grants,
    /// This session ended.
    Session([u8; 32]),
    /// A workstation.
    Devices,
}

type Listeners = HashMap<u64, UnboundedSender<Inside>>;

/// A scope and the key a page begins after.
type PageKey = (Arc<str>, Option<String>);

#[derive(Default)]
struct Index {
    connections: HashMap<u64, UnboundedSender<Inside>>,
    scopes: HashMap<Arc<str>, Listeners>,
    /// Pages shared by those who ask for the same while nothing of their scope changes.
    pages: HashMap<PageKey, (PageRead, Disclosure)>,
    digests: HashMap<Arc<str>, (u64, Arc<ScopeDigest>)>,
    /// Newest position of a scope that has something kept.
    changed: HashMap<Arc<str>, u64>,
}

/// The hub.
pub struct Hub {
    index: Mutex<Index>,
    next: AtomicU64,
    fed: AtomicU64,
    behind_ms: AtomicU64,
    handing_over: watch::Sender<bool>,
    newest: watch::Receiver<u64>,
}

impl Hub {
    /// A hub of a store's feed.
    #[must_use]
    pub fn new(newest: watch::Receiver<u64>) -> Self {
        let fed = *newest.borrow();
        Self {
            index: Mutex::default(),
            next: AtomicU64::new(1),
            fed: AtomicU64::new(fed),
            behind_ms: AtomicU64::new(0),
            handing_over: watch::Sender::new(false),
            newest,
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection begins; gives its number.
    pub fn enter(&self, to: UnboundedSender<Inside>) -> u64 {
        let id = self.next.fetch_add(1, SeqCst);
        self.index().connections.insert(id, to);
        id
    }

    /// A connection ended.
    pub fn leave(&self, id: u64, scopes: &[String]) {
        let mut index = self.index();
        index.connections.remove(&id);
        for scope in scopes {
            index.unlisten(id, scope);
        }
    }

    /// From now on every frame of the scope goes to the connection.
    pub fn listen(&self, id: u64, scope: &str) {
        let mut index = self.index();
        let Some(to) = index.connections.get(&id).cloned() else {
            return;
        };
        index.scopes.entry(Arc::from(scope)).or_default().insert(id, to);
    }

    /// No longer.
    pub fn unlisten(&self, id: u64, scope: &str) {
        self.index().unlisten(id, scope);
    }

    /// Connections.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.index().connections.len()
    }

    /// Tells every connection to look again who it serves.
    pub fn recheck(&self, what: &Changed) {
        for to in self.index().connections.values() {
            let _ = to.send(Inside::Recheck(what.clone()));
        }
    }

    /// Ends every connection; each comes back after so long, and by chance up to `spread_ms` later.
    pub fn close(&self, after_ms: u32, spread_ms: u32) {
        for to in self.all() {
            let chance = u32::from_le_bytes(clock::random()) % spread_ms.max(1);
            let _ = to.send(Inside::Close {
                after_ms: after_ms + chance,
            });
        }
    }

    /// Where to reach every connection.
    #[must_use]
    pub fn all(&self) -> Vec<UnboundedSender<Inside>> {
        self.index().connections.values().cloned().collect()
    }

    /// From now on new connections are turned away, or taken again.
    pub fn hand_over(&self, on: bool) {
        self.handing_over.send_replace(on);
    }

    /// Whether new connections are turned away.
    #[must_use]
    pub fn hands_over(&self) -> bool {
        *self.handing_over.borrow()
    }

    /// The same, to wait for.
    #[must_use]
    pub fn handing_over(&self) -> watch::Receiver<bool> {
        self.handing_over.subscribe()
    }

    /// Position up to which every frame was handed on, and how long after its commit, ms.
    #[must_use]
    pub fn fed(&self) -> (u64, u64) {
        (self.fed.load(SeqCst), self.behind_ms.load(SeqCst))
    }

    /// Newest committed position.
    #[must_use]
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// A page somebody else read, if nothing of its scope has changed since: the hub must have handed on everything
    /// that is committed, else a change might not have been seen yet.
    #[must_use]
    pub fn kept_page(&self, scope: &str, after: Option<&str>) -> Option<(PageRead, Disclosure)> {
        let index = self.index();
        if self.fed.load(SeqCst) < self.newest() {
            return None;
        }
        index
            .pages
            .get(&(Arc::from(scope), after.map(str::to_owned)))
            .cloned()
    }

    /// Keeps a page for others, unless its scope has changed since it was read.
    pub fn keep_page(&self, scope: &str, after: Option<&str>, page: &PageRead, disclosure: &Disclosure) {
        let mut index = self.index();
        let scope: Arc<str> = Arc::from(scope);
        if index.changed.get(&scope).is_some_and(|c| *c > page.pos) {
            return;
        }
        if index.pages.len() >= PAGES {
            index.pages.clear();
        }
        let value = (page.clone(), disclosure.clone());
        index.pages.insert((scope, after.map(str::to_owned)), value);
    }

    /// A digest somebody else computed, if nothing of its scope has changed since.
    #[must_use]
    pub fn kept_digest(&self, scope: &str) -> Option<(u64, Arc<ScopeDigest>)> {
        let index = self.index();
        if self.fed.load(SeqCst) < self.newest() {
            return None;
        }
        index.digests.get(scope).cloned()
    }

    /// Keeps a digest for others.
    pub fn keep_digest(&self, scope: &str, pos: u64, digest: &Arc<ScopeDigest>) {
        let mut index = self.index();
        let scope: Arc<str> = Arc::from(scope);
        if index.changed.get(&scope).is_none_or(|c| *c <= pos) {
            index.digests.insert(scope, (pos, digest.clone()));
        }
    }
}

impl Index {
    fn unlisten(&mut self, id: u64, scope: &str) {
        if let Some(listeners) = self.scopes.get_mut(scope) {
            listeners.remove(&id);
            if listeners.is_empty() {
                self.scopes.remove(scope);
            }
        }
    }

    /// Something of these scopes changed: what is kept of them is old.
    fn forget(&mut self, rows: &[FeedRow]) {
        for row in rows {
            let scope: Arc<str> = Arc::from(row.scope.as_str());
            self.digests.remove(&scope);
            // Patients' scopes are many and small: only what is shared by many is worth remembering.
            if !vitrine_sync::scope::is_patient(&scope) {
                self.changed.insert(scope, row.pos);
            }
        }
        let touched: std::collections::HashSet<&str> = rows.iter().map(|r| r.scope.as_str()).collect();
        if !self.pages.is_empty() {
            self.pages.retain(|(scope, _), _| !touched.contains(&**scope));
        }
    }
}

/// Starts the reader of the feed and the regular look at sessions.
pub fn start(app: &Arc<App>) {
    let reader = app.clone();
    tokio::spawn(async move {
        let mut newest = reader.store.watch();
        loop {
            if let Err(e) = read_on(&reader).await {
                tracing::error!(error = %e, "the feed could not be read");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            if *newest.borrow_and_update() <= reader.hub.fed.load(SeqCst) && newest.changed().await.is_err() {
                return;
            }
        }
    });
    let looker = app.clone();
    tokio::spawn(async move {
        let mut turn = tokio::time::interval(Duration::from_secs(10));
        loop {
            turn.tick().await;
            looker.hub.recheck(&Changed::People);
        }
    });
}

/// Hands on everything that is committed.
async fn read_on(app: &App) -> Result<(), StoreError> {
    let hub = &app.hub;
    loop {
        let began = clock::steady();
        let from = hub.fed.load(SeqCst);
        let batch = app.store.changes_since(from, None, STEP).await?;
        let more = batch.rows.len() >= STEP;
        let mut heard = Vec::new();
        {
            app.last_known.changed(&batch.rows);
            let mut index = hub.index();
            index.forget(&batch.rows);
            heard.extend(
                batch
                    .rows
                    .into_iter()
                    .filter(|r| index.scopes.contains_key(r.scope.as_str())),
            );
        }
        for rows in fanout::by_scope(heard.into_iter().map(row).collect()) {
            let frames = match frames(app, &rows).await {
                Ok(frames) => frames,
                Err(Unbuilt::Store(e)) => return Err(e),
                Err(Unbuilt::Build(e)) => {
                    // Nothing of it is sent: its workstations find the gap and ask.
                    tracing::error!(error = %e, "a delta could not be built");
                    app.metrics.alarm();
                    continue;
                }
            };
            let index = hub.index();
            let Some(listeners) = index.scopes.get(rows.scope.as_str()) else {
                continue;
            };
            for frame in &frames {
                app.metrics.frames(listeners.len() as u64);
                for to in listeners.values() {
                    let _ = to.send(Inside::Frame(frame.clone()));
                }
            }
        }
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(0);
        hub.behind_ms.store(took, SeqCst);
        hub.fed.fetch_max(batch.pos, SeqCst);
        if !more {
            return Ok(());
        }
    }
}

/// Why frames were not built.
pub enum Unbuilt {
    /// The store failed.
    Store(StoreError),
    /// An item is not what it should be.
    Build(fanout::BuildError),
}

/// A feed row as the protocol has it.
#[must_use]
pub fn row(r: FeedRow) -> Row {
    Row {
        pos: r.pos,
        scope: r.scope,
        key: r.key,
        prev: r.prev,
        ver: r.ver,
        tomb: r.tomb,
    }
}

/// The deltas of one scope's rows.
///
/// # Errors
/// [`Unbuilt`].
pub async fn frames(app: &App, rows: &fanout::ScopeRows) -> Result<Vec<Arc<ScopeFrame>>, Unbuilt> {
    let keys = rows.keys();
    let items = if keys.is_empty() {
        Vec::new()
    } else {
        app.store
            .items(&rows.scope, &keys)
            .await
            .map_err(Unbuilt::Store)?
    };
    let items: Vec<Item> = items
        .into_iter()
        .map(|i| Item {
            key: i.key,
            ver: i.ver,
            version: i.version,
            body: i.body,
        })
        .collect();
    fanout::build(rows, &items).map_err(Unbuilt::Build)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(hub: &Hub, pos: u64) {
        let page = PageRead {
            frame: fanout::chunk("ess:ED", &[], None).unwrap(),
            next_after: None,
            pos,
            rev: 0,
            total: 0,
            oldest: 0,
        };
        hub.keep_page("ess:ED", None, &page, &Disclosure::default());
    }

    #[test]
    fn a_page_is_shared_until_its_scope_changes() {
        let (newest, seen) = watch::channel(5);
        let hub = Hub::new(seen);
        kept(&hub, 5);
        assert!(hub.kept_page("ess:ED", None).is_some());
        assert!(hub.kept_page("ess:ICU", None).is_none());
        newest.send_replace(6);
        assert!(
            hub.kept_page("ess:ED", None).is_none(),
            "a commit that was not read yet may be in it"
        );
        let row = |scope: &str, pos| FeedRow {
            pos,
            scope: scope.into(),
            key: "p".into(),
            prev: 1,
            ver: 2,
            tomb: false,
        };
        hub.index().forget(&[row("ess:ICU", 6)]);
        hub.fed.store(6, SeqCst);
        assert!(hub.kept_page("ess:ED", None).is_some());
        hub.index().forget(&[row("ess:ED", 7)]);
        newest.send_replace(7);
        hub.fed.store(7, SeqCst);
        assert!(hub.kept_page("ess:ED", None).is_none());
        kept(&hub, 6);
        assert!(
            hub.kept_page("ess:ED", None).is_none(),
            "read before the change, kept after it"
        );
        kept(&hub, 7);
        assert!(hub.kept_page("ess:ED", None).is_some());
    }
}
