//! Whom a workstation speaks to: its own server, with a certificate that holds, and never by a protocol that is broken. A secret
//! leaves it for nobody else.

#![allow(clippy::disallowed_methods)] // waits for another program

mod support;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Profiled, block, open, people, plant};
use vitrine_engine::EngineError;
use vitrine_engine::profile::{DeviceFile, Profile};

/// Valid from one year to another.
struct Valid(i32, i32);

const NOW: Valid = Valid(2020, 2090);

fn authority(valid: &Valid) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(valid.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(valid.1, 1, 1);
    let made = params.self_signed(&key).unwrap();
    (made.pem(), Issuer::new(params, key))
}

/// Another program that speaks TLS, with a certificate of this authority.
struct Peer {
    child: Child,
    port: u16,
}

impl Peer {
    fn start(dir: &std::path::Path, issuer: &Issuer<'_, KeyPair>, valid: &Valid, protocol: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(valid.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(valid.1, 1, 1);
        let made = params.signed_by(&key, issuer).unwrap();
        let (cert_file, key_file) = (dir.join("peer.pem"), dir.join("peer.key"));
        std::fs::write(&cert_file, made.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-www",
                "-cipher",
                "ALL:@SECLEVEL=0",
                protocol,
            ])
            .args(["-accept", &format!("127.0.0.1:{port}")])
            .arg("-cert")
            .arg(cert_file)
            .arg("-key")
            .arg(key_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program openssl");
        let peer = Self { child, port };
        let from = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                from.elapsed() < Duration::from_secs(20),
                "openssl does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        peer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn enrolled_at(p: &Profiled, ca_pem: &str, port: u16) {
    let profile = Profile::at(&p.dir).unwrap();
    let device = profile.read_device().unwrap().unwrap();
    let server = format!("https://127.0.0.1:{port}");
    profile.write_device(&DeviceFile { server, ..device }).unwrap();
    std::fs::write(profile.ca(), ca_pem).unwrap();
}

/// What is said to somebody whom only the server knows.
fn told(ca_pem: &str, issuer: &Issuer<'_, KeyPair>, valid: &Valid, protocol: &str) -> EngineError {
    let dir = tempfile::tempdir().unwrap();
    let p = plant(dir.path(), &people());
    let peer = Peer::start(dir.path(), issuer, valid, protocol);
    enrolled_at(&p, ca_pem, peer.port);
    let ws = open(&p);
    block(ws.sign_in("nobody-here", "a secret")).unwrap_err()
}

#[test]
fn its_own_server_with_a_certificate_that_holds_is_spoken_to() {
    let (ca, issuer) = authority(&NOW);
    for protocol in ["-tls1_2", "-tls1_3"] {
        // The other program answers with a page of its own: TLS was made.
        let said = told(&ca, &issuer, &NOW, protocol);
        assert!(!said.to_string().contains("certificate"), "{protocol}: {said}");
        assert!(
            !said.to_string().contains("rotocol version"),
            "{protocol}: {said}"
        );
    }
}

#[test]
fn another_authority_is_refused() {
    let ((ca, _), (_, other)) = (authority(&NOW), authority(&NOW));
    let said = told(&ca, &other, &NOW, "-tls1_3");
    assert!(matches!(said, EngineError::Protocol(_)), "{said:?}");
    assert!(
        said.to_string().contains("not the one this workstation trusts"),
        "{said}"
    );
}

#[test]
fn a_certificate_that_has_ended_or_not_begun_is_refused() {
    let (ca, issuer) = authority(&NOW);
    for (valid, why) in [
        (Valid(2020, 2021), "expired"),
        (Valid(2089, 2090), "not valid yet"),
    ] {
        let said = told(&ca, &issuer, &valid, "-tls1_3");
        assert!(matches!(said, EngineError::Protocol(_)), "{said:?}");
        assert!(said.to_string().contains(why), "{said}");
    }
}

#[test]
fn a_server_that_speaks_tls_1_1_at_most_is_refused() {
    let (ca, issuer) = authority(&NOW);
    for protocol in ["-tls1", "-tls1_1"] {
        let said = told(&ca, &issuer, &NOW, protocol);
        assert!(
            matches!(said, EngineError::Offline(_) | EngineError::Protocol(_)),
            "{protocol}: {said:?}"
        );
        assert!(
            said.to_string().contains("rotocol version") || said.to_string().contains("ProtocolVersion"),
            "{protocol}: {said}"
        );
    }
}
