//! A sender of HL7 v2 over MLLP and TLS, and messages for it.

use crate::server::Server;
use crate::thin::trusting;
use anyhow::{Context, Result, ensure};
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vitrine_clinical::format::civil::Civil;
use vitrine_engine::clock::Clock;

/// A configuration with one feed, which may make patients.
pub const FEED: &str = "[mllp]\naddress = \"127.0.0.1:0\"\n[[mllp.feed]]\nname = \"all\"\nfrom = [\"127.0.0.1\"]\nnew_patients = \"all\"\n";

/// A connection.
pub struct Sender {
    stream: TlsStream<TcpStream>,
}

impl Sender {
    /// To a server that listens for HL7 v2.
    ///
    /// # Errors
    /// When it does not.
    pub async fn connect(server: &Server) -> Result<Self> {
        let at: SocketAddr = server.ready["mllp"]
            .as_str()
            .context("no MLLP address")?
            .parse()?;
        let tcp = TcpStream::connect(at).await?;
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(trusting(server)?);
        let stream = tls.connect(ServerName::try_from("127.0.0.1")?, tcp).await?;
        Ok(Self { stream })
    }

    /// Sends a message and gives its acknowledgement as text.
    ///
    /// # Errors
    /// When the connection ends before it.
    pub async fn send(&mut self, message: &str) -> Result<String> {
        let mut block = vec![0x0B];
        block.extend_from_slice(message.as_bytes());
        block.extend_from_slice(&[0x1C, b'\r']);
        self.stream.write_all(&block).await?;
        self.stream.flush().await?;
        let mut answer = Vec::new();
        let mut bytes = [0; 2048];
        while !answer.ends_with(&[0x1C, b'\r']) {
            let n = self.stream.read(&mut bytes).await?;
            ensure!(n > 0, "the connection ended before an answer");
            answer.extend_from_slice(bytes.get(..n).unwrap_or_default());
        }
        let text = answer.get(1..answer.len() - 2).unwrap_or_default();
        Ok(String::from_utf8(text.to_vec())?)
    }

    /// Sends a message that is to be accepted.
    ///
    /// # Errors
    /// When it is not.
    pub async fn accepted(&mut self, message: &str) -> Result<()> {
        let answer = self.send(message).await?;
        ensure!(answer.contains("\rMSA|AA|"), "not accepted: {answer}");
        Ok(())
    }
}

/// So many minutes before now, as HL7 writes it, with its offset.
#[must_use]
pub fn minutes_ago(minutes: i64) -> String {
    let c = Civil::at(Clock::new().wall().plus_ms(-minutes * 60_000), 0);
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}+0000",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}

/// An event about somebody of the ED: `trigger` (ADT), control id, medical record number, bed.
#[must_use]
pub fn adt(trigger: &str, control: &str, mrn: &str, bed: &str) -> String {
    format!(
        "MSH|^~\\&|ADT|NORTH|VITRINE|NORTH|20260301090000||ADT^{trigger}|{control}|P|2.5.1\rEVN|{trigger}|20260301090000\rPID|1||{mrn}^^^MRN^MR||Lantern^Ada^{mrn}||19600203|F\rPV1|1|E|ED^^{bed}||||||||||||||||V{mrn}^^^VISIT^VN|||||||||||||||||||||||||20260301090000"
    )
}

/// A panel of four results: order number, when it is of (`YYYYMMDDHHMMSS`), the potassium.
#[must_use]
pub fn oru(control: &str, mrn: &str, order: &str, at: &str, potassium: &str) -> String {
    let mut out = format!(
        "MSH|^~\\&|LAB|NORTH|VITRINE|NORTH|{at}||ORU^R01|{control}|P|2.5.1\rPID|1||{mrn}^^^MRN^MR||Lantern^Ada^{mrn}||19600203|F\rPV1|1|E|ED^^1||||||||||||||||V{mrn}^^^VISIT^VN\rORC|RE|P{order}|F{order}\rOBR|1|P{order}|F{order}|BMP^Basic metabolic panel^L|||{at}|||||||||||||||{at}||LAB|F"
    );
    let tests = [
        ("2823-3^Potassium^LN", potassium, "mmol/L", "3.5-5.1"),
        ("2951-2^Sodium^LN", "139", "mmol/L", "136-145"),
        ("2345-7^Glucose^LN", "6.1", "mmol/L", "3.9-6.1"),
        ("2160-0^Creatinine^LN", "82", "umol/L", "45-90"),
    ];
    for (n, (code, value, unit, range)) in tests.iter().enumerate() {
        out.push_str(&format!(
            "\rOBX|{}|NM|{code}||{value}|{unit}^^UCUM|{range}|||||F|||{at}",
            n + 1
        ));
    }
    out
}
