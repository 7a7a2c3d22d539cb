//! Reaching the running server, or the store itself.
//!
//! Lives here: the admin socket (a Unix socket in the data folder, 0600: who may open it may read the keys anyway), both
//! its ends, and the choice between it and opening the store. Never here: what acts do.
//! Called by the commands and by `serve`. One line of JSON each way.

use super::acts::{self, Act, Given, Ground};
use super::{Context, Data, Outcome, show};
use crate::app::App;
use crate::data_dir::{DataDir, Lock};
use crate::error::{Exit, Fault};
use crate::imaging::copies::Copier;
use crate::imaging::filing::Filer;
use crate::keys::Keys;
use crate::ops::audit_tree::Tree;
use crate::ops::backup::Files;
use crate::ops::drain;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

#[derive(Serialize, Deserialize)]
struct Asked {
    operator: String,
    act: Act,
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Given(Given),
    Fault { exit: u8, text: String },
}

/// Carries out an act where it can be: in the running server, else in the store.
///
/// # Errors
/// [`Fault`].
pub async fn act(context: &Context, data: &Data, act: Act) -> Result<Outcome, Fault> {
    let dir = DataDir::open(&data.data, false)?;
    dir.must_be_set_up()?;
    let words = show::kind(&act);
    let given = match dir.try_lock()? {
        Some(lock) => {
            let ground = open(context, dir, &lock).await?;
            acts::perform(&ground, act).await?
        }
        None => ask(&dir, act).await?,
    };
    let exit = exit(given.exit);
    Ok(Outcome {
        exit,
        words: show::words(words, &given.json),
        json: given.json,
    })
}

fn exit(code: u8) -> Exit {
    match code {
        0 => Exit::Done,
        2 => Exit::Usage,
        3 => Exit::Unsafe,
        _ => Exit::Some,
    }
}

/// Opens keys and store of a folder this process has locked.
///
/// # Errors
/// [`Fault`].
pub async fn open(context: &Context, dir: DataDir, _lock: &Lock) -> Result<Ground, Fault> {
    let config = context.config(&dir)?;
    let keys = Keys::open(&dir, &config.tls, None)?;
    let (store, files) = crate::ops::backup::open_store(&dir, &keys, &config).await?;
    let images = Filer::open(store.clone(), &dir, &config.images, &config.database.node)
        .map_err(|e| Fault::failed(e.to_string()))?;
    let copies = Copier::open(
        store.clone(),
        images.blobs().clone(),
        &dir,
        &config.images,
        Arc::default(),
        tokio::sync::watch::channel(false).1,
    )?;
    let mailer = crate::ops::notice::Mailer::of(&config, &dir)?.map(Arc::new);
    let keys = Arc::new(keys);
    let tree = Arc::new(Tree::new(&dir, &config, keys.clone(), Arc::default()));
    Ok(Ground {
        store,
        tree,
        images,
        copies,
        files,
        ca_fingerprint: keys.ca_fingerprint.clone(),
        certificate_fingerprint: keys.certificate_fingerprint.clone(),
        server_key: keys.server_key_hex(),
        keys,
        redo: config.redo,
        archive: config.archive,
        audit: config.audit,
        mllp: config.mllp.clone(),
        totp: config.sessions.totp,
        mailer,
        node: config.database.node,
        public_url: config.listen.public_url,
        repository: None,
        tiers: Arc::default(),
        served: false,
        operator: acts::operator(),
        dir,
    })
}

#[cfg(unix)]
async fn ask(dir: &DataDir, act: Act) -> Result<Given, Fault> {
    let socket = dir.admin_socket();
    let Ok(stream) = tokio::net::UnixStream::connect(&socket).await else {
        // Somebody has the folder and does not answer: say who.
        dir.lock()?;
        return Err(Fault::usage(format!(
            "{} was just let go of: try again",
            dir.root().display()
        )));
    };
    let (read, mut write) = stream.into_split();
    let asked = Asked {
        operator: acts::operator(),
        act,
    };
    let mut line =
        serde_json::to_vec(&asked).map_err(|e| Fault::failed(format!("writing the request: {e}")))?;
    line.push(b'\n');
    let gone =
        |e: std::io::Error| Fault::failed(format!("the running server did not answer ({e}): try again"));
    write.write_all(&line).await.map_err(gone)?;
    let mut answer = String::new();
    BufReader::new(read).read_line(&mut answer).await.map_err(gone)?;
    match serde_json::from_str(&answer) {
        Ok(Answer::Given(given)) => Ok(given),
        Ok(Answer::Fault { exit: code, text }) => Err(Fault {
            exit: exit(code),
            text,
            disk: false,
        }),
        Err(_) => Err(Fault::failed(
            "the running server ended before it answered: see its log",
        )),
    }
}

