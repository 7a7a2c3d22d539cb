//! The server inside the test's own process, on a store that fails as planned: real SQLCipher below it, real TLS and
//! HTTP above it.

use super::{client, placed};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use vitrine_access::policy;
use vitrine_access::{Action, Grant, Permit, grant::Reason};
use vitrine_clinical::{DeviceId, PatientId, UserId, WardId};
use vitrine_server::app::App;
use vitrine_server::cli::acts::operator_request;
use vitrine_server::config::Config;
use vitrine_server::data_dir::DataDir;
use vitrine_server::identity::sessions;
use vitrine_server::keys::Keys;
use vitrine_server::{clock, http, lanes, ops, ws};
use vitrine_store::faulty::FaultyStore;
use vitrine_store::{Account, AccountChange, EnrolCode, GrantRow, NewDevice};

/// The running server.
pub struct Inside {
    pub app: Arc<App>,
    pub store: Arc<FaultyStore>,
    pub addr: SocketAddr,
    pub metrics: SocketAddr,
    pub http: reqwest::Client,
    _stop: tokio::sync::watch::Sender<bool>,
}

fn permit<A: Action>() -> Permit<A> {
    policy::decide(operator_request("test")).unwrap()
}

impl Inside {
    /// Starts it on a new folder.
    pub async fn start(data: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let dir = DataDir::open(data, true).unwrap();
        let mut config = Config::default();
        change(&mut config);
        let keys = Keys::open(&dir, &config.tls, None).unwrap();
        let (real, _) = ops::backup::open_store(&dir, &keys, &config).await.unwrap();
        let store = Arc::new(FaultyStore::new(real));
        let app = App::new(dir, config, keys, store.clone()).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let tls = http::tls::acceptor(&app).unwrap();
        let router = http::router(app.clone());
        tokio::spawn(http::tls::serve(
            app.clone(),
            listener,
            Some(tls),
            router,
            stopped,
        ));
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metrics = other.local_addr().unwrap();
        let scraped = http::health::metrics_router(app.clone());
        tokio::spawn(async move { axum::serve(other, scraped).await });
        ws::hub::start(&app);
        lanes::start(&app);
        Self {
            http: client(data),
            app,
            store,
            addr,
            metrics,
            _stop: stop,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.addr)
    }

    pub fn get(&self, path: &str, token: &str) -> reqwest::RequestBuilder {
        self.http.get(self.url(path)).bearer_auth(token)
    }

    /// A nurse of a ward.
    pub async fn nurse(&self, name: &str, ward: &str) -> UserId {
        let user = UserId::new(name).unwrap();
        let account = Account {
            user: user.clone(),
            display: "A. Person".to_owned(),
            role: "nurse".parse().unwrap(),
            wards: vec![WardId::new(ward).unwrap()],
            password_phc: String::new(),
            pin_phc: None,
            disabled: false,
            badges: Vec::new(),
            version: 0,
        };
        let change = AccountChange::Put(account);
        self.app.store.change_account(&permit(), change).await.unwrap();
        user
    }

    /// A token of a new session.
    pub async fn session(&self, user: &UserId, device: Option<&DeviceId>) -> String {
        sessions::open_for_user(&self.app, user, device.cloned())
            .await
            .unwrap()
            .0
    }

    /// A program's token.
    pub async fn program(&self, scope: &str) -> String {
        let scopes = vec![scope.to_owned()];
        sessions::open_for_client(&self.app, "program", scopes)
            .await
            .unwrap()
            .0
    }

    /// A workstation with this key.
    pub async fn device(&self, id: &str, ward: &str, public_key: Vec<u8>) -> DeviceId {
        let hash = vitrine_server::identity::devices::code_hash(id);
        let code = EnrolCode {
            hash,
            ward: WardId::new(ward).unwrap(),
            site: false,
            until: clock::now().plus_ms(60_000),
        };
        self.app.store.put_enrol_code(&permit(), code).await.unwrap();
        let id = DeviceId::new(id).unwrap();
        let device = NewDevice {
            id: id.clone(),
            name: id.to_string(),
            public_key,
        };
        self.app.store.enrol(hash, device, clock::now()).await.unwrap();
        id
    }

    /// A grant in force.
    pub fn grant(&self, user: &UserId, device: Option<&DeviceId>, patient: &str) {
        let now = clock::now();
        let grant = Grant {
            id: clock::new_access(),
            user: user.clone(),
            device: device.cloned(),
            patient: PatientId::new(patient).unwrap(),
            reason: Reason::LifeThreatening,
            words: None,
            at: now.plus_ms(-1_000),
            until: now.plus_ms(3_600_000),
            offline: false,
            declared: None,
        };
        self.app.note_grant(GrantRow::new(grant, now));
    }

    /// Puts a patient into a ward.
    pub async fn patient(&self, id: &str, ward: &str) {
        let token = self.program("system/*.cruds").await;
        self.post(&token, "/fhir", placed(id, ward).to_string(), 200)
            .await;
    }

    pub async fn post(&self, token: &str, path: &str, body: String, want: u16) {
        let sent = self
            .http
            .post(self.url(path))
            .bearer_auth(token)
            .header("content-type", "application/fhir+json")
            .body(body)
            .send()
            .await
            .unwrap();
        let status = sent.status().as_u16();
        assert_eq!(status, want, "{}", sent.text().await.unwrap());
    }

    /// The server's audit rows of an act.
    pub async fn audited(&self, action: &str) -> Vec<serde_json::Value> {
        let reader: Permit<vitrine_access::action::ReadAudit> = permit();
        let rows = self.app.store.rows(&reader, "server", 0, 100_000).await.unwrap();
        rows.into_iter()
            .map(|r| serde_json::from_str::<serde_json::Value>(&r.row.body).unwrap())
            .filter(|r| r["action"] == action)
            .collect()
    }
}
