//! A sender, and a server that knows it.

use super::harness::*;
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vitrine_hl7v2::Message;
use vitrine_hl7v2::charset::Charset;
use vitrine_hl7v2::frame::{Frames, block};

/// The feed of most tests.
pub const LAB: &str = "[mllp]\naddress = \"127.0.0.1:0\"\n[[mllp.feed]]\nname = \"lab\"\nfrom = [\"127.0.0.1\"]\nsystems = { MRN = \"urn:test:mrn\" }\n";

/// An admission of somebody to a ward.
pub fn admit(control: &str, mrn: &str, family: &str, ward: &str) -> String {
    format!(
        "MSH|^~\\&|ADT|NORTH|VITRINE|NORTH|20260301090000||ADT^A01^ADT_A01|{control}|P|2.5.1\rEVN|A01|20260301090000\rPID|1||{mrn}^^^MRN^MR||{family}^Ada||19600203|F\rPV1|1|E|{ward}^^1||||||||||||||||V{mrn}^^^VISIT^VN|||||||||||||||||||||||||20260301090000"
    )
}

/// One potassium of one order, reported at a time.
pub fn result(control: &str, mrn: &str, status: &str, value: &str, at: &str) -> String {
    format!(
        "MSH|^~\\&|LAB|NORTH|VITRINE|NORTH|{at}||ORU^R01^ORU_R01|{control}|P|2.5.1\rPID|1||{mrn}^^^MRN^MR||\rORC|RE|P{mrn}|F{mrn}\rOBR|1|P{mrn}|F{mrn}|K^Potassium panel^L|||20260301093000|||||||||||||||{at}|||{status}\rOBX|1|NM|2823-3^Potassium^LN||{value}|mmol/L^^UCUM|3.5-5.1|||||{status}|||20260301093000"
    )
}

/// What a sender hears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub code: String,
    pub control: String,
    pub error: String,
    pub place: String,
    pub text: String,
}

fn read(bytes: &[u8]) -> Answer {
    let m = Message::read(bytes, Charset::UTF_8).expect("an acknowledgement");
    let msa = m.first("MSA").expect("MSA");
    let err = m.first("ERR");
    let of = |field: usize| err.map_or(String::new(), |e| e.text(field));
    Answer {
        code: msa.text(1),
        control: msa.text(2),
        error: of(3),
        place: err.map_or(String::new(), |e| e.rep(2).whole()),
        text: of(8),
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection of a sender.
pub struct Line {
    stream: Box<dyn Stream>,
    frames: Frames,
}

impl Line {
    fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            frames: Frames::new(1 << 20),
        }
    }

    pub async fn plain(port: u16) -> Option<Self> {
        Some(Self::new(TcpStream::connect(("127.0.0.1", port)).await.ok()?))
    }

    /// Over TLS, with a certificate of one's own or none.
    pub async fn tls(data: &Path, port: u16, shown: Option<&(PathBuf, PathBuf)>) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for ca in CertificateDer::pem_file_iter(data.join("ca.pem")).unwrap() {
            roots.add(ca.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
                let key = PrivateKeyDer::from_pem_file(key).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config));
        Self::new(tls.connect(name, tcp).await.unwrap())
    }

    pub async fn write(&mut self, text: &str) {
        self.raw(&block(text.as_bytes())).await.unwrap();
    }

    pub async fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next answer; `None` when the connection ends first.
    pub async fn answer(&mut self) -> Option<Answer> {
        let mut bytes = [0; 4096];
        loop {
            // What is no block (an alert of TLS, in the clear) is no answer.
            if let Some(message) = self.frames.message().ok()? {
                return Some(read(&message));
            }
            let n = tokio::time::timeout(Duration::from_secs(60), self.stream.read(&mut bytes))
                .await
                .expect("an answer within a minute");
            match n {
                Ok(n) if n > 0 => self.frames.take(&bytes[..n]),
                _ => return None,
            }
        }
    }

    pub async fn try_send(&mut self, text: &str) -> Option<Answer> {
        self.raw(&block(text.as_bytes())).await.ok()?;
        self.answer().await
    }

    pub async fn send(&mut self, text: &str) -> Answer {
        self.try_send(text).await.expect("an answer")
    }
}

/// A server with one feed.
pub struct Ward {
    folder: tempfile::TempDir,
    pub server: Server,
    token: String,
}

