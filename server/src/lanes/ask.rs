//! What a request asks for, as far as method and path tell, and which lane that is worth for whom.
//!
//! Lives here: [`Ask`], the rule of the lanes. Never here: places, waiting. Pure: called by `http::lane` and tests.
//! The rule knows the route, the person and workstation of a session the server made, and the grants it holds. What a
//! request says of its own urgency is not an argument.

use super::Class;
use crate::identity::sessions::Caller;
use vitrine_access::policy::{self, PatientFacts, Request, Subject};
use vitrine_clinical::label::Label;
use vitrine_clinical::{PatientId, ResourceKey, WardId};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Liveness, the CapabilityStatement, the workstations' line.
    Control,
    /// Breaking the glass.
    BreakGlass,
    /// A patient's emergency card.
    Card(PatientId),
    /// A patient's whole record.
    Chart(PatientId),
    /// One resource.
    Resource(ResourceKey),
    /// A search of a type.
    Search,
    /// Images, or what is known of them.
    Images,
    /// What bedside monitors say now: it is in memory alone, and the next message comes in a second.
    Live,
    /// A Bundle.
    Bundle,
    /// A write of one resource.
    Write,
    /// Bringing in files.
    Import,
    /// Signing in.
    SignIn,
    /// Enrolment, and whatever else is for administrators.
    Admin,
    /// Anything else: signing out, addresses that are none.
    Other,
}

impl Ask {
    /// Reads method and path.
    #[must_use]
    pub fn of(method: &str, path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (method, parts.as_slice()) {
            (
                "GET",
                ["healthz" | "readyz"]
                | ["fhir", "metadata"]
                | [".well-known", "smart-configuration"]
                | ["fhir", ".well-known", "smart-configuration"]
                | ["ws", "sync" | "images" | "live", ..],
            ) => Self::Control,
            ("GET", ["fhir", "openapi.json"]) => Self::Admin,
            ("GET", ["emergency", id]) => patient(id).map_or(Self::Other, Self::Card),
            ("GET", ["fhir", "Patient", id, "$everything"]) => patient(id).map_or(Self::Other, Self::Chart),
            ("GET", ["fhir", _] | ["fhir", _, "$lastn"])
            | ("POST", ["fhir", _, "_search" | "$lastn" | "$match"]) => Self::Search,
            (
                "GET",
                ["fhir", kind, id] | ["fhir", kind, id, "_history"] | ["fhir", kind, id, "_history", _],
            ) => ResourceKey::new(kind, id).map_or(Self::Other, Self::Resource),
            ("POST", ["fhir"] | ["fhir", ""]) => Self::Bundle,
            ("POST" | "PUT" | "PATCH" | "DELETE", ["fhir", ..]) => Self::Write,
            (_, ["import", ..]) | ("POST", ["dicomweb", ..]) => Self::Import,
            ("GET", ["dicomweb", "studies", ..]) => Self::Images,
            ("POST", ["live", "vitals"]) => Self::Live,
            ("POST", ["auth", "break-glass"]) => Self::BreakGlass,
            (
                "POST",
                [
                    "auth",
                    "login" | "way" | "secret" | "token" | "introspect" | "revoke" | "launch" | "oidc",
                ]
                | ["auth", "authorize", "sign-in" | "code"]
                | ["console", "api", "sign-in" | "totp", ..],
            )
            | (
                "GET",
                ["auth", "oidc"] | ["console", "api", "oidc", "start"] | ["console", "oidc", "callback"],
            ) => Self::SignIn,
            (_, ["enrol", ..] | ["console", ..] | ["auth", "oidc" | "authorize", ..]) => Self::Admin,
            _ => Self::Other,
        }
    }

    /// Whether knowing who asks can make it an emergency.
    #[must_use]
    pub const fn may_be_emergency(&self) -> bool {
        matches!(
            self,
            Self::BreakGlass | Self::Card(_) | Self::Chart(_) | Self::Resource(_)
        )
    }

    /// The patient it is about, where the path names one.
    #[must_use]
    pub fn patient(&self) -> Option<PatientId> {
        match self {
            Self::Card(p) | Self::Chart(p) => Some(p.clone()),
            Self::Resource(key) if key.kind.as_str() == "Patient" => PatientId::new(key.id.as_str()).ok(),
            _ => None,
        }
    }

