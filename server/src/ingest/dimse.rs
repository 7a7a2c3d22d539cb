//! DIMSE: C-ECHO and C-STORE from modalities (PS3.7 §9, PS3.4 annex B), C-FIND for whoever may ask, over TCP or TLS.
//!
//! Lives here: associations, receiving a data set into a file while it arrives. Never here: the command sets (`command`), who
//! may call (`peers`), what becomes of an object (`imaging::filing`), the upper layer's bytes (`dicom-ul`). Started by `cli::serve`.
//!
//! A peer must be in `dimse.peers`; nobody else is let in. The data set is kept as it was sent, behind file meta that this
//! server writes, which says whom it came from. The messages of an association are answered one after the other.

use super::command::{C_CANCEL, C_ECHO, C_FIND, C_STORE, Command, DATA, NO_DATA};
use super::find;
use super::peers::{Allowed, Peer};
use super::permits::OfProgram;
use crate::app::App;
use crate::config;
use crate::error::Fault;
use crate::imaging::blobs::Incoming;
use crate::imaging::filing::{Filer, Outcome};
use dicom_ul::association::Association as _;
use dicom_ul::association::server::{AsyncServerAssociation, ServerAssociationOptions};
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu, PresentationContextResultReason};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use vitrine_dicom::{syntax, write};
use vitrine_store::StoreError;

/// Bytes of a PDU that a peer may send.
const PDU: u32 = 128 << 10;
/// Bytes of a command set at most: there are a dozen short elements in one.
const COMMAND_MOST: usize = 16 << 10;
/// A peer that says nothing for so long is cut off.
const SILENT: Duration = Duration::from_secs(60);
/// A handshake and the request of an association may take so long (the ARTIM timer of PS3.8 §9.1.5).
const BEGINNING: Duration = Duration::from_secs(10);

/// Bytes of a fragment that is sent: every peer takes PDUs of 4 KiB.
const FRAGMENT: usize = 4000;

/// Status (0000,0900): PS3.7 annex C, PS3.4 table B.2-1.
const SUCCESS: u16 = 0x0000;
const FAILED: u16 = 0x0110;
const NOT_SUPPORTED: u16 = 0x0122;
const NOT_RECOGNIZED: u16 = 0x0211;
const NO_ROOM: u16 = 0xA700;

/// What every Storage SOP class begins with (PS3.4 annex B), but for the few below.
const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";
/// Storage classes with another beginning: hanging protocols, colour palettes, generic implants, inventories.
const OTHER_STORAGE: &[&str] = &["1.2.840.10008.5.1.4.38.1", "1.2.840.10008.5.1.4.39.1"];
const VERIFICATION: &str = "1.2.840.10008.1.1";

/// Listens, when the configuration says where; gives the address.
///
/// # Errors
/// [`Fault`] for an address that cannot be bound.
pub async fn start(app: &Arc<App>) -> Result<Option<SocketAddr>, Fault> {
    let address = app.config.dimse.address.as_str();
    if address == "off" {
        return Ok(None);
    }
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| Fault::failed(format!("dimse.address {address} cannot be listened on: {e}")))?;
    let at = listener
        .local_addr()
        .map_err(|e| Fault::failed(format!("dimse.address {address}: {e}")))?;
    let tls = if app.config.dimse.tls {
        let tls = crate::http::tls::config(app)
            .map_err(|e| Fault::unsafe_to(format!("tls.pem and keys/tls.key do not fit: {e}")))?;
        Some(Arc::new(tls))
    } else {
        None
    };
    let read = |all: &[String]| all.iter().filter_map(|p| Peer::parse(p)).collect::<Vec<_>>();
    let query: Arc<[Peer]> = read(&app.config.dimse.query).into();
    let peers: Arc<[Peer]> = [read(&app.config.dimse.peers), query.to_vec()].concat().into();
    if peers.is_empty() {
        tracing::warn!("dimse.peers is empty: no modality is let in");
    }
    let shared = Arc::new(Shared {
        app: app.clone(),
        tls,
        peers,
        query,
        open: AtomicUsize::new(0),
    });
    tokio::spawn(accept(listener, shared));
    Ok(Some(at))
}

struct Shared {
    app: Arc<App>,
    tls: Option<Arc<rustls::ServerConfig>>,
    peers: Arc<[Peer]>,
    query: Arc<[Peer]>,
    open: AtomicUsize,
}

impl Shared {
    fn config(&self) -> &config::Dimse {
        &self.app.config.dimse
    }
}

