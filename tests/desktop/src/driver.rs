//! The window under a WebDriver session: find by `data-testid`, press, read, wait, picture.

use crate::display::{Display, Kids};
use crate::keys::{CTRL, ENTER, Press};
use anyhow::{Context, Result, bail};
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::error::NewSessionError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::Client as LegacyClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest wait for a session; the driver itself would wait for ever for a web view that refuses automation.
pub const SESSION_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for something on the screen; generous, because the machine may be busy.
const WAIT: Duration = Duration::from_secs(20);
/// Longer than the screen holds a key that could begin a scanned code: a driver types as fast as a barcode reader, and what is
/// pressed next must not be the end of a code.
const HELD: Duration = Duration::from_millis(80);
/// Longest time between two keys of a reader, as the screen has it.
const READER_MS: f64 = 35.0;
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Drivers started one after the other, should one end before it has a session.
const DRIVER_TRIES: usize = 3;

/// The window, open. Dropping it ends everything it started.
pub struct Desktop {
    /// The WebDriver session.
    pub client: Client,
    // Order matters: the driver and the application end before their display and their folder go.
    _kids: Kids,
    _display: Display,
    _home: tempfile::TempDir,
}

impl Desktop {
    /// Opens `app` on a display of its own with the given profile and further environment.
    ///
    /// # Errors
    /// When a program is missing, the driver does not come up, or the session does not open within [`SESSION_LIMIT`].
    pub async fn start(app: &Path, profile: &Path, envs: &[(&str, &str)]) -> Result<Self> {
        let mut failed = Vec::new();
        for _ in 0..DRIVER_TRIES {
            let display = Display::start()?;
            let home = tempfile::tempdir()?;
            let port = vitrine_tests::server::free_port()?;
            let mut kids = Kids::default();
            let mut driver = driver(&display, home.path(), port);
            driver.envs(envs.iter().copied());
            kids.start(&mut driver)?;
            if let Err(why) = answers(port, &mut kids).await {
                failed.push(format!("{why:#}"));
                continue;
            }
            let capabilities = json!({
                "webkitgtk:browserOptions": {"binary": app, "args": ["--profile", profile]}
            });
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.as_object().cloned().unwrap_or_default());
            let url = format!("http://127.0.0.1:{port}");
            let session = tokio::time::timeout(SESSION_LIMIT, builder.connect(&url))
                .await
                .context("no WebDriver session in time: does the web view refuse automation?")?;
            match session {
                Ok(client) => {
                    return Ok(Self {
                        client,
                        _kids: kids,
                        _display: display,
                        _home: home,
                    });
                }
                // The driver itself is gone: that says nothing of the application.
                Err(
                    e @ (NewSessionError::Failed(_) | NewSessionError::FailedC(_) | NewSessionError::Lost(_)),
                ) => failed.push(format!("it went while the session was opened: {e}")),
                Err(e) => return Err(e).context("opening the WebDriver session"),
            }
        }
        bail!("WebKitWebDriver did not come up: {}", failed.join("; "))
    }

    /// Ends the session, then everything else.
    pub async fn stop(self) {
        let _ = tokio::time::timeout(Duration::from_secs(5), self.client.clone().close()).await;
    }

    /// The element with this `data-testid`, once it is there.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn find(&self, testid: &str) -> Result<Element> {
        let css = seen(testid);
        let begun = Instant::now();
        loop {
            if let Ok(found) = self.client.find(Locator::Css(&css)).await {
                return Ok(found);
            }
            if begun.elapsed() > WAIT {
                let shown = self.text_of_page().await.unwrap_or_default();
                bail!("{testid} did not come to the screen, which shows: {shown}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether it is there now.
    pub async fn has(&self, testid: &str) -> bool {
        self.client.find(Locator::Css(&seen(testid))).await.is_ok()
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// When it stays.
    pub async fn gone(&self, testid: &str) -> Result<()> {
        let begun = Instant::now();
        while self.has(testid).await {
            anyhow::ensure!(begun.elapsed() < WAIT, "{testid} stayed on the screen");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Its text, as seen.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn text(&self, testid: &str) -> Result<String> {
        Ok(self.find(testid).await?.text().await?)
    }

    /// One of its attributes; "" where it has none.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn attribute(&self, testid: &str, name: &str) -> Result<String> {
        Ok(self.find(testid).await?.attr(name).await?.unwrap_or_default())
    }

    /// Waits until its text contains `part`; returns the text.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn text_with(&self, testid: &str, part: &str) -> Result<String> {
        let begun = Instant::now();
        loop {
            let text = self.text(testid).await?;
            if text.contains(part) {
                return Ok(text);
            }
            anyhow::ensure!(
                begun.elapsed() < WAIT,
                "{testid} never said {part:?}, it says: {text}"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Everything on the page.
    ///
    /// # Errors
    /// When the page cannot be read.
    pub async fn text_of_page(&self) -> Result<String> {
        Ok(self.client.find(Locator::Css("body")).await?.text().await?)
    }

    /// Clicks it.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn click(&self, testid: &str) -> Result<()> {
        Ok(self.find(testid).await?.click().await?)
    }

    /// Types into it; an empty text empties it.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn fill(&self, testid: &str, text: &str) -> Result<()> {
        let field = self.find(testid).await?;
        field.clear().await?;
        // The driver refuses to type nothing, and its own emptying tells the page nothing: what was there would come back.
        if text.is_empty() {
            let tell = "document.querySelector(`[data-testid=\"TESTID\"]`)?.dispatchEvent(new Event('input', { bubbles: true })); done(true)";
            self.ask(&tell.replace("TESTID", testid)).await?;
        } else {
            field.send_keys(text).await?;
        }
        tokio::time::sleep(HELD).await;
        Ok(())
    }

    /// Presses a key, with others held, wherever the focus is.
    ///
    /// # Errors
    /// When the driver refuses.
    pub async fn press(&self, press: impl Into<Press>) -> Result<()> {
        let Press { held, key } = press.into();
        let mut keys = KeyActions::new("keyboard".to_owned());
        for value in &held {
            keys = keys.then(KeyAction::Down { value: *value });
        }
        keys = keys
            .then(KeyAction::Down { value: key })
            .then(KeyAction::Up { value: key });
        for value in held.iter().rev() {
            keys = keys.then(KeyAction::Up { value: *value });
        }
        Ok(self.client.perform_actions(keys).await?)
    }

    /// Types letters wherever the focus is.
    ///
    /// # Errors
    /// When the driver refuses.
    pub async fn type_text(&self, text: &str) -> Result<()> {
        let mut keys = KeyActions::new("keyboard".to_owned());
        for value in text.chars() {
            keys = keys.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client.perform_actions(keys).await?;
        tokio::time::sleep(HELD).await;
        Ok(())
    }

    /// Types a code as a barcode reader does: all of it at once, with Enter behind it; U+001D as Ctrl and `]`. True when no key came
    /// later than a reader's: the driver waits for the page after each, and on a busy machine that can be long.
    ///
    /// # Errors
    /// When the driver refuses.
    pub async fn scan(&self, code: &str) -> Result<bool> {
        self.ask("window.went = [performance.now()]; window.noted = (e) => void window.went.push(e.timeStamp); window.addEventListener('keyup', window.noted, true); done(true)")
            .await?;
        let mut keys = KeyActions::new("keyboard".to_owned());
        for value in code.chars().chain([ENTER]) {
            keys = match value {
                '\u{1d}' => keys
                    .then(KeyAction::Down { value: CTRL })
                    .then(KeyAction::Down { value: ']' })
                    .then(KeyAction::Up { value: ']' })
                    .then(KeyAction::Up { value: CTRL }),
                value => keys.then(KeyAction::Down { value }).then(KeyAction::Up { value }),
            };
        }
        self.client.perform_actions(keys).await?;
        // Between two releases with one in between lies at least the time between two presses; before the first stands when it began.
        let longest = self
            .ask("window.removeEventListener('keyup', window.noted, true); done(Math.max(0, ...window.went.slice(2).map((at, i) => at - window.went[i])))")
            .await?;
        Ok(longest.as_f64().is_some_and(|ms| ms <= READER_MS))
    }

    /// Runs a script that ends by calling `done(value)`.
    ///
    /// # Errors
    /// When it throws, or does not end in the driver's time.
    pub async fn ask(&self, script: &str) -> Result<Value> {
        let wrapped = format!("const done = arguments[arguments.length - 1]; {script}");
        Ok(self.client.execute_async(&wrapped, vec![]).await?)
    }

    /// The paint marks so far: `[{"name","at_ms","since_key_ms"}]`. Needs the automation build.
    ///
    /// # Errors
    /// When the application refuses.
    pub async fn marks(&self) -> Result<Vec<Value>> {
        let marks = self
            .ask("window.__TAURI_INTERNALS__.invoke('marks').then(done, (e) => done({ refused: String(e) }))")
            .await?;
        match marks {
            Value::Array(marks) => Ok(marks),
            other => bail!("the application gave no marks: {other}"),
        }
    }

    /// Waits for the next mark of this name beyond the first `seen` ones; returns it.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn mark_after(&self, name: &str, seen: usize) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let marks = self.marks().await?;
            if let Some(mark) = marks.into_iter().filter(|m| m["name"] == name).nth(seen) {
                return Ok(mark);
            }
            anyhow::ensure!(begun.elapsed() < WAIT, "no mark {name} after {seen}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A picture of what is on the screen now. The driver hands out the frame last presented, so two frames are waited
    /// for first.
    ///
    /// # Errors
    /// When the driver gives none, or the file cannot be written.
    pub async fn picture(&self, file: &Path) -> Result<()> {
        self.ask("requestAnimationFrame(() => requestAnimationFrame(() => done(true)))")
            .await?;
        let png = self.client.screenshot().await?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, png).with_context(|| format!("writing {}", file.display()))
    }
}

/// Its selector, apart from what the screen only rehearses behind the page.
fn seen(testid: &str) -> String {
    format!("[data-testid=\"{testid}\"]:not([data-rehearsal] *)")
}

/// The driver on a port and a display of its own.
fn driver(display: &Display, home: &Path, port: u16) -> Command {
    let mut driver = Command::new("WebKitWebDriver");
    driver
        .arg(format!("--port={port}"))
        .arg("--host=127.0.0.1")
        .env("TAURI_AUTOMATION", "true")
        .env("TAURI_WEBVIEW_AUTOMATION", "true");
    apart(&mut driver, display, home);
    driver
}

/// Puts a program on a display of its own.
pub(crate) fn apart(command: &mut Command, display: &Display, home: &Path) {
    command
        .env("DISPLAY", &display.name)
        // Everything the web view might write goes to a folder that is thrown away.
        .env("XDG_DATA_HOME", home.join("data"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("NO_AT_BRIDGE", "1")
        .env("GTK_A11Y", "none");
}

/// Waits until the driver itself answers: that something accepts connections there is not enough.
async fn answers(port: u16, kids: &mut Kids) -> Result<()> {
    let http: LegacyClient<HttpConnector, String> =
        LegacyClient::builder(TokioExecutor::new()).build(HttpConnector::new());
    let url = format!("http://127.0.0.1:{port}/status");
    let begun = Instant::now();
    loop {
        if kids.ended() {
            bail!("it ended by itself on port {port}");
        }
        let asked = tokio::time::timeout(Duration::from_secs(2), http.get(url.parse()?)).await;
        match asked {
            Ok(Ok(said)) if said.status().is_success() => return Ok(()),
            _ if begun.elapsed() > WAIT => bail!("it never answered on port {port}"),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
