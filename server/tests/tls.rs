//! By which protocols the server lets itself be spoken to: TLS 1.2 and 1.3, and no other, whatever the client would take.

mod harness;

use harness::{Server, folder};
use std::process::{Command, Stdio};

/// Whether a handshake comes about, and what the client says of it.
fn shakes(s: &Server, protocol: &str) -> (bool, String) {
    let at = s.ready["url"]
        .as_str()
        .unwrap()
        .trim_start_matches("https://")
        .to_owned();
    let out = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &at,
            "-cipher",
            "ALL:@SECLEVEL=0",
            protocol,
        ])
        .arg("-CAfile")
        .arg(s.data.join("ca.pem"))
        .stdin(Stdio::null())
        .output()
        .expect("the program openssl");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    (out.status.success(), said)
}

#[test]
fn tls_1_2_and_1_3_and_nothing_older() {
    let (_t, data) = folder();
    let s = Server::start(&data);
    for protocol in ["-tls1_2", "-tls1_3"] {
        let (ok, said) = shakes(&s, protocol);
        assert!(
            ok && said.contains("Verify return code: 0 (ok)") && !said.contains("(NONE)"),
            "{protocol}: {said}"
        );
    }
    for protocol in ["-tls1", "-tls1_1"] {
        let (ok, said) = shakes(&s, protocol);
        assert!(!ok, "{protocol}: {said}");
        // The server's word, not that the client had nothing to offer.
        assert!(said.contains("SSL alert number"), "{protocol}: {said}");
    }
}