/// A place among the associations.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!(error = %e, "a modality's connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        // Where every peer has an address, nobody else takes a place.
        if shared.peers.iter().all(|p| p.is_elsewhere(from.ip())) {
            tracing::warn!(%from, "no peer of dimse.peers has this address: refused");
            continue;
        }
        // A server that drains takes nothing new; a modality tries another one, or again.
        if *shared.app.draining.borrow() {
            continue;
        }
        if shared.open.fetch_add(1, SeqCst) >= shared.config().associations {
            shared.open.fetch_sub(1, SeqCst);
            shared
                .app
                .metrics
                .count("vitrine_dimse_refused_total", "why=\"full\"", 1);
            tracing::warn!(%from, "more associations than dimse.associations: refused");
            continue;
        }
        let place = Place(shared.clone());
        tokio::spawn(async move { associate(socket, from, &place.0).await });
    }
}

async fn associate(socket: TcpStream, from: SocketAddr, shared: &Arc<Shared>) {
    // Small answers must not wait for an acknowledgement: with Nagle's algorithm each object costs 40 ms.
    if let Err(e) = socket.set_nodelay(true) {
        tracing::debug!(error = %e, "TCP_NODELAY");
    }
    let quick = Quick::of(&socket);
    let allowed = Allowed {
        title: &shared.config().title,
        peers: &shared.peers,
        from: from.ip(),
    };
    let mut options = ServerAssociationOptions::new()
        .ae_access_control(allowed)
        .ae_title(shared.config().title.as_str())
        .max_pdu_length(PDU)
        .promiscuous(true)
        .read_timeout(SILENT)
        .write_timeout(SILENT);
    for syntax in syntax::ALL.iter().filter(|s| s.codec != syntax::Codec::Jpip) {
        options = options.with_transfer_syntax(syntax.uid);
    }
    let slow = |_| "no association was asked for in time".to_owned();
    let ended = match &shared.tls {
        Some(tls) => {
            let options = options.tls_config(tls.clone());
            match tokio::time::timeout(BEGINNING, options.establish_tls_async(socket)).await {
                Ok(Ok(association)) => Line::new(association, shared, from.ip(), quick).serve().await,
                Ok(Err(e)) => Err(e.to_string()),
                Err(e) => Err(slow(e)),
            }
        }
        None => match tokio::time::timeout(BEGINNING, options.establish_async(socket)).await {
            Ok(Ok(association)) => Line::new(association, shared, from.ip(), quick).serve().await,
            Ok(Err(e)) => Err(e.to_string()),
            Err(e) => Err(slow(e)),
        },
    };
    if let Err(e) = ended {
        // What is said of it may hold what the peer sent.
        let why: String = e.chars().filter(|c| !c.is_control()).take(200).collect();
        tracing::warn!(%from, why, "an association ended early");
    }
}

/// Acknowledges at once what came in, while more is waited for.
///
/// A sender that leaves Nagle's algorithm on (DCMTK's tools over TLS do) holds the last, short piece of an object back until the piece
/// before it is acknowledged, and the system waits 40 ms with that, because an answer might carry it along: each object
/// cost 45 ms that nobody worked in. The system forgets the wish, so it is said again with every wait.
struct Quick {
    #[cfg(target_os = "linux")]
    socket: Option<std::os::fd::OwnedFd>,
}