#[cfg(not(unix))]
async fn ask(dir: &DataDir, _: Act) -> Result<Given, Fault> {
    dir.lock().map(|_| ())?;
    Err(Fault::usage("the folder was just let go of: try again"))
}

/// What an act works on in the running server.
#[must_use]
pub fn ground(app: &App, files: Arc<dyn Files>, operator: String) -> Ground {
    Ground {
        dir: app.dir.clone(),
        store: app.store.clone(),
        tree: app.tree.clone(),
        images: app.images.clone(),
        copies: app.copies.clone(),
        files,
        ca_fingerprint: app.keys.ca_fingerprint.clone(),
        certificate_fingerprint: app.keys.certificate_fingerprint.clone(),
        server_key: app.keys.server_key_hex(),
        keys: app.keys.clone(),
        redo: app.config.redo.clone(),
        archive: app.config.archive.clone(),
        audit: app.config.audit.clone(),
        mllp: app.config.mllp.clone(),
        totp: app.config.sessions.totp,
        mailer: app.mailer.clone(),
        node: app.config.database.node.clone(),
        public_url: app.config.listen.public_url.clone(),
        repository: app
            .repository
            .as_ref()
            .map(|r| (r.behind_s(), r.standing().error)),
        tiers: app.tiers.clone(),
        served: true,
        operator,
    }
}

/// Answers commands while the server runs.
///
/// # Errors
/// [`Fault`] when the socket cannot be made.
#[cfg(unix)]
pub fn listen(app: Arc<App>, files: Arc<dyn Files>) -> Result<(), Fault> {
    let path = app.dir.admin_socket();
    let _ = std::fs::remove_file(&path);
    let listener =
        tokio::net::UnixListener::bind(&path).map_err(|e| Fault::io("cannot open the socket", &path, &e))?;
    crate::data_dir::set_mode(&path, 0o600)?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (app, files) = (app.clone(), files.clone());
                    tokio::spawn(async move { answer(app, files, stream).await });
                }
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    });
    Ok(())
}

/// Without Unix sockets commands need the server stopped.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn listen(_: Arc<App>, _: Arc<dyn Files>) -> Result<(), Fault> {
    Ok(())
}

/// Acts on the running server itself, and what only it knows; everything else is the store's.
#[cfg(unix)]
async fn running(app: &App, ground: &Ground, act: Act) -> Result<Given, Fault> {
    match act {
        Act::Drain { undo: true, .. } => Ok(acts::given(Exit::Done, drain::undo(app))),
        Act::Drain { notice_s, .. } => {
            let json = drain::drain(app, std::time::Duration::from_secs(notice_s)).await;
            let whole = json.get("drained") == Some(&true.into());
            Ok(acts::given(if whole { Exit::Done } else { Exit::Some }, json))
        }
        Act::Doctor => {
            let mut given = acts::perform(ground, Act::Doctor).await?;
            if let Some(report) = given.json.as_object_mut() {
                report.insert("running".to_owned(), crate::http::health::standing(app));
            }
            Ok(given)
        }
        other => acts::perform(ground, other).await,
    }
}

#[cfg(unix)]
async fn answer(app: Arc<App>, files: Arc<dyn Files>, stream: tokio::net::UnixStream) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    if BufReader::new(read).read_line(&mut line).await.is_err() {
        return;
    }
    let answer = match serde_json::from_str::<Asked>(&line) {
        Err(_) => Answer::Fault {
            exit: 2,
            text: "the command is of another version than the running server".into(),
        },
        Ok(asked) => {
            let ground = ground(&app, files, asked.operator);
            match running(&app, &ground, asked.act).await {
                Ok(given) => {
                    if given.access_changed {
                        app.access_changed();
                    }
                    Answer::Given(given)
                }
                Err(f) => Answer::Fault {
                    exit: f.exit as u8,
                    text: f.text,
                },
            }
        }
    };
    if let Ok(mut bytes) = serde_json::to_vec(&answer) {
        bytes.push(b'\n');
        let _ = write.write_all(&bytes).await;
    }
}
