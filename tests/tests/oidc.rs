//! Signing in by a real OpenID provider: at a workstation through `vitrine-cli`, at a workstation's own route with what an
//! attacker could change, at the console, and signing out at the provider.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use vitrine_tests::oidc::{Browser, NINA, Provider, Someone};
use vitrine_tests::server::{Server, free_port, run_json, text};
use vitrine_tests::station::Station;
use vitrine_tests::thin::{Device, trusting};
use vitrine_wire::http::{OidcLoginRequest, OidcOffer};

const BACK: &str = "http://127.0.0.1:49152/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Hospital {
    server: Server,
    provider: Provider,
    folder: tempfile::TempDir,
}

impl Hospital {
    /// A server whose staff signs in by the provider, with a second factor.
    fn open() -> Result<Self> {
        Self::with("")
    }

    /// The same with further keys of `[oidc]`.
    fn with(more: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("server");
        // The first start makes the folder and its CA.
        drop(Server::start(&data, free_port()?)?);
        let add = |name: &str| {
            let args = [
                "user",
                "add",
                name,
                "--role",
                "nurse",
                "--ward",
                "ED",
                "--data",
                &text(&data),
                "--secret-stdin",
                "--json",
            ];
            run_json("vitrine-server", &args, Some("a long password here\n193746\n"))
        };
        add("nina")?;
        let mut provider = Provider::start(folder.path(), &data.join("ca.pem"))?;
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "the secret of vitrine, long enough\n")?;
        ensure!(Command::new("chmod").arg("600").arg(&secret).status()?.success());
        let config = folder.path().join("vitrine.toml");
        std::fs::write(
            &config,
            format!(
                "[listen]\npublic_url = \"https://vitrine.example\"\n[oidc]\nissuer = \"{}\"\nclient_id = \"vitrine\"\n\
                 client_secret_file = \"{}\"\nca_file = \"{}\"\nacr = [\"mfa\"]\namr = [\"mfa\"]\n{more}",
                provider.issuer,
                text(&secret),
                text(&provider.ca)
            ),
        )?;
        let server = Server::start_with(&data, free_port()?, &["--config", &text(&config)])?;
        provider.serve(&server.url())?;
        Ok(Self {
            server,
            provider,
            folder,
        })
    }

    fn provider_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("provider.log")).unwrap_or_default()
    }

    fn browser(&self) -> Result<Browser> {
        Browser::new(&[&self.provider.ca, &self.server.data.join("ca.pem")])
    }

    /// The rules of the server's audit rows of an act.
    fn rules(&self, action: &str) -> Result<Vec<String>> {
        let to = self.folder.path().join(format!("audit-{action}"));
        let _ = std::fs::remove_file(&to);
        let args = [
            "audit",
            "export",
            "--data",
            &text(&self.server.data),
            "--to",
            &text(&to),
            "--json",
        ];
        run_json("vitrine-server", &args, None)?;
        let all = std::fs::read_to_string(&to)?;
        let rows = all
            .lines()
            .map(serde_json::from_str::<Value>)
            .collect::<Result<Vec<_>, _>>()?;
        let of = rows.iter().map(|r| &r["entry"]).filter(|e| e["action"] == action);
        Ok(of.filter_map(|e| e["rule"].as_str().map(str::to_owned)).collect())
    }

    /// Goes to the provider and comes back with what it gave.
    async fn code(
        &self,
        browser: &mut Browser,
        who: Someone<'_>,
        nonce: &str,
        client: &str,
    ) -> Result<OidcLoginRequest> {
        let http = self.server.http()?;
        let mut offer: OidcOffer = http
            .get(format!("{}/auth/oidc", self.server.url()))
            .send()
            .await?
            .json()
            .await?;
        client.clone_into(&mut offer.client_id);
        let to = offer
            .address(BACK, "state-1", nonce, CHALLENGE)
            .context("an address")?;
        let back = browser.signs_in(&to, who).await?;
        let query: std::collections::BTreeMap<String, String> =
            reqwest::Url::parse(&back)?.query_pairs().into_owned().collect();
        ensure!(
            back.starts_with(BACK) && query.get("state").map(String::as_str) == Some("state-1"),
            "{back}"
        );
        Ok(OidcLoginRequest {
            code: query.get("code").context("a code")?.clone(),
            verifier: VERIFIER.to_owned(),
            redirect_uri: BACK.to_owned(),
            nonce: nonce.to_owned(),
            device: String::new(),
            at_ms: 0,
            signature: String::new(),
        })
    }
}