    /// The lane of whoever is no emergency.
    #[must_use]
    pub fn class(&self, caller: Option<&Caller>) -> Class {
        let program = caller.is_some_and(|c| matches!(c.subject, Subject::Client { .. }));
        match self {
            Self::Control => Class::Control,
            Self::Import => Class::Bulk,
            Self::Bundle | Self::Chart(_) | Self::Images if program => Class::Bulk,
            Self::Bundle | Self::Write => Class::Write,
            Self::SignIn => Class::SignIn,
            Self::Admin => Class::Admin,
            _ => Class::Clinical,
        }
    }

    /// Why this is an emergency without a grant, if it is one: breaking the glass by somebody who may, and the card
    /// asked for at a workstation of a ward where seconds count.
    #[must_use]
    pub fn emergency_by_place(&self, caller: &Caller, critical: &[WardId]) -> Option<&'static str> {
        let at_critical = caller.ward.as_ref().is_some_and(|w| critical.contains(w));
        match self {
            Self::BreakGlass if may_break_glass(caller) => Some("breaks-the-glass"),
            Self::Card(_) if at_critical && may_break_glass(caller) => Some("critical-ward"),
            _ => None,
        }
    }
}

fn patient(id: &str) -> Option<PatientId> {
    PatientId::new(id).ok()
}

