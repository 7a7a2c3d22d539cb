//! What is withheld is said, opens in an emergency, and the purpose that was stated is written down.

use super::world::{Backend, Dice, World, permit, row, security, world, write};
use crate::clock;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use vitrine_clinical::{PatientId, UserId};

/// Asks for a purpose; gives status, body and the last row of the audit log.
async fn stated(w: &World, token: &str, path: &str, purpose: Option<&str>) -> (u16, String, Value) {
    let mut request = Request::builder()
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::HOST, "vitrine.test");
    if let Some(purpose) = purpose {
        request = request.header("X-Purpose-Of-Use", purpose);
    }
    let request = request.body(Body::empty()).unwrap();
    let answer = w.router.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let rows = w.app.store.rows(&permit(), "server", 0, 1_000).await.unwrap();
    let row = serde_json::from_str(&rows.last().unwrap().row.body).unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap(), row)
}

#[test]
fn what_is_withheld_is_said_opens_in_an_emergency_and_the_purpose_is_written_down() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let w = world(dir.path(), Backend::Memory).await;
        let mut secret = row("Condition", "secret", "pat-ed", &mut Dice(3));
        secret["meta"] = security("V");
        secret["code"]["text"] = "Opioid overdose".into();
        write(&w.app, &[secret], Vec::new()).await;
        let all = "/fhir/Patient/pat-ed/$everything";

        let (status, body, seen) = stated(&w, &w.nurse, all, None).await;
        assert_eq!(status, 200);
        assert!(
            body.contains("1 entry is withheld by confidentiality") && body.contains("ETREAT"),
            "{body}"
        );
        assert!(!body.contains("Opioid"), "{body}");
        assert!(body.contains("\"total\":17"), "{body}");
        assert_eq!(
            (&seen["purpose"], &seen["rule"]),
            (&json!("TREAT"), &json!("own-ward-patient"))
        );
        assert!(!seen.to_string().contains("secret"), "{seen}");
        let (status, body, denied) = stated(&w, &w.nurse, "/fhir/Condition/secret", None).await;
        assert_eq!((status, &denied["rule"]), (403, &json!("withheld-by-label")));
        assert!(
            body.contains("\"suppressed\"") && body.contains("ETREAT"),
            "{body}"
        );
        assert_eq!(denied["decision"], "deny");
        assert_eq!(stated(&w, &w.client, "/fhir/Condition/secret", None).await.0, 404);

        // Stated purposes narrow, and stand in the row.
        let one = "/fhir/Observation/seen-0";
        for (token, purpose, status, rule) in [
            (&w.nurse, "TREAT", 200, "own-ward-patient"),
            (&w.nurse, "ETREAT", 403, "purpose-needs-a-grant"),
            (&w.nurse, "HRESCH", 403, "purpose-does-not-fit"),
            (&w.client, "HPAYMT", 200, "client-scope"),
            (&w.client, "BTG", 403, "purpose-does-not-fit"),
        ] {
            let (is, body, row) = stated(&w, token, one, Some(purpose)).await;
            assert_eq!((is, &row["rule"]), (status, &json!(rule)), "{purpose}: {body}");
            let code = if purpose == "ETREAT" { "BTG" } else { purpose };
            assert_eq!(row["purpose"], code);
        }
        assert_eq!(stated(&w, &w.nurse, one, Some("CURIOUS")).await.0, 400);

        // The glass is broken.
        let now = clock::now();
        let grant = vitrine_access::Grant {
            id: clock::new_access(),
            user: UserId::new("nina").unwrap(),
            device: None,
            patient: PatientId::new("pat-ed").unwrap(),
            reason: vitrine_access::grant::Reason::LifeThreatening,
            words: None,
            at: now.plus_ms(-1_000),
            until: now.plus_ms(vitrine_access::grant::GRANT_MS),
            offline: false,
            declared: None,
        };
        w.app.note_grant(vitrine_store::GrantRow::new(grant, now));
        let (status, body, row) = stated(&w, &w.nurse, all, None).await;
        assert!(
            status == 200 && body.contains("Opioid overdose") && !body.contains("withheld"),
            "{body}"
        );
        assert_eq!(
            (&row["purpose"], &row["rule"]),
            (&json!("BTG"), &json!("break-glass-grant"))
        );
        assert_eq!(stated(&w, &w.nurse, one, Some("ETREAT")).await.0, 200);
    });
}