/// `vitrine-cli login --provider`, with somebody at the browser; gives exit code and the last line.
async fn cli_login(
    h: &Hospital,
    profile: &Path,
    who: Someone<'_>,
    pin: Option<&str>,
) -> Result<(i32, Value)> {
    let mut args = vec!["--json", "login", "--provider", "--print"];
    args.extend(pin.map(|_| "--secret-stdin"));
    let mut child = Command::new(vitrine_tests::bin("vitrine-cli"))
        .arg("--profile")
        .arg(profile)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin")?;
    if let Some(pin) = pin {
        std::io::Write::write_all(&mut stdin, format!("{pin}\n").as_bytes())?;
    }
    drop(stdin);
    let mut out = BufReader::new(child.stdout.take().context("stdout")?);
    let mut line = String::new();
    out.read_line(&mut line)?;
    let open: Value = serde_json::from_str(&line).with_context(|| format!("{line:?}"))?;
    let address = open["open"].as_str().context("an address")?.to_owned();
    let mut browser = h.browser()?;
    // Somebody else on this machine is first, with a state of their own.
    let redirect = reqwest::Url::parse(&address)?;
    let redirect = redirect
        .query_pairs()
        .find(|(n, _)| n == "redirect_uri")
        .context("redirect_uri")?
        .1
        .into_owned();
    let (status, _, _) = browser
        .ask(&format!("{redirect}?code=stolen&state=guessed"), None)
        .await?;
    ensure!(status == 400, "a guessed state: {status}");
    let back = browser.signs_in(&address, who).await?;
    let (status, _, page) = browser.ask(&back, None).await?;
    ensure!(
        status == 200 && page.contains("close this page"),
        "{status}: {page}"
    );
    let done = tokio::task::spawn_blocking(move || {
        let mut last = String::new();
        for line in out.lines().map_while(Result::ok) {
            last = line;
        }
        child.wait_with_output().map(|o| (o, last))
    });
    let (output, last) = done.await??;
    let said = if last.is_empty() {
        String::from_utf8_lossy(&output.stderr).into_owned()
    } else {
        last
    };
    let said = serde_json::from_str(said.trim()).unwrap_or(Value::String(said));
    Ok((output.status.code().unwrap_or(-1), said))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nurse_signs_in_at_her_workstation_by_the_hospitals_provider() -> Result<()> {
    let h = Hospital::open()?;
    let profile = h.folder.path().join("station");
    let station = Station::enrol(&h.server, &h.server.url(), &profile, "ED")?;
    station.sync()?;

    let without = Someone { otp: "", ..NINA };
    let (exit, said) = cli_login(&h, &profile, without, None).await?;
    ensure!(
        exit != 0 && said.to_string().contains("second factor"),
        "{exit}: {said}"
    );
    let stranger = Someone {
        name: "stranger",
        password: "a long password of stranger",
        ..NINA
    };
    let (exit, said) = cli_login(&h, &profile, stranger, None).await?;
    ensure!(
        exit != 0 && said.to_string().contains("Nobody here has this account"),
        "{exit}: {said}"
    );

    let (exit, said) = cli_login(&h, &profile, NINA, None).await?;
    ensure!(
        exit == 0 && said["user"] == "nina" && said["offline"] == false,
        "{exit}: {said}"
    );
    // With the PIN of the staff list her own key is made here; a wrong one lets nobody in.
    let (exit, said) = cli_login(&h, &profile, NINA, Some("111111")).await?;
    ensure!(exit != 0, "{said}");
    let (exit, said) = cli_login(&h, &profile, NINA, Some("193746")).await?;
    ensure!(exit == 0 && said["user"] == "nina", "{exit}: {said}");
    // Without the server the PIN opens what it made.
    let slots = std::fs::read_dir(&profile)?.filter_map(Result::ok);
    ensure!(
        slots
            .into_iter()
            .any(|f| f.file_name().to_string_lossy().contains("records")),
        "no records of her own"
    );

    let rules = h.rules("sign-in")?;
    let want = ["oidc-acr", "oidc-no-account", "oidc", "oidc", "oidc"];
    let got: Vec<&str> = rules
        .iter()
        .map(String::as_str)
        .filter(|r| r.starts_with("oidc"))
        .collect();
    ensure!(got == want, "{rules:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_provider_is_the_way_in_a_pin_unlocks_whom_it_vouched_for_and_nobody_else() -> Result<()> {
    let h = Hospital::with("require = true\nname = \"Hospital ID\"\n")?;
    let profile = h.folder.path().join("station");
    let station = Station::enrol(&h.server, &h.server.url(), &profile, "ED")?;
    station.sync()?;
    let by_pin = ["login", "--user", "nina", "--secret-stdin"];
    let (exit, said) = station.refused(&by_pin, Some("193746\n"))?;
    ensure!(exit == 6 && said.contains("Hospital ID"), "{exit}: {said}");
    let (exit, said) = cli_login(&h, &profile, NINA, None).await?;
    ensure!(exit == 0 && said["user"] == "nina", "{exit}: {said}");
    station.cli(&["lock"], None)?;
    let said = station.cli(&by_pin, Some("193746\n"))?;
    ensure!(said["user"] == "nina" && said["offline"] == false, "{said}");
    Ok(())
}

/// When the server closed this session's wall.
async fn wall(h: &Hospital, token: &str) -> Result<tokio::task::JoinHandle<Instant>> {
    let addr = h.server.addr;
    let tcp = tokio::net::TcpStream::connect(addr).await?;
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1")?;
    let tls = tokio_rustls::TlsConnector::from(trusting(&h.server)?)
        .connect(name, tcp)
        .await?;
    let mut request = format!("wss://{addr}/ws/live?v=1&ward=ED").into_client_request()?;
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse()?);
    let (mut socket, _) = tokio_tungstenite::client_async(request, tls).await?;
    Ok(tokio::spawn(async move {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Instant::now(),
                Some(Ok(_)) => {}
            }
        }
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_thief_of_codes_can_change_is_refused_and_signing_out_there_ends_what_is_open_here()
-> Result<()> {
    let h = Hospital::open()?;
    let http = h.server.http()?;
    let device = Device::enrol(&h.server, &http, "ED").await?;
    let nonce = |n: char| n.to_string().repeat(43);
    let refused = async |request: OidcLoginRequest, rule: &str| -> Result<()> {
        let (status, answer) = device.redeem(&h.server, &http, request).await?;
        let text = answer["text"].as_str().unwrap_or_default();
        ensure!(
            status >= 400 && text.ends_with(&format!("({rule})")),
            "{rule}: {status} {answer}"
        );
        Ok(())
    };
    // Each is a real code of a real sign-in; four refusals in a row are not throttled.
    let mut browser = h.browser()?;
    let right = h.code(&mut browser, NINA, &nonce('a'), "vitrine").await?;
    let other = OidcLoginRequest {
        verifier: "w".repeat(43),
        ..right
    };
    refused(other, "oidc-code").await.context("another verifier")?;
    let right = h.code(&mut browser, NINA, &nonce('b'), "vitrine").await?;
    let other = OidcLoginRequest {
        redirect_uri: "http://127.0.0.1:49153/callback".to_owned(),
        ..right
    };
    refused(other, "oidc-code").await.context("another address")?;
    let others = h.code(&mut browser, NINA, &nonce('c'), "other").await?;
    refused(others, "oidc-code")
        .await
        .context("the code of another client")?;
    let right = h.code(&mut browser, NINA, &nonce('d'), "vitrine").await?;
    let other = OidcLoginRequest {
        nonce: nonce('e'),
        ..right
    };
    refused(other, "oidc-nonce").await.context("another nonce")?;

    let right = h.code(&mut browser, NINA, &nonce('f'), "vitrine").await?;
    let (status, answer) = device.redeem(&h.server, &http, right.clone()).await?;
    ensure!(
        status == 200 && answer["user"] == "nina",
        "the control: {status} {answer}"
    );
    let token = answer["token"].as_str().context("a token")?.to_owned();
    let works = async || -> Result<u16> {
        let asked = http
            .get(format!("{}/emergency/nobody", h.server.url()))
            .bearer_auth(&token);
        Ok(asked.send().await?.status().as_u16())
    };
    ensure!(works().await? != 401);
    refused(right, "oidc-code")
        .await
        .context("a code that was used")?;

    let wall = wall(&h, &token).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(!wall.is_finished(), "the wall is not open");
    let began = Instant::now();
    browser.signs_out(&h.provider.issuer).await?;
    let told = Instant::now();
    let closed = tokio::time::timeout(Duration::from_secs(10), wall).await;
    let closed = closed.with_context(|| h.provider_log())??;
    eprintln!(
        "closed {:?} after the click, {:?} after the provider's page",
        closed - began,
        closed.saturating_duration_since(told)
    );
    ensure!(
        closed.saturating_duration_since(told) < Duration::from_secs(1),
        "{:?}",
        closed - told
    );
    ensure!(works().await? == 401, "after logout");
    // The provider tells the other client too, whose token is none of ours.
    let mut rows = h.rules("sign-out")?;
    rows.sort();
    ensure!(rows == ["oidc-audience", "oidc-logout"], "{rows:?}");

    // What was bound is let go of: sessions by it end, and the next sign-in binds anew.
    let right = h.code(&mut h.browser()?, NINA, &nonce('g'), "vitrine").await?;
    let (status, answer) = device.redeem(&h.server, &http, right).await?;
    ensure!(status == 200, "{status} {answer}");
    let bearer = answer["token"].as_str().context("a token")?;
    let unbind = [
        "user",
        "unbind",
        "nina",
        "--data",
        &text(&h.server.data),
        "--json",
    ];
    ensure!(run_json("vitrine-server", &unbind, None)?["bound"] == false);
    let asked = http
        .get(format!("{}/emergency/nobody", h.server.url()))
        .bearer_auth(bearer);
    ensure!(asked.send().await?.status() == 401, "after unbinding");
    let again = run_json("vitrine-server", &unbind, None);
    ensure!(again.is_err_and(|e| e.to_string().contains("bound to no identity")));
    let right = h.code(&mut h.browser()?, NINA, &nonce('h'), "vitrine").await?;
    let (status, answer) = device.redeem(&h.server, &http, right).await?;
    ensure!(status == 200, "bound anew: {status} {answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_at_the_console_by_the_provider_and_out_there() -> Result<()> {
    let h = Hospital::open()?;
    let mut browser = h.browser()?;
    let here = h.server.url();
    let (status, to, _) = browser
        .ask(&format!("{here}/console/api/oidc/start"), None)
        .await?;
    ensure!(status == 303, "{status}");
    let back = browser
        .signs_in(&to.context("sent to the provider")?, NINA)
        .await?;
    // The name is the hospital's; for this browser it lies here.
    let back = back.replace("https://vitrine.example", &here);
    let (status, to, text) = browser.ask(&back, None).await?;
    ensure!(
        status == 303 && to.as_deref() == Some(&format!("{here}/console/")),
        "{status}: {text}"
    );
    let (status, _, session) = browser.ask(&format!("{here}/console/api/session"), None).await?;
    ensure!(status == 200, "{status}: {session}");
    let session: Value = serde_json::from_str(&session)?;
    ensure!(session["user"] == json!("nina"), "{session}");
    let (status, _, text) = browser.ask(&back, None).await?;
    ensure!(
        status == 401 && text.contains("oidc-state"),
        "the same answer again, {status}: {text}"
    );
    browser.signs_out(&h.provider.issuer).await?;
    let (status, _, _) = browser.ask(&format!("{here}/console/api/session"), None).await?;
    ensure!(status == 401, "{status} after signing out at the provider");
    Ok(())
}
