//! The gateway of a hospital's bedside monitors: a program that sends what they say.

use crate::server::Server;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use vitrine_clinical::UtcMs;
use vitrine_clinical::format::civil::instant_utc;
use vitrine_clinical::monitor::MDC;
use vitrine_engine::clock::Clock;

/// MDC_ECG_HEART_RATE, in beats per minute.
pub const HEART_RATE: (&str, &str) = ("147842", "/min");
/// MDC_PULS_OXIM_SAT_O2, in per cent.
pub const SATURATION: (&str, &str) = ("150456", "%");

/// A gateway.
pub struct Gateway {
    http: reqwest::Client,
    token: String,
    url: String,
}

/// One Observation of a monitor; without a value its sensor is off.
#[must_use]
pub fn said(patient: &str, (code, unit): (&str, &str), value: Option<&str>, at: UtcMs) -> Value {
    let mut o = json!({
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": MDC, "code": code}]},
        "subject": {"reference": format!("Patient/{patient}")},
        "effectiveDateTime": instant_utc(at),
    });
    match value.and_then(|v| serde_json::from_str::<Value>(v).ok()) {
        Some(number) => {
            o["valueQuantity"] =
                json!({"value": number, "code": unit, "system": "http://unitsofmeasure.org"});
        }
        None => o["dataAbsentReason"] = json!({"text": "sensor off"}),
    }
    o
}

impl Gateway {
    /// Lets it in.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn connect(server: &Server) -> Result<Self> {
        let http = server.http()?;
        let token = server.token(&http).await?;
        Ok(Self {
            http,
            token,
            url: server.url(),
        })
    }

    /// Sends one message; gives the status and the answer.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn sends(&self, observations: &[Value]) -> Result<(u16, Value)> {
        let entries: Vec<Value> = observations.iter().map(|o| json!({"resource": o})).collect();
        let body = json!({"resourceType": "Bundle", "type": "collection", "entry": entries});
        let answer = self
            .http
            .post(format!("{}/live/vitals", self.url))
            .bearer_auth(&self.token)
            .header("content-type", "application/fhir+json")
            .body(body.to_string())
            .send()
            .await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_slice(&answer.bytes().await?)?))
    }

    /// A heart rate and a saturation of now.
    ///
    /// # Errors
    /// When they are not taken.
    pub async fn says(&self, patient: &str, pulse: u32, saturation: Option<u32>) -> Result<()> {
        let now = Clock::new().wall();
        let pulse = said(patient, HEART_RATE, Some(&pulse.to_string()), now);
        let text = saturation.map(|s| s.to_string());
        let saturation = said(patient, SATURATION, text.as_deref(), now);
        let (status, answer) = self.sends(&[pulse, saturation]).await?;
        ensure!(status == 200, "{status} {answer}");
        Ok(())
    }
}