impl Ward {
    pub async fn start(more: &str) -> Self {
        let (folder, data) = folder();
        done(&["demo", "--data", data.to_str().unwrap(), "--patients", "1"]);
        std::fs::write(data.join("vitrine.toml"), format!("{LAB}{more}")).unwrap();
        Self::of(folder, &data).await
    }

    async fn of(folder: tempfile::TempDir, data: &Path) -> Self {
        let server = Server::start(data);
        let token = server.client_token("system/*.cruds").await;
        Self {
            folder,
            server,
            token,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The same folder with another configuration; the server must have ended.
    pub async fn again(self, config: &str) -> Self {
        let data = self.data();
        std::fs::write(data.join("vitrine.toml"), config).unwrap();
        Self::of(self.folder, &data).await
    }

    pub fn port(&self) -> u16 {
        let at = self.server.ready["mllp"].as_str().expect("an address");
        at.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub async fn line(&self) -> Line {
        Line::tls(&self.data(), self.port(), None).await
    }

    pub async fn line_as(&self, shown: &(PathBuf, PathBuf)) -> Line {
        Line::tls(&self.data(), self.port(), Some(shown)).await
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self
            .server
            .get(path)
            .bearer_auth(&self.token)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        (status, json_of(answer).await)
    }

    /// The one patient with this number, by the messages that brought them.
    pub async fn patient(&self, mrn: &str) -> Value {
        let mut found = std::collections::BTreeSet::new();
        for row in self.messages(&["--state", "applied"]) {
            let (exit, shown) = self.message(&["show", &row["id"].to_string()]);
            assert_eq!(exit, 0, "{shown}");
            if shown["text"]
                .as_str()
                .unwrap_or_default()
                .contains(&format!("|{mrn}^"))
            {
                found.insert(shown["patient"].as_str().expect("whose it is").to_owned());
            }
        }
        assert_eq!(found.len(), 1, "{mrn}: {found:?}");
        let (status, patient) = self
            .get(&format!("/fhir/Patient/{}", found.first().unwrap()))
            .await;
        assert_eq!(status, 200, "{patient}");
        patient
    }

    /// Everything of a patient.
    pub async fn everything(&self, id: &str) -> Vec<Value> {
        let (status, found) = self
            .get(&format!("/fhir/Patient/{id}/$everything?_count=1000"))
            .await;
        assert_eq!(status, 200, "{found}");
        let all = found["entry"].as_array().cloned().unwrap_or_default();
        all.into_iter().map(|e| e["resource"].clone()).collect()
    }

    /// `message …` with the folder.
    pub fn message(&self, args: &[&str]) -> (i32, Value) {
        let data = self.data();
        let mut all = vec!["message"];
        all.extend_from_slice(args);
        all.extend_from_slice(&["--data", data.to_str().unwrap()]);
        run_json(&all)
    }

    pub fn messages(&self, more: &[&str]) -> Vec<Value> {
        let mut args = vec!["list"];
        args.extend_from_slice(more);
        let (exit, json) = self.message(&args);
        assert_eq!(exit, 0, "{json}");
        json["messages"].as_array().cloned().unwrap()
    }
}

/// Certificates of senders.
pub struct Pki {
    pub good: (PathBuf, PathBuf),
    pub good_print: String,
    /// Of the same authority, and not the feed's.
    pub other: (PathBuf, PathBuf),
    /// Of nobody we know.
    pub stranger: (PathBuf, PathBuf),
}

impl Pki {
    pub fn new(data: &Path) -> Self {
        let ca = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            let key = KeyPair::generate().unwrap();
            let cert = params.self_signed(&key).unwrap();
            (cert.pem(), Issuer::new(params, key))
        };
        let ((pem, ours), (_, theirs)) = (ca("Senders"), ca("Strangers"));
        std::fs::write(data.join("senders.pem"), pem).unwrap();
        let sender = |name: &str, issuer: &Issuer<'_, KeyPair>| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            let key = KeyPair::generate().unwrap();
            let cert = params.signed_by(&key, issuer).unwrap();
            let at = |end: &str| data.join(format!("{name}.{end}"));
            std::fs::write(at("pem"), cert.pem()).unwrap();
            std::fs::write(at("key"), key.serialize_pem()).unwrap();
            let print = ring::digest::digest(&ring::digest::SHA256, cert.der());
            ((at("pem"), at("key")), hex(print.as_ref()))
        };
        let (good, good_print) = sender("lab", &ours);
        Self {
            good,
            good_print,
            other: sender("other", &ours).0,
            stranger: sender("stranger", &theirs).0,
        }
    }
}
