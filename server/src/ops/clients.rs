//! Programs that may use the API: adding, listing, changing, removing.
//!
//! Lives here: what the command line does with them, and which scopes they may be registered for. Never here: how they prove
//! themselves (`identity::clients`). Called by `cli::acts`.

use crate::cli::acts::{Given, Ground};
use crate::clock;
use crate::error::Fault;
use crate::identity::clients::public_keys;
use crate::keys::hex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use vitrine_access::Permit;
use vitrine_access::action::ManageUsers;
use vitrine_store::{ClientRow, none_registered};

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Asked {
    /// Register one; `keys`: the text of its JWK Set, in place of a secret.
    Add {
        name: String,
        scopes: Vec<String>,
        keys: Option<String>,
        public: bool,
        redirects: Vec<String>,
    },
    List,
    /// Replace its keys.
    Keys {
        id: String,
        keys: String,
    },
    /// Replace its secret.
    Secret {
        id: String,
    },
    Remove {
        id: String,
    },
}

/// Carries it out.
///
/// # Errors
/// [`Fault`] that names the option and what to do.
pub async fn act(ground: &Ground, asked: Asked) -> Result<Given, Fault> {
    match asked {
        Asked::Add {
            name,
            scopes,
            keys,
            public,
            redirects,
        } => add(ground, &name, &scopes, keys.as_deref(), public, redirects).await,
        Asked::List => {
            let all = ground.store.clients().await?;
            let clients: Vec<Value> = all.iter().map(listed).collect();
            Ok(Given::done(json!({"clients": clients})))
        }
        Asked::Keys { id, keys } => {
            let client = there(ground, &id).await?;
            if client.keys.is_none() {
                return Err(Fault::usage(format!(
                    "the client {id} was not added with --jwks: add one in its place"
                )));
            }
            let (keys, names) = key_set(ground, &keys)?;
            let permit = permit(ground, &id, "keys")?.noted("keys", names.join(" "));
            let client = ClientRow {
                keys: Some(keys),
                ..client
            };
            ground.store.put_client(&permit, client).await?;
            Ok(changed(json!({"client_id": id, "keys": names})))
        }
        Asked::Secret { id } => {
            let client = there(ground, &id).await?;
            if client.secret.is_none() {
                return Err(Fault::usage(format!(
                    "the client {id} has no secret: it proves itself by keys ('vitrine-server client keys'), or by nothing"
                )));
            }
            let (secret, hash) = new_secret();
            let permit = permit(ground, &id, "secret")?;
            let client = ClientRow {
                secret: Some(hash),
                ..client
            };
            ground.store.put_client(&permit, client).await?;
            Ok(changed(json!({"client_id": id, "client_secret": secret})))
        }
        Asked::Remove { id } => {
            let permit = permit(ground, &id, "remove")?;
            ground.store.remove_client(&permit, &id).await?;
            Ok(changed(json!({"client_id": id, "removed": true})))
        }
    }
}

/// Sessions ended: what is open on them closes.
fn changed(json: Value) -> Given {
    Given {
        access_changed: true,
        ..Given::done(json)
    }
}

fn permit(ground: &Ground, id: &str, change: &str) -> Result<Permit<ManageUsers>, Fault> {
    Ok(ground
        .permit::<ManageUsers>()?
        .noted("client", id)
        .noted("change", change))
}

async fn there(ground: &Ground, id: &str) -> Result<ClientRow, Fault> {
    let found = ground.store.client(id).await?;
    found.ok_or_else(|| Fault::usage(none_registered(id).to_string()))
}

fn new_secret() -> (String, [u8; 32]) {
    let secret = hex(&clock::random::<32>());
    let hash = Sha256::digest(secret.as_bytes()).into();
    (secret, hash)
}

/// A key set as it is kept, and the names of its keys.
fn key_set(ground: &Ground, text: &str) -> Result<(String, Vec<String>), Fault> {
    if ground.public_url.is_empty() {
        return Err(Fault::usage(
            "--jwks: assertions name this server's token endpoint: set listen.public_url in the configuration first",
        ));
    }
    public_keys(text.as_bytes()).map_err(|why| Fault::usage(format!("--jwks: {why}")))
}

