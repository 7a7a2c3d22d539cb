//! The hospital's laboratory: a program that writes results through the FHIR interface.

use crate::server::Server;
use anyhow::{Result, ensure};
use vitrine_clinical::format::civil::Civil;
use vitrine_engine::clock::Clock;

/// The result that it sends and corrects.
pub const CRITICAL: &str = "Observation/k-critical";

/// A laboratory with results of one patient.
pub struct Lab {
    /// Its connections.
    pub http: reqwest::Client,
    /// What lets it in.
    pub token: String,
    /// The patient.
    pub patient: String,
}

impl Lab {
    /// Lets it in. Once more after a server has restarted.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn connect(server: &Server, patient: String) -> Result<Self> {
        let http = server.http()?;
        let token = server.token(&http).await?;
        Ok(Self { http, token, patient })
    }

    /// Sends a potassium measured now, or corrects it. `flag` as `Observation.interpretation` has it.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn sends(&self, server: &Server, value: &str, flag: &str, status: &str) -> Result<()> {
        let c = Civil::at(Clock::new().wall(), 0);
        let at = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        );
        let body = format!(
            r#"{{"resourceType":"Observation","id":"k-critical","status":"{status}","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"2823-3","display":"Potassium [Moles/volume] in Serum or Plasma"}}]}},"subject":{{"reference":"Patient/{}"}},"effectiveDateTime":"{at}","issued":"{at}","valueQuantity":{{"value":{value},"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"}},"interpretation":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"{flag}"}}]}}]}}"#,
            self.patient
        );
        let answer = self
            .http
            .put(format!("{}/fhir/{CRITICAL}", server.url()))
            .bearer_auth(&self.token)
            .header("content-type", "application/fhir+json")
            .body(body)
            .send()
            .await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    }
}