/// Whether the policy lets this caller break the glass at all: it depends on no patient.
fn may_break_glass(caller: &Caller) -> bool {
    let Ok(any) = PatientId::new("any") else {
        return false;
    };
    let request = Request {
        access_id: crate::clock::new_access(),
        at: crate::clock::now(),
        subject: caller.subject.clone(),
        device: caller.device.clone(),
        patient: Some(PatientFacts {
            patient: any,
            ward: None,
            label: Label::NONE,
        }),
        ward: None,
        kind: None,
        grant: None,
        purpose: None,
    };
    policy::verdict("break-glass", &request).allow
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_clinical::{UserId, UtcMs};

    fn caller(role: &str, ward: Option<&str>) -> Caller {
        Caller {
            subject: Subject::User {
                user: UserId::new("u").unwrap(),
                role: role.parse().unwrap(),
                wards: Vec::new(),
            },
            device: None,
            ward: ward.map(|w| WardId::new(w).unwrap()),
            session: [0; 32],
            until: UtcMs(0),
            purpose: None,
        }
    }
    fn program() -> Caller {
        let subject = Subject::Client {
            id: "c".into(),
            scopes: vec![],
        };
        Caller {
            subject,
            ..caller("nurse", None)
        }
    }

    #[test]
    fn every_route_has_its_lane() {
        use Class::{Admin, Bulk, Clinical, Control, SignIn, Write};
        for (method, path, person, client) in [
            ("GET", "/healthz", Control, Control),
            ("GET", "/readyz", Control, Control),
            ("GET", "/ws/sync", Control, Control),
            ("GET", "/ws/images", Control, Control),
            ("GET", "/ws/images/ahead", Control, Control),
            ("GET", "/ws/live", Control, Control),
            ("POST", "/live/vitals", Clinical, Clinical),
            ("GET", "/fhir/metadata", Control, Control),
            ("GET", "/fhir/openapi.json", Admin, Admin),
            ("POST", "/fhir", Write, Bulk),
            ("POST", "/fhir/", Write, Bulk),
            ("POST", "/fhir/Observation", Write, Write),
            ("PUT", "/fhir/Observation/1", Write, Write),
            ("PATCH", "/fhir/Observation/1", Write, Write),
            ("DELETE", "/fhir/Observation/1", Write, Write),
            ("PUT", "/fhir/Observation", Write, Write),
            ("POST", "/fhir/Observation/$validate", Write, Write),
            ("GET", "/fhir/Observation/1/_history", Clinical, Clinical),
            ("GET", "/fhir/Observation/1", Clinical, Clinical),
            ("GET", "/fhir/Observation/1/_history/2", Clinical, Clinical),
            ("GET", "/fhir/Patient/1/$everything", Clinical, Bulk),
            ("GET", "/fhir/Patient", Clinical, Clinical),
            ("POST", "/fhir/Patient/_search", Clinical, Clinical),
            ("POST", "/fhir/Patient/$match", Clinical, Clinical),
            ("GET", "/fhir/Observation/$lastn", Clinical, Clinical),
            ("POST", "/fhir/Observation/$lastn", Clinical, Clinical),
            ("GET", "/emergency/1", Clinical, Clinical),
            ("POST", "/auth/break-glass", Clinical, Clinical),
            ("POST", "/auth/login", SignIn, SignIn),
            ("POST", "/auth/way", SignIn, SignIn),
            ("POST", "/auth/token", SignIn, SignIn),
            ("POST", "/auth/introspect", SignIn, SignIn),
            ("POST", "/auth/revoke", SignIn, SignIn),
            ("POST", "/auth/launch", SignIn, SignIn),
            ("GET", "/auth/authorize", Admin, Admin),
            ("POST", "/auth/authorize", Admin, Admin),
            ("GET", "/auth/authorize/ask", Admin, Admin),
            ("POST", "/auth/authorize/sign-in", SignIn, SignIn),
            ("POST", "/auth/authorize/code", SignIn, SignIn),
            ("POST", "/auth/authorize/find", Admin, Admin),
            ("POST", "/auth/authorize/answer", Admin, Admin),
            ("GET", "/.well-known/smart-configuration", Control, Control),
            ("GET", "/fhir/.well-known/smart-configuration", Control, Control),
            ("POST", "/auth/logout", Clinical, Clinical),
            ("POST", "/auth/secret", SignIn, SignIn),
            ("GET", "/auth/oidc", SignIn, SignIn),
            ("POST", "/auth/oidc", SignIn, SignIn),
            ("POST", "/auth/oidc/backchannel-logout", Admin, Admin),
            ("GET", "/console/api/oidc/start", SignIn, SignIn),
            ("GET", "/console/oidc/callback", SignIn, SignIn),
            ("GET", "/console/api/ways", Admin, Admin),
            ("POST", "/console/api/sign-in", SignIn, SignIn),
            ("POST", "/console/api/sign-in/code", SignIn, SignIn),
            ("POST", "/console/api/totp", SignIn, SignIn),
            ("POST", "/console/api/totp/confirm", SignIn, SignIn),
            ("POST", "/console/api/chains", Admin, Admin),
            ("GET", "/console", Admin, Admin),
            ("GET", "/console/assets/a.js", Admin, Admin),
            ("POST", "/enrol", Admin, Admin),
            ("POST", "/enrol/hello", Admin, Admin),
            ("POST", "/import", Bulk, Bulk),
            ("POST", "/dicomweb/studies", Bulk, Bulk),
            ("POST", "/dicomweb/studies/1.2", Bulk, Bulk),
            ("GET", "/dicomweb/studies", Clinical, Bulk),
            (
                "GET",
                "/dicomweb/studies/1.2/series/1.3/instances/1.4",
                Clinical,
                Bulk,
            ),
            (
                "GET",
                "/dicomweb/studies/1.2/series/1.3/instances/1.4/bulkdata/00283010/0/00283006",
                Clinical,
                Bulk,
            ),
            ("GET", "/nothing", Clinical, Clinical),
        ] {
            let ask = Ask::of(method, path);
            assert_eq!(ask.class(Some(&caller("nurse", None))), person, "{method} {path}");
            assert_eq!(ask.class(Some(&program())), client, "{method} {path}");
        }
        for r in crate::http::ROUTES {
            let path = r.path.replace("{kind}", "Patient").replace(['{', '}'], "");
            let ask = Ask::of(r.method, &path);
            assert!(
                ask != Ask::Other || path == "/auth/logout",
                "{} has no lane of its own: say in lanes::ask which it is",
                r.path
            );
        }
    }

    #[test]
    fn place_and_role_make_an_emergency_and_nothing_else_does() {
        let ed = [WardId::new("ED").unwrap()];
        let (glass, card) = (
            Ask::of("POST", "/auth/break-glass"),
            Ask::of("GET", "/emergency/p"),
        );
        let nurse = |w| caller("nurse", w);
        assert!(glass.emergency_by_place(&nurse(None), &ed).is_some());
        assert!(
            glass
                .emergency_by_place(&caller("privacy-officer", None), &ed)
                .is_none()
        );
        assert!(glass.emergency_by_place(&program(), &ed).is_none());
        assert!(card.emergency_by_place(&nurse(Some("ED")), &ed).is_some());
        assert!(card.emergency_by_place(&nurse(Some("ED")), &[]).is_none());
        assert!(card.emergency_by_place(&nurse(Some("ICU")), &ed).is_none());
        assert!(
            card.emergency_by_place(&caller("integrator", Some("ED")), &ed)
                .is_none()
        );
        assert!(
            Ask::of("GET", "/fhir/Patient/p")
                .emergency_by_place(&nurse(Some("ED")), &ed)
                .is_none()
        );
    }
}