fn listed(c: &ClientRow) -> Value {
    let keys = c.keys.as_deref().and_then(|k| public_keys(k.as_bytes()).ok());
    let by = match (c.secret, &c.keys) {
        (Some(_), _) => "secret",
        (None, Some(_)) => "keys",
        (None, None) => "public",
    };
    json!({"client_id": c.id, "by": by, "keys": keys.map_or_else(Vec::new, |(_, names)| names), "scope": c.scopes.join(" "),
        "redirect_uris": c.redirects})
}

async fn add(
    ground: &Ground,
    name: &str,
    scopes: &[String],
    keys: Option<&str>,
    public: bool,
    redirects: Vec<String>,
) -> Result<Given, Fault> {
    if name.is_empty()
        || name.len() > 32
        || !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        return Err(Fault::usage(format!(
            "'{name}' cannot be a client name: use 1 to 32 letters, digits, - or _"
        )));
    }
    let scopes: Vec<String> = scopes
        .iter()
        .flat_map(|s| s.split_whitespace())
        .map(str::to_owned)
        .collect();
    for scope in &scopes {
        check_scope(scope)?;
    }
    if scopes.is_empty() {
        return Err(Fault::usage(
            "--scope: name at least one scope, e.g. 'system/*.cruds'",
        ));
    }
    let by_people = scopes.iter().any(|s| !s.starts_with("system/"));
    check_redirects(ground, &redirects, by_people)?;
    if public && scopes.iter().any(|s| s.starts_with("system/")) {
        return Err(Fault::usage(
            "--public: a program that cannot keep a secret gets no 'system/…' scope: who is there, would be anybody",
        ));
    }
    let keys = keys.map(|k| key_set(ground, k)).transpose()?;
    let id = format!("{name}-{}", hex(&clock::random::<4>()));
    let mut permit = permit(ground, &id, "add")?.noted("scopes", scopes.join(" "));
    let mut said = json!({"client_id": id, "scope": scopes.join(" ")});
    let mut client = ClientRow {
        id,
        secret: None,
        keys: None,
        scopes,
        redirects,
    };
    if !client.redirects.is_empty() {
        permit = permit.noted("redirects", client.redirects.join(" "));
        said["redirect_uris"] = json!(client.redirects);
    }
    if let Some((keys, names)) = keys {
        permit = permit.noted("keys", names.join(" "));
        said["keys"] = json!(names);
        client.keys = Some(keys);
    } else if public {
        said["public"] = json!(true);
    } else {
        let (secret, hash) = new_secret();
        said["client_secret"] = json!(secret);
        client.secret = Some(hash);
    }
    ground.store.put_client(&permit, client).await?;
    Ok(Given::done(said))
}

/// Where people may be sent back to: over TLS, to a program on the same machine (RFC 8252 §7.3), or by a scheme that is a
/// program's own (§7.1).
fn check_redirects(ground: &Ground, redirects: &[String], by_people: bool) -> Result<(), Fault> {
    if by_people == redirects.is_empty() {
        return Err(Fault::usage(
            "--redirect: scopes that people grant (patient/…, user/…, launch) and an address to send people back to belong together",
        ));
    }
    if by_people && ground.public_url.is_empty() {
        return Err(Fault::usage(
            "--redirect: programs name this server's own address: set listen.public_url in the configuration first",
        ));
    }
    match redirects.iter().find(|r| !is_redirect(r)) {
        None => Ok(()),
        Some(bad) => Err(Fault::usage(format!(
            "--redirect '{bad}': it must be https://…, http://127.0.0.1:PORT/…, http://[::1]:PORT/… or a scheme of the program's own \
             with a dot (com.example.app:/…), without a fragment"
        ))),
    }
}