impl Quick {
    #[cfg(target_os = "linux")]
    fn of(socket: &TcpStream) -> Self {
        use std::os::fd::AsFd as _;
        Self {
            socket: socket.as_fd().try_clone_to_owned().ok(),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_: &TcpStream) -> Self {
        Self {}
    }

    fn now(&self) {
        #[cfg(target_os = "linux")]
        if let Some(socket) = &self.socket {
            // One that cannot is as slow as before.
            let _ = rustix::net::sockopt::set_tcp_quickack(socket, true);
        }
    }

    /// Waits for what is received.
    async fn acknowledging<T>(&self, receiving: impl Future<Output = T>) -> T {
        let mut receiving = std::pin::pin!(receiving);
        std::future::poll_fn(|cx| {
            let polled = receiving.as_mut().poll(cx);
            if polled.is_pending() {
                self.now();
            }
            polled
        })
        .await
    }
}

/// A message that is coming in.
enum Coming {
    /// Its command set.
    Command(Vec<u8>),
    /// The data set of a C-STORE, or why it is not kept.
    Store(Command, Result<Box<Incoming>, (u16, String)>),
    /// The identifier of a C-FIND, and its transfer syntax.
    Find(Command, String, Vec<u8>),
    /// The data set of something that is refused.
    Nothing(Command, u16),
}

/// An association at work.
struct Line<S> {
    association: AsyncServerAssociation<S>,
    filer: Arc<Filer>,
    app: Arc<App>,
    title: String,
    permits: OfProgram,
    /// Studies it sent something of, not counted yet.
    studies: BTreeSet<String>,
    /// It is in `dimse.query`.
    may_ask: bool,
    quick: Quick,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Line<S> {
    fn new(association: AsyncServerAssociation<S>, shared: &Shared, from: IpAddr, quick: Quick) -> Self {
        let title = association.peer_ae_title().trim().to_owned();
        let may_ask = shared.query.iter().any(|p| p.is(&title, from));
        Self {
            quick,
            may_ask,
            filer: shared.app.images.clone(),
            permits: OfProgram::peer(shared.app.clone(), &title),
            app: shared.app.clone(),
            title,
            studies: BTreeSet::new(),
            association,
        }
    }

    async fn serve(mut self) -> Result<(), String> {
        let ended = self.messages().await;
        // Whatever ended it: what was stored is counted.
        self.settle().await;
        ended
    }

    async fn settle(&mut self) {
        let studies = std::mem::take(&mut self.studies);
        self.filer.settle(&self.permits, &studies).await;
    }

    async fn messages(&mut self) -> Result<(), String> {
        let mut coming = Coming::Command(Vec::new());
        loop {
            match self
                .quick
                .acknowledging(self.association.receive())
                .await
                .map_err(|e| e.to_string())?
            {
                Pdu::PData { data } => {
                    for value in data {
                        coming = self.take(coming, value).await?;
                    }
                }
                Pdu::ReleaseRQ => {
                    // Before the answer: who was released finds all it sent counted.
                    self.settle().await;
                    return self
                        .association
                        .send(&Pdu::ReleaseRP)
                        .await
                        .map_err(|e| e.to_string());
                }
                Pdu::AbortRQ { .. } => return Ok(()),
                other => {
                    return Err(format!(
                        "a PDU that has no place here: {}",
                        other.short_description()
                    ));
                }
            }
        }
    }

    async fn take(&mut self, coming: Coming, value: PDataValue) -> Result<Coming, String> {
        let (context, last) = (value.presentation_context_id, value.is_last);
        match (coming, value.value_type) {
            (Coming::Command(mut bytes), PDataValueType::Command) => {
                bytes.extend_from_slice(&value.data);
                if bytes.len() > COMMAND_MOST {
                    return Err("a command set that does not end".to_owned());
                }
                if !last {
                    return Ok(Coming::Command(bytes));
                }
                let command = Command::read(&bytes).ok_or("a command set that cannot be read")?;
                self.begin(command, context).await
            }
            (Coming::Store(command, mut incoming), PDataValueType::Data) => {
                if let Ok(file) = &mut incoming
                    && let Err(e) = tokio::task::block_in_place(|| file.write(&value.data))
                {
                    incoming = Err(not_written(&e));
                }
                if !last {
                    return Ok(Coming::Store(command, incoming));
                }
                let (status, comment) = self.stored(incoming).await;
                self.answer(context, &command, status, &comment).await
            }
            (Coming::Find(command, syntax, mut bytes), PDataValueType::Data) => {
                bytes.extend_from_slice(&value.data);
                if bytes.len() > find::IDENTIFIER_MOST {
                    return Err("an identifier that does not end".to_owned());
                }
                if !last {
                    return Ok(Coming::Find(command, syntax, bytes));
                }
                self.found(context, &command, &syntax, &bytes).await
            }
            (Coming::Nothing(command, status), PDataValueType::Data) => {
                if last {
                    return self.answer(context, &command, status, "").await;
                }
                Ok(Coming::Nothing(command, status))
            }
            _ => Err("command and data in an order that is none".to_owned()),
        }
    }

    async fn begin(&mut self, command: Command, context: u8) -> Result<Coming, String> {
        let negotiated = self
            .association
            .presentation_contexts()
            .iter()
            .find(|c| c.id == context && c.reason == PresentationContextResultReason::Acceptance);
        let (class, syntax) = negotiated
            .map(|c| (c.abstract_syntax.clone(), c.transfer_syntax.clone()))
            .ok_or("a presentation context that was not agreed on")?;
        let status = match command.field {
            C_ECHO if class == VERIFICATION => SUCCESS,
            C_STORE if is_storage(&command.class) && command.has_data => {
                let incoming = self
                    .open(&command, &syntax)
                    .map_err(|e| not_written(&e))
                    .map(Box::new);
                return Ok(Coming::Store(command, incoming));
            }
            C_FIND if class == find::STUDY_ROOT && command.has_data => {
                if self.may_ask {
                    return Ok(Coming::Find(command, syntax, Vec::new()));
                }
                tracing::warn!("a C-FIND of a peer that is not in dimse.query: refused");
                let metrics = &self.app.metrics;
                metrics.count("vitrine_dimse_refused_total", "why=\"query\"", 1);
                find::NOT_AUTHORIZED
            }
            C_STORE | C_ECHO | C_FIND => NOT_SUPPORTED,
            // There is nothing under way that it could cancel, and it has no answer.
            C_CANCEL => return Ok(Coming::Command(Vec::new())),
            _ => NOT_RECOGNIZED,
        };
        if command.has_data {
            return Ok(Coming::Nothing(command, status));
        }
        self.answer(context, &command, status, "").await
    }

    /// A file that begins as PS3.10 wants it.
    fn open(&self, command: &Command, syntax: &str) -> io::Result<Incoming> {
        let mut head = Vec::new();
        write::meta(
            &mut head,
            syntax,
            &command.class,
            &command.instance,
            Some(&self.title),
        )?;
        let mut incoming = self.filer.blobs().receive()?;
        incoming.write(&head)?;
        Ok(incoming)
    }

    async fn stored(&mut self, incoming: Result<Box<Incoming>, (u16, String)>) -> (u16, String) {
        let received = match incoming {
            Ok(incoming) => tokio::task::spawn_blocking(move || incoming.finish()).await,
            Err(failed) => return failed,
        };
        let received = match received {
            Ok(Ok(received)) => received,
            Ok(Err(e)) => return not_written(&e),
            Err(_) => return (FAILED, "its file could not be written: send it again".to_owned()),
        };
        let source = format!("C-STORE of {}", self.title);
        match self.filer.take(&self.permits, received, &source, None).await {
            Ok(Outcome::Quarantined(held)) => (held.fault.code(), held.told().to_owned()),
            Ok(stored) => {
                self.studies.extend(stored.study().map(str::to_owned));
                (SUCCESS, String::new())
            }
            Err(StoreError::Full(_)) => (NO_ROOM, "no space left".to_owned()),
            Err(e) => {
                tracing::error!(error = %e, "an image could not be filed");
                (FAILED, "the store failed: send it again".to_owned())
            }
        }
    }

    /// Answers a C-FIND: a response with its data set for each match, then one without.
    async fn found(
        &mut self,
        context: u8,
        to: &Command,
        syntax: &str,
        identifier: &[u8],
    ) -> Result<Coming, String> {
        let found = find::find(&self.app, &self.title, identifier, syntax).await;
        let found = match found {
            Ok(found) => found,
            Err((status, why)) => return self.answer(context, to, status, &why).await,
        };
        let status = if found.wider {
            find::PENDING_WIDER
        } else {
            find::PENDING
        };
        for one in &found.matches {
            let part = |value_type, is_last, data: &[u8]| PDataValue {
                presentation_context_id: context,
                value_type,
                is_last,
                data: data.to_vec(),
            };
            let head = to.answer(status, "", DATA);
            let mut values = vec![part(PDataValueType::Command, true, &head)];
            let last = one.len().div_ceil(FRAGMENT).saturating_sub(1);
            for (n, bytes) in one.chunks(FRAGMENT).enumerate() {
                values.push(part(PDataValueType::Data, n == last, bytes));
            }
            for value in values {
                let pdu = Pdu::PData { data: vec![value] };
                self.association.send(&pdu).await.map_err(|e| e.to_string())?;
            }
        }
        let (status, comment) = find::end(&found);
        self.answer(context, to, status, comment).await
    }

    async fn answer(
        &mut self,
        context: u8,
        to: &Command,
        status: u16,
        comment: &str,
    ) -> Result<Coming, String> {
        let value = PDataValue {
            presentation_context_id: context,
            value_type: PDataValueType::Command,
            is_last: true,
            data: to.answer(status, comment, NO_DATA),
        };
        self.association
            .send(&Pdu::PData { data: vec![value] })
            .await
            .map_err(|e| e.to_string())?;
        Ok(Coming::Command(Vec::new()))
    }
}

fn is_storage(class: &str) -> bool {
    class.starts_with(STORAGE) || OTHER_STORAGE.contains(&class)
}

fn not_written(e: &io::Error) -> (u16, String) {
    tracing::error!(error = %e, "an image could not be written");
    match e.kind() {
        io::ErrorKind::StorageFull => (NO_ROOM, "no space left for images".to_owned()),
        _ => (FAILED, "its file could not be written: send it again".to_owned()),
    }
}
