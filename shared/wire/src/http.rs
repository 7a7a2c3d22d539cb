//! Bodies of the HTTP acts between workstation and server that are not FHIR.

use serde::{Deserialize, Serialize};

/// `POST /enrol/hello`: asks for the CA before the code is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolHelloRequest {
    /// 16 random bytes, hex.
    pub nonce: String,
    /// First 8 characters of SHA-256(code), hex: which code is meant, without telling it.
    pub code_hint: String,
}

/// The CA and the server's proof that it knows the code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolHelloResponse {
    /// CA certificate, PEM.
    pub ca_pem: String,
    /// HMAC-SHA256(key = SHA-256(code), `"vitrine-enrol-server" ‖ nonce ‖ ca_pem`), hex.
    pub proof: String,
}

/// `POST /enrol`: uses the code up. Sent only over a connection verified by the CA of the hello.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The code.
    pub code: String,
    /// Name of the workstation as shown.
    pub name: String,
    /// Ed25519 public key, hex.
    pub public_key: String,
}

/// Enrolled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolResponse {
    /// Device id.
    pub device: String,
    /// Ward.
    pub ward: String,
    /// It may hold the essentials of the whole site.
    pub site: bool,
    /// Ed25519 public key of the server, hex: orders to wipe are signed by it.
    pub server_key: String,
    /// The server's data folder is marked as demo.
    pub demo: bool,
}

/// `POST /auth/login`: a person at an enrolled workstation.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginRequest {
    /// Sign-in name.
    pub user: String,
    /// Password or PIN.
    pub secret: String,
    /// Device id.
    pub device: String,
    /// Server-independent time of the device, ms: part of what is signed.
    pub at_ms: i64,
    /// Ed25519 over `"vitrine-login" ‖ user ‖ 0 ‖ device ‖ at_ms (8 bytes, big endian)`, hex.
    pub signature: String,
}

/// Signed in.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginResponse {
    /// Opaque session token.
    pub token: String,
    /// Seconds until it ends.
    pub expires_in_s: u32,
    /// Name as shown.
    pub display: String,
    /// Role.
    pub role: String,
    /// Wards.
    pub wards: Vec<String>,
    /// Server's time, ms.
    pub server_time_ms: i64,
}

/// Any refusal outside `/fhir`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// Code.
    pub code: crate::ErrorCode,
    /// A sentence that says what to do; no PHI.
    pub text: String,
    /// Seconds to wait, when throttled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// Breaking the glass would allow it.
    #[serde(default)]
    pub break_glass_offered: bool,
}

/// Body of an item in the `dir` scope, key `user/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirUser {
    /// Sign-in name.
    pub user: String,
    /// Name as shown.
    pub display: String,
    /// Role.
    pub role: String,
    /// Wards.
    pub wards: Vec<String>,
    /// Argon2id PHC string of the PIN, so that the glass can be broken without the server.
    pub pin_phc: Option<String>,
    /// May not sign in nor break the glass.
    pub disabled: bool,
}

/// Body of an item in a `board:` scope, key = patient id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardItem {
    /// Who.
    pub identity: Option<vitrine_clinical::card::Identity>,
    /// Where.
    pub place: vitrine_clinical::card::Place,
    /// `known`, `none-known`, `not-recorded`.
    pub allergies: vitrine_clinical::card::AllergyState,
    /// Isolation and other flags in words.
    pub flags: Vec<String>,
    /// Code status in words, newest.
    pub code_status: Option<String>,
    /// Critical results, without values; absent from a server that does not send them, and where this version cannot read them.
    #[serde(default, deserialize_with = "vitrine_clinical::card::critical::lenient")]
    pub critical: Option<Vec<vitrine_clinical::card::CriticalMark>>,
    /// What NEWS2 needs, without values; absent from a server that does not send it, and where this version cannot read it.
    #[serde(default, deserialize_with = "vitrine_clinical::news2::lenient")]
    pub news2: Option<vitrine_clinical::news2::Basis>,
}
