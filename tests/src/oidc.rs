//! A real OpenID provider as a process (`tests/oidc/provider.mjs`), and a browser that fills its form.
//!
//! Lives here: starting it with a certificate of its own, cookies, redirects. Never here: what is asserted. Called by the test
//! of signing in by a provider.

use anyhow::{Context, Result, bail, ensure};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The provider. Ended when dropped.
pub struct Provider {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Its issuer's identifier.
    pub issuer: String,
    /// Its certificate, PEM: what `oidc.ca_file` names.
    pub ca: PathBuf,
}

/// Whoever sits at the browser.
#[derive(Debug, Clone, Copy)]
pub struct Someone<'a> {
    /// Sign-in name at the provider.
    pub name: &'a str,
    /// Password there.
    pub password: &'a str,
    /// The second factor; empty = none is given.
    pub otp: &'a str,
}

/// Nina, with her second factor.
pub const NINA: Someone<'static> = Someone {
    name: "nina",
    password: "a long password of nina",
    otp: "123456",
};

impl Provider {
    /// Starts it; it answers once [`Provider::serve`] was called. `trusts`: the CA of the server it sends logouts to.
    ///
    /// # Errors
    /// When node or its packages are not there (`npm ci` in tests/oidc), or it does not start.
    pub fn start(folder: &Path, trusts: &Path) -> Result<Self> {
        let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc");
        ensure!(
            at.join("node_modules/oidc-provider").is_dir(),
            "the provider is not installed: npm ci in {}",
            at.display()
        );
        let key = KeyPair::generate()?;
        let cert = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
        let (ca, key_file) = (folder.join("provider.pem"), folder.join("provider.key"));
        std::fs::write(&ca, cert.pem())?;
        std::fs::write(&key_file, key.serialize_pem())?;
        let log = std::fs::File::create(folder.join("provider.log"))?;
        let mut child = Command::new("node")
            .arg(at.join("provider.mjs"))
            .args([&ca, &key_file])
            .env("NODE_EXTRA_CA_CERTS", trusts)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("node")?;
        let mut out = BufReader::new(child.stdout.take().context("stdout")?);
        let said = line(&mut out)?;
        Ok(Self {
            issuer: said["issuer"].as_str().context("issuer")?.to_owned(),
            child,
            out,
            ca,
        })
    }

    /// It answers from now on; sessions that end there are told to `server`.
    ///
    /// # Errors
    /// When it has ended.
    pub fn serve(&mut self, server: &str) -> Result<()> {
        let logout = json!({"logout": format!("{server}/auth/oidc/backchannel-logout")});
        let stdin = self.child.stdin.as_mut().context("stdin")?;
        writeln!(stdin, "{logout}")?;
        ensure!(line(&mut self.out)?["ready"] == true, "the provider is not ready");
        Ok(())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(out: &mut BufReader<ChildStdout>) -> Result<Value> {
    let mut text = String::new();
    out.read_line(&mut text)?;
    serde_json::from_str(&text).with_context(|| format!("the provider said {text:?}: see provider.log"))
}

/// A browser: cookies by host, redirects as far as the provider's own pages.
pub struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// One that trusts these certificates alone.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn new(trusts: &[&Path]) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = Vec::new();
        for file in trusts {
            roots.push(reqwest::Certificate::from_pem(&std::fs::read(file)?)?);
        }
        let http = reqwest::Client::builder()
            .tls_certs_only(roots)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            http,
            cookies: BTreeMap::new(),
        })
    }

    /// Asks for a page, or posts a form; keeps cookies. Gives status, where it is sent, and the text.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(
        &mut self,
        at: &str,
        form: Option<&[(&str, &str)]>,
    ) -> Result<(u16, Option<String>, String)> {
        let url = reqwest::Url::parse(at)?;
        let host = url.authority().to_owned();
        let mut request = match form {
            None => self.http.get(url.clone()),
            Some(pairs) => {
                let encoded = vitrine_wire::http::form_encoded;
                let body: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={}", encoded(v))).collect();
                self.http
                    .post(url.clone())
                    .header("content-type", "application/x-www-form-urlencoded")
                    .header("origin", url.origin().ascii_serialization())
                    .body(body.join("&"))
            }
        };
        let prefix = format!("{host} ");
        let kept: Vec<&str> = self
            .cookies
            .iter()
            .filter(|(k, _)| k.starts_with(&prefix))
            .map(|(_, pair)| pair.as_str())
            .collect();
        if !kept.is_empty() {
            request = request.header("cookie", kept.join("; "));
        }
        let answer = request.send().await?;
        for set in answer.headers().get_all("set-cookie") {
            let pair = set.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie")?;
            let key = format!("{prefix}{name}");
            if value.is_empty() {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, pair.to_owned());
            }
        }
        let to = answer
            .headers()
            .get("location")
            .map(|v| v.to_str().map(str::to_owned));
        let to = to
            .transpose()?
            .map(|to| url.join(&to).map(|u| u.to_string()))
            .transpose()?;
        Ok((answer.status().as_u16(), to, answer.text().await?))
    }

    /// Goes to the provider's page, says who it is, and follows to where the provider sends the code: that address is not
    /// asked.
    ///
    /// # Errors
    /// When the provider shows something else than its form, or does not take what is given.
    pub async fn signs_in(&mut self, address: &str, who: Someone<'_>) -> Result<String> {
        let here = reqwest::Url::parse(address)?.origin();
        let mut at = address.to_owned();
        let mut given = false;
        for _ in 0..10 {
            let form = at.contains("/interaction/") && !given;
            let (status, to, text) = self.ask(&at, None).await?;
            let to = if form {
                ensure!(status == 200 && text.contains("name=\"otp\""), "{status}: {text}");
                given = true;
                let fields = [("login", who.name), ("password", who.password), ("otp", who.otp)];
                let (status, to, text) = self.ask(&at, Some(&fields)).await?;
                ensure!(to.is_some(), "the provider does not take it, {status}: {text}");
                to
            } else {
                ensure!(to.is_some(), "the provider says {status}: {text}");
                to
            };
            at = to.context("sent on")?;
            if reqwest::Url::parse(&at)?.origin() != here {
                return Ok(at);
            }
        }
        bail!("the provider sends round and round: {at}")
    }

    /// Signs out at the provider.
    ///
    /// # Errors
    /// When its page is another.
    pub async fn signs_out(&mut self, issuer: &str) -> Result<()> {
        let (status, _, text) = self
            .ask(&format!("{issuer}/session/end?client_id=vitrine"), None)
            .await?;
        ensure!(status == 200, "{status}: {text}");
        let xsrf = text
            .split("name=\"xsrf\" value=\"")
            .nth(1)
            .and_then(|t| t.split('"').next())
            .with_context(|| format!("no form: {text}"))?
            .to_owned();
        let form = [("xsrf", xsrf.as_str()), ("logout", "yes")];
        let (status, _, text) = self
            .ask(&format!("{issuer}/session/end/confirm"), Some(&form))
            .await?;
        ensure!((200..400).contains(&status), "{status}: {text}");
        Ok(())
    }
}