fn is_redirect(text: &str) -> bool {
    if text.len() > 512 || text.contains('#') || !text.bytes().all(|b| (0x21..0x7f).contains(&b)) {
        return false;
    }
    let Ok(url) = reqwest::Url::parse(text) else {
        return false;
    };
    let plain = url.username().is_empty() && url.password().is_none();
    match url.scheme() {
        "https" => plain && url.has_host(),
        "http" => plain && url.port().is_some() && matches!(url.host_str(), Some("127.0.0.1" | "[::1]")),
        scheme => scheme.contains('.') && text.len() > scheme.len() + 1,
    }
}

fn check_scope(scope: &str) -> Result<(), Fault> {
    let wrong = |why: &str| {
        Err(Fault::usage(format!(
            "--scope '{scope}': {why}, e.g. 'system/*.cruds' or 'system/Patient.rs'"
        )))
    };
    if ["launch", "launch/patient"].contains(&scope) {
        return Ok(());
    }
    if [
        "openid",
        "fhirUser",
        "profile",
        "offline_access",
        "online_access",
        "launch/encounter",
    ]
    .contains(&scope)
    {
        return wrong("this server does not offer it");
    }
    let by_people = scope.starts_with("patient/") || scope.starts_with("user/");
    let rest = ["system/", "patient/", "user/"]
        .iter()
        .find_map(|c| scope.strip_prefix(c));
    let Some((kind, letters)) = rest.and_then(|r| r.split_once('.')) else {
        return wrong("must have the form system/Type.letters, patient/Type.rs or user/Type.rs");
    };
    if kind != "*" && !vitrine_fhir::is_resource_type(kind) {
        return wrong("its type is not a FHIR R4 resource type");
    }
    let (letters, narrowed) = match letters.split_once('?') {
        Some((letters, search)) => (letters, Some(search)),
        None => (letters, None),
    };
    if let Some(search) = narrowed {
        let named = search
            .strip_prefix("_security=")
            .map(|n| n.rsplit('|').next().unwrap_or(n));
        if !matches!(named, Some("R" | "V")) {
            return wrong("the one parameter it may have is _security=R or _security=V");
        }
    }
    if by_people && !["r", "s", "rs", "read"].contains(&letters) {
        return wrong(
            "a program that people let in reads and searches, and writes nothing: its letters are r and s",
        );
    }
    if ["read", "write", "*"].contains(&letters) {
        return Ok(());
    }
    let mut rest = "cruds".chars();
    if letters.is_empty() || !letters.chars().all(|l| rest.any(|r| r == l)) {
        return wrong("its letters must be some of c r u d s in this order");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_sent_back_to_the_program_and_nowhere_else() {
        for (address, fine) in [
            ("https://app.example/back", true),
            ("https://app.example:8443/back?a=b", true),
            ("http://127.0.0.1:49152/callback", true),
            ("http://[::1]:49152/", true),
            ("com.example.growth:/back", true),
            ("http://app.example/back", false),
            ("http://127.0.0.1/back", false),
            ("http://localhost:5000/back", false),
            ("https://app.example/back#x", false),
            ("https://u:p@app.example/back", false),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("file:///etc/passwd", false),
            ("growth:/back", false),
            ("//app.example/back", false),
            ("https://", false),
            ("https://app.example/a b", false),
            ("", false),
        ] {
            assert_eq!(is_redirect(address), fine, "{address}");
        }
    }

    #[test]
    fn scopes_are_checked_letter_by_letter() {
        for ok in [
            "system/*.cruds",
            "system/Patient.rs",
            "system/Observation.read",
            "system/*.*",
            "patient/*.rs",
            "patient/Observation.read",
            "user/Patient.s",
            "launch",
            "launch/patient",
        ] {
            assert!(check_scope(ok).is_ok(), "{ok}");
        }
        for bad in [
            "system/*.sr",
            "user/*.cruds",
            "patient/*.*",
            "patient/*.sr",
            "openid",
            "offline_access",
            "system/Nothing.r",
            "system/Patient.",
            "system/Patient",
            "x",
        ] {
            assert!(check_scope(bad).is_err(), "{bad}");
        }
    }
}
