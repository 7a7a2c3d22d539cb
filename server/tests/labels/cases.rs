//! The cases: what each route is asked, and what it is held to.

use super::hospital::{NO_STUDY, OTHER_STUDY, STUDY, lab};
use serde_json::json;
use vitrine_wire::images::AHEAD;

/// What a route is asked.
#[derive(Clone)]
pub struct Asked {
    pub who: &'static str,
    pub path: String,
    pub body: Option<String>,
    pub headers: Vec<(&'static str, String)>,
}

/// What one case holds a route to.
#[derive(Clone)]
pub enum Holds {
    /// Asked of the labelled one, and of one that is not there: the same, but for the name it was asked by.
    Same(Asked, &'static str, &'static str),
    /// It says this of what is withheld.
    Says(Asked, u16, &'static str),
    /// No word of what is labelled, and this status.
    Bare(Asked, u16),
    /// A connection, of its own function.
    Connection(&'static str),
    /// Nothing can be asked of it.
    None(&'static str),
}

pub type Case = (&'static str, &'static str, Holds);

pub fn asked(who: &'static str, path: &str) -> Asked {
    Asked {
        who,
        path: path.to_owned(),
        body: None,
        headers: Vec::new(),
    }
}

pub fn with(who: &'static str, path: &str, body: String) -> Asked {
    Asked {
        body: Some(body),
        ..asked(who, path)
    }
}

/// One question in a batch and in a transaction.
fn reads(kind: &str, url: &str) -> String {
    let entry = json!({"request": {"method": "GET", "url": url}});
    json!({"resourceType": "Bundle", "type": kind, "entry": [entry]}).to_string()
}

/// One patch in a batch and in a transaction: `[{"op":"test","path":"/status","value":"final"}]`.
fn patches(kind: &str, url: &str) -> String {
    let data = "W3sib3AiOiJ0ZXN0IiwicGF0aCI6Ii9zdGF0dXMiLCJ2YWx1ZSI6ImZpbmFsIn1d";
    let patch = json!({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data});
    let entry = json!({"resource": patch, "request": {"method": "PATCH", "url": url}});
    json!({"resourceType": "Bundle", "type": kind, "entry": [entry]}).to_string()
}

pub fn cases() -> Vec<Case> {
    let mut out: Vec<Case> = Vec::new();
    let mut case = |method, route, holds| out.push((method, route, holds));
    let people = ["nurse", "program"];

    for route in ["/fhir", "/fhir/"] {
        for who in people {
            for kind in ["batch", "transaction"] {
                for url in ["", "/_history", "/_history/1", "/_history/2"] {
                    let ask = with(who, route, reads(kind, &format!("Observation/lab-v{url}")));
                    case("POST", route, Holds::Same(ask, "lab-v", "lab-0"));
                }
                let ask = with(who, route, reads(kind, "Observation?_id=lab-v"));
                case("POST", route, Holds::Same(ask, "lab-v", "lab-0"));
                let ask = with(who, route, patches(kind, "Observation/lab-v"));
                case("POST", route, Holds::Same(ask, "lab-v", "lab-0"));
            }
        }
    }
    let (read, vread) = ("/fhir/{kind}/{id}", "/fhir/{kind}/{id}/_history/{vid}");
    for who in people {
        for (there, absent) in [("lab-v", "lab-0"), ("of-v", "of-0")] {
            let path = format!("/fhir/Observation/{there}");
            case("GET", read, Holds::Same(asked(who, &path), there, absent));
            for version in [1, 2] {
                let path = format!("{path}/_history/{version}");
                case("GET", vread, Holds::Same(asked(who, &path), there, absent));
            }
            // What is asked about a version tells nothing either.
            for (name, value) in [("if-none-match", "W/\"1\""), ("if-none-match", "*")] {
                let mut ask = asked(who, &path);
                ask.headers.push((name, value.to_owned()));
                case("GET", read, Holds::Same(ask, there, absent));
            }
        }
    }
    let history = "/fhir/{kind}/{id}/_history";
    for who in people {
        for (there, absent) in [("lab-v", "lab-0"), ("of-v", "of-0")] {
            let path = format!("/fhir/Observation/{there}");
            for query in ["", "?_count=1", "?_since=2020-01-01T00:00:00Z", "?_page=2"] {
                let ask = asked(who, &format!("{path}/_history{query}"));
                case("GET", history, Holds::Same(ask, there, absent));
            }
            // What may not be seen is neither deleted nor patched, and no test of a patch tells what is there.
            for tag in [None, Some("W/\"1\""), Some("W/\"9\"")] {
                let mut ask = asked(who, &path);
                ask.headers.extend(tag.map(|t| ("if-match", t.to_owned())));
                case("DELETE", read, Holds::Same(ask.clone(), there, absent));
                let ops = json!([{"op": "test", "path": "/status", "value": "final"}]).to_string();
                ask.body = Some(ops);
                case("PATCH", read, Holds::Same(ask, there, absent));
            }
        }
        case(
            "DELETE",
            read,
            Holds::Same(asked(who, "/fhir/Patient/pat-v"), "pat-v", "pat-0"),
        );
    }
    let patient = asked("nurse", "/fhir/Patient/pat-v/_history");
    case("GET", history, Holds::Same(patient, "pat-v", "pat-0"));
    // That a patient is known is no secret to a program (ADR 44): it gets the refusal of that record.
    let patient = asked("nurse", "/fhir/Patient/pat-v");
    case("GET", read, Holds::Same(patient, "pat-v", "pat-0"));
    case(
        "GET",
        read,
        Holds::Bare(asked("program", "/fhir/Patient/pat-v"), 403),
    );

    let everything = "/fhir/{kind}/{id}/$everything";
    let of_v = asked("nurse", "/fhir/Patient/pat-v/$everything");
    case("GET", everything, Holds::Same(of_v, "pat-v", "pat-0"));
    case(
        "GET",
        everything,
        Holds::Bare(asked("program", "/fhir/Patient/pat-v/$everything"), 403),
    );
    for who in people {
        for count in ["", "?_count=1", "?_count=3"] {
            let ask = asked(who, &format!("/fhir/Patient/pat-ed/$everything{count}"));
            case(
                "GET",
                everything,
                Holds::Says(ask, 200, "3 entries are withheld by confidentiality"),
            );
        }
    }

    let (search, posted) = ("/fhir/{kind}", "/fhir/{kind}/_search");
    for who in people {
        let words = "DocumentReference?patient=pat-ed&_content=Kanarienvogel";
        let ask = asked(who, &format!("/fhir/{words}"));
        case("GET", search, Holds::Same(ask, "Kanarienvogel", "Zaunkoenigin."));
        let form = "patient=pat-ed&_content=Kanarienvogel".to_owned();
        let ask = with(who, "/fhir/DocumentReference/_search", form);
        case("POST", posted, Holds::Same(ask, "Kanarienvogel", "Zaunkoenigin."));
    }
    for who in people {
        let ask = asked(who, "/fhir/Observation?patient=pat-ed&_sort=date&_total=accurate");
        case("GET", search, Holds::Bare(ask, 200));
        let ask = asked(who, "/fhir/Observation?patient=pat-ed&_count=1");
        case(
            "GET",
            search,
            Holds::Says(ask, 200, "3 entries are withheld by confidentiality"),
        );
        // By its id, alone and within its record, and what refers to it.
        for path in [
            "Observation?_id=lab-v",
            "Observation?patient=pat-ed&_id=lab-v",
            "Provenance?patient=pat-ed&target=Observation/lab-v",
            "Observation?patient=pat-ed&has-member=lab-v",
            "Observation?patient=pat-ed&has-member:Observation.status=final&_id:not=lab-v",
        ] {
            let ask = asked(who, &format!("/fhir/{path}"));
            case("GET", search, Holds::Same(ask, "lab-v", "lab-0"));
        }
        let form = "_id=lab-v".to_owned();
        let ask = with(who, "/fhir/Observation/_search", form);
        case("POST", posted, Holds::Same(ask, "lab-v", "lab-0"));
    }
    for (who, status) in [("nurse", 403), ("program", 403)] {
        let ask = asked(who, "/fhir/Observation?patient=pat-v");
        case("GET", search, Holds::Bare(ask, status));
    }
    // What is withheld is the last of nothing, by its code and by its text.
    let lastn = "/fhir/{kind}/$lastn";
    for who in people {
        for by in ["code:text=Kanarienvogel", "code:text=open&_id:not=lab-v"] {
            let ask = asked(who, &format!("/fhir/Observation/$lastn?patient=pat-ed&{by}"));
            let said = "3 entries are withheld by confidentiality";
            case("GET", lastn, Holds::Says(ask, 200, said));
        }
        let form = "patient=pat-ed&max=100&code:text=Kanarienvogel".to_owned();
        let ask = with(who, "/fhir/Observation/$lastn", form);
        case("POST", lastn, Holds::Same(ask, "Kanarienvogel", "Zaunkoenigin."));
        let ask = asked(who, "/fhir/Observation/$lastn?patient=pat-v&code=x");
        case("GET", lastn, Holds::Bare(ask, 403));
    }
    let ask = asked("nurse", "/fhir/Observation/$lastn?patient=pat-v&code=x");
    case("GET", lastn, Holds::Same(ask, "pat-v", "pat-0"));
    // Found by identity, shown as identity; by anything else of a closed record not at all.
    let ask = asked("nurse", "/fhir/Patient?name=Testperson");
    case("GET", search, Holds::Bare(ask, 200));
    let ask = asked(
        "nurse",
        "/fhir/DocumentReference?patient=pat-v&_content=Kanarienvogel",
    );
    case("GET", search, Holds::Same(ask, "pat-v", "pat-0"));
    // Identity alone; whether the record may be opened is asked when it is.
    case(
        "GET",
        search,
        Holds::Bare(asked("nurse", "/fhir/Patient?phonetic=Testperson"), 200),
    );
    let form = "phonetic=Testperson".to_owned();
    case(
        "POST",
        posted,
        Holds::Bare(with("nurse", "/fhir/Patient/_search", form), 200),
    );

    // The same of who may be meant: identity, and compared by identity alone.
    let whom = json!({"resourceType": "Patient", "name": [{"family": "Testperson", "given": ["Una"]}]});
    for who in people {
        let ask = with(who, "/fhir/Patient/$match", whom.to_string());
        case("POST", "/fhir/{kind}/$match", Holds::Bare(ask, 200));
    }

    // Writing is not narrowed by a label. That an identifier is in use is told (ADR 44), what lies there is not.
    let mut ask = with(
        "nurse",
        "/fhir/Observation",
        lab("created", "pat-ed", "new").to_string(),
    );
    ask.headers
        .push(("if-none-exist", "identifier=urn:test:lab|lab-v".to_owned()));
    case("POST", "/fhir/{kind}", Holds::Bare(ask, 200));
    let mut ask = with(
        "nurse",
        "/fhir/Observation/lab-v",
        lab("lab-v", "pat-ed", "new").to_string(),
    );
    ask.headers.push(("if-match", "W/\"9\"".to_owned()));
    case("PUT", read, Holds::Bare(ask, 412));
    let mut ask = with(
        "nurse",
        "/fhir/Observation?identifier=urn:test:lab%7Clab-v",
        lab("lab-v", "pat-ed", "new").to_string(),
    );
    ask.headers.push(("if-match", "W/\"9\"".to_owned()));
    case("PUT", "/fhir/{kind}", Holds::Bare(ask, 412));
    let import = with("program", "/import", lab("lab-new", "pat-v", "new").to_string());
    case("POST", "/import", Holds::Bare(import, 200));

    let card = "/emergency/{patient}";
    case(
        "GET",
        card,
        Holds::Same(asked("nurse", "/emergency/pat-v"), "pat-v", "pat-0"),
    );
    case(
        "GET",
        card,
        Holds::Bare(asked("program", "/emergency/pat-v"), 403),
    );
    for who in people {
        case(
            "GET",
            card,
            Holds::Says(asked(who, "/emergency/pat-ed"), 200, "withheld"),
        );
    }

    images(&mut case);
    for (name, method, route) in [
        ("sync", "GET", "/ws/sync"),
        ("images", "GET", "/ws/images"),
        ("ahead", "GET", AHEAD),
        ("live", "GET", "/ws/live"),
    ] {
        case(method, route, Holds::Connection(name));
    }

    // Breaking the glass opens the record; the reviewer then reads that it was opened, and nothing of what was seen.
    let glass = json!({"patient": "pat-v", "reason": "covering"}).to_string();
    case(
        "POST",
        "/auth/break-glass",
        Holds::Bare(with("nurse", "/auth/break-glass", glass), 200),
    );
    for path in [
        "/console/api/session",
        "/console/api/reviews",
        "/console/api/review-stats",
        "/console/api/audit",
        "/console/api/chains",
    ] {
        case("GET", path, Holds::Bare(asked("console", path), 200));
    }
    let (review, of) = ("/console/api/reviews/{id}", "/console/api/reviews/{review}");
    case("GET", review, Holds::Bare(asked("console", of), 200));
    let ask = json!({"how": "ask", "text": "why"}).to_string();
    case("POST", review, Holds::Bare(with("console", of, ask), 200));
    case(
        "POST",
        "/console/api/chains",
        Holds::Bare(with("console", "/console/api/chains", "{}".to_owned()), 200),
    );

    for &(method, route, why) in NOTHING {
        case(method, route, Holds::None(why));
    }
    out
}

/// Routes of which nothing that bears a label can be asked.
const NOTHING: &[(&str, &str, &str)] = &[
    ("GET", "/healthz", "names no patient"),
    ("GET", "/readyz", "names no patient"),
    ("GET", "/fhir/metadata", "names no patient"),
    ("GET", "/fhir/openapi.json", "names no patient"),
    ("DELETE", "/fhir/{kind}", "is refused, and looks nothing up"),
    (
        "POST",
        "/fhir/{kind}/$validate",
        "checks what was sent, and looks nothing up",
    ),
    (
        "POST",
        "/fhir/{kind}/{id}/$validate",
        "checks what was sent, and looks nothing up",
    ),
    ("POST", "/auth/token", "gives a token"),
    ("GET", "/.well-known/smart-configuration", "names no patient"),
    ("GET", "/fhir/.well-known/smart-configuration", "names no patient"),
    ("POST", "/auth/introspect", "tells a program of its own token"),
    ("POST", "/auth/revoke", "gives nothing"),
    ("GET", "/auth/authorize", "names no patient"),
    ("POST", "/auth/authorize", "names no patient"),
    (
        "GET",
        "/auth/authorize/ask",
        "names no patient before one was chosen",
    ),
    ("POST", "/auth/authorize/sign-in", "gives a session"),
    (
        "POST",
        "/auth/authorize/find",
        "finds people by name, as the search of a workstation does: who is found is not opened by it",
    ),
    (
        "POST",
        "/auth/authorize/answer",
        "gives a code; what its token reads is asked by the routes of FHIR",
    ),
    (
        "POST",
        "/auth/launch",
        "gives a word for a patient who is named in the question",
    ),
    ("POST", "/auth/login", "gives a session"),
    ("POST", "/auth/way", "gives a way of signing in"),
    ("POST", "/auth/logout", "gives nothing"),
    ("POST", "/auth/secret", "gives nothing"),
    ("GET", "/auth/oidc", "gives a way of signing in"),
    ("POST", "/auth/oidc", "gives a session"),
    ("POST", "/auth/oidc/backchannel-logout", "gives nothing"),
    ("POST", "/enrol/hello", "gives a proof"),
    ("POST", "/enrol", "gives a ward and a key"),
    ("POST", "/dicomweb/studies", "takes images and names what came"),
    (
        "POST",
        "/dicomweb/studies/{study}",
        "takes images and names what came",
    ),
    (
        "POST",
        "/live/vitals",
        "takes values of monitors and names those it could not place; /ws/live gives them",
    ),
    ("GET", "/console", "the page"),
    ("GET", "/console/", "the page"),
    ("GET", "/console/{*file}", "the page"),
    ("GET", "/console/api/ways", "gives a way of signing in"),
    ("GET", "/console/api/oidc/start", "gives a way of signing in"),
    ("GET", "/console/oidc/callback", "gives a session"),
    ("POST", "/console/api/sign-in", "gives a session"),
    ("POST", "/console/api/sign-in/code", "gives a session"),
    ("POST", "/console/api/totp", "gives a secret of one's own"),
    ("POST", "/console/api/totp/confirm", "gives codes of one's own"),
    ("POST", "/auth/authorize/code", "gives a session"),
    ("POST", "/console/api/sign-out", "gives nothing"),
    ("GET", "/console/api/devices", "names workstations"),
    ("POST", "/console/api/devices/{id}/revoke", "names a workstation"),
    ("GET", "/console/api/people", "names the staff"),
    ("GET", "/console/api/policy", "names nobody"),
    (
        "GET",
        "/console/api/messages",
        "says what became of messages, nothing of what they say",
    ),
    (
        "GET",
        "/console/api/messages/{id}",
        "gives a message as its sender wrote it, to whoever may bring it in: a label is of the record, which is not read",
    ),
    (
        "POST",
        "/console/api/messages/{id}/replay",
        "says what became of a message",
    ),
    (
        "POST",
        "/console/api/messages/{id}/fix",
        "says what became of a message",
    ),
    (
        "POST",
        "/console/api/messages/{id}/drop",
        "says what became of a message",
    ),
    (
        "POST",
        "/console/api/policy/why",
        "says to whoever reads the audit log how confidential a record is; nothing that lies in it",
    ),
];

/// Images of a record that is labelled. To a program they are not there. A person is offered to break the glass, as for
/// another ward's: that a StudyInstanceUID is in use is told (ADR 44).
fn images(case: &mut impl FnMut(&'static str, &'static str, Holds)) {
    let accept = |mut ask: Asked, media: &str| {
        ask.headers.push(("accept", media.to_owned()));
        ask
    };
    let objects = "multipart/related; type=\"application/dicom\"";
    for (route, media) in [
        ("/dicomweb/studies/{study}", objects),
        ("/dicomweb/studies/{study}/metadata", "application/dicom+json"),
        ("/dicomweb/studies/{study}/series", "application/dicom+json"),
        ("/dicomweb/studies/{study}/instances", "application/dicom+json"),
        ("/dicomweb/studies/{study}/series/{series}", objects),
        (
            "/dicomweb/studies/{study}/series/{series}/metadata",
            "application/dicom+json",
        ),
        (
            "/dicomweb/studies/{study}/series/{series}/instances",
            "application/dicom+json",
        ),
        (
            "/dicomweb/studies/{study}/series/{series}/instances/{instance}",
            objects,
        ),
        (
            "/dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata",
            "application/dicom+json",
        ),
        (
            "/dicomweb/studies/{study}/series/{series}/instances/{instance}/bulkdata/{*path}",
            "*/*",
        ),
        ("/dicomweb/studies/{study}/thumbnail", "image/jpeg"),
        (
            "/dicomweb/studies/{study}/series/{series}/thumbnail",
            "image/jpeg",
        ),
        (
            "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}",
            "*/*",
        ),
        (
            "/dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered",
            "image/jpeg",
        ),
        (
            "/dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail",
            "image/jpeg",
        ),
        (
            "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered",
            "image/jpeg",
        ),
        (
            "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/thumbnail",
            "image/jpeg",
        ),
    ] {
        let path = route
            .replace("{study}", STUDY)
            .replace("{series}", &format!("{STUDY}.1"))
            .replace("{instance}", &format!("{STUDY}.1.1"))
            .replace("{frames}", "1")
            .replace("{*path}", "00420011");
        for (who, instead) in [("program", NO_STUDY), ("nurse", OTHER_STUDY)] {
            case(
                "GET",
                route,
                Holds::Same(accept(asked(who, &path), media), STUDY, instead),
            );
        }
    }
    let all = "/dicomweb/studies";
    for (who, query, there, instead) in [
        ("program", format!("?StudyInstanceUID={STUDY}"), STUDY, NO_STUDY),
        ("program", "?PatientID=mrn-pat-v".to_owned(), "pat-v", "pat-0"),
        (
            "program",
            "?AccessionNumber=ACC-17".to_owned(),
            "ACC-17",
            "ACC-00",
        ),
        (
            "program",
            "?PatientName=Testperson".to_owned(),
            "Testperson",
            "Testpersona",
        ),
        ("nurse", format!("?StudyInstanceUID={STUDY}"), STUDY, OTHER_STUDY),
        ("nurse", "?PatientID=mrn-pat-v".to_owned(), "pat-v", "pat-i"),
    ] {
        case(
            "GET",
            all,
            Holds::Same(asked(who, &format!("{all}{query}")), there, instead),
        );
    }
    for page in ["", "?limit=1", "?limit=1&offset=1"] {
        case(
            "GET",
            all,
            Holds::Bare(asked("program", &format!("{all}{page}")), 204),
        );
    }
}
