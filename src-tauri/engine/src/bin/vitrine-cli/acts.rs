//! Running the acts.

use crate::args::{Act, AuditAct, CacheAct, Cli, Which, Who};
use crate::{bench, drill, entries, images, print, secret, wall};
use serde_json::{Value, json};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use vitrine_engine::clock::Clock;
use vitrine_engine::keys::{self, SealerChoice, SealerKind};
use vitrine_engine::profile::{Profile, write_private};
use vitrine_engine::{Beside, BreakGlass, EngineError, Enrolment, Identity, NewSecret, Options, Workstation};
use vitrine_wire::view::{DataAge, EngineEvent};
use zeroize::Zeroizing;

/// Done.
pub(crate) const DONE: u8 = 0;
/// Longest wait for the server's word on a person who was let in by what is here: images are given to a session it knows.
const CONFIRMED: Duration = Duration::from_secs(5);
/// Something was refused or failed.
pub(crate) const SOME_REFUSED: u8 = 1;

/// Runs one act; gives the exit code.
pub async fn run(cli: Cli) -> Result<u8, EngineError> {
    let Some(profile) = cli.profile else {
        return Err(EngineError::Usage("no profile: give --profile DIR".to_owned()));
    };
    if profile.is_file() {
        return Err(EngineError::Usage(format!(
            "--profile {}: this is a file, a folder is needed",
            profile.display()
        )));
    }
    let json = cli.json;
    match cli.act {
        Act::Enrol {
            server,
            code,
            fingerprint,
            name,
            sealer,
        } => {
            let sealer = match sealer {
                None => SealerChoice::Best,
                Some(SealerKind::Tpm) => SealerChoice::Tpm,
                Some(SealerKind::File) => SealerChoice::File,
            };
            enrol(
                &profile,
                Enrolment {
                    server,
                    code,
                    fingerprint,
                    name: name.unwrap_or_else(machine_name),
                    sealer,
                    tpm: keys::tpm_here(),
                },
                json,
            )
            .await
        }
        Act::Reseal { sealer } => reseal(&profile, sealer, json),
        Act::Login {
            user: Some(user),
            secret,
            ..
        } => {
            let given = secret::read(&secret, &user)?;
            let ws = open(&profile, false)?;
            ws.sign_in(&user, &given).await?;
            login(&ws, &given, json).await
        }
        Act::Login {
            badge: true, secret, ..
        } => {
            let number = secret::badge()?;
            let ws = open(&profile, false)?;
            let picked = ws.badge(&number).await?;
            let given = secret::read(&secret, &picked.user)?;
            ws.sign_in_by_badge(&picked.token, &given).await?;
            login(&ws, &given, json).await
        }
        Act::Login { print, secret, .. } => {
            let pin = if secret.secret_stdin {
                Some(secret::read(&secret, "")?)
            } else {
                None
            };
            login_by_provider(&profile, pin, print, json).await
        }
        Act::ChangeSecret { user, which } => {
            let (now, new) = secret::now_and_new()?;
            let ws = open(&profile, false)?;
            ws.sign_in(&user, &now).await?;
            let (new, name) = match which {
                Which::Password => (NewSecret::Password(new), "password"),
                Which::Pin => (NewSecret::Pin(new), "pin"),
            };
            ws.change_secret(&now, new).await?;
            if json {
                print::json(&json!({"user": user, "changed": [name]}));
            } else {
                say!("Changed. Sign in with the new one from now on.");
            }
            Ok(DONE)
        }
        Act::Lock => lock(&profile, json),
        Act::Sync {
            until_current,
            follow,
            timeout,
        } => sync(&profile, until_current, follow, timeout, json).await,
        Act::Search { query, who } => {
            let ws = signed_in(&profile, &who, false).await?;
            let v = ws.search(&query).await?;
            if json {
                print::json(&to_json(&v)?)
            } else {
                print::search(&v)
            }
            Ok(DONE)
        }
        Act::Scan { code, who } => {
            let ws = signed_in(&profile, &who, false).await?;
            let v = ws.scan(&code).await?;
            if json {
                print::json(&to_json(&v)?)
            } else {
                print::scan(&v)
            }
            Ok(DONE)
        }
        Act::Board { ward, who } => {
            let ws = signed_in(&profile, &who, false).await?;
            let v = ws.board(ward.as_deref()).await?;
            if json {
                print::json(&to_json(&v)?)
            } else {
                print::board(&v)
            }
            Ok(DONE)
        }
        Act::Results { ward, who } => entries::results(&profile, ward.as_deref(), &who, json).await,
        Act::Drill { minutes, who } => drill::drill(&profile, minutes, &who, json).await,
        Act::Wall { ward, seconds, who } => wall::wall(&profile, ward.as_deref(), seconds, &who, json).await,
        Act::Packet {
            ward,
            out,
            print: _,
            printer,
            who,
        } => {
            let ws = signed_in(&profile, &who, false).await?;
            let view = match out {
                Some(file) => {
                    let made = ws.packet(ward.as_deref()).await?;
                    write_private(&file, &made.pdf)?;
                    made.view
                }
                None => ws.print_packet(ward.as_deref(), printer.as_deref()).await?,
            };
            if json {
                print::json(&to_json(&view)?)
            } else {
                print::packet(&view);
            }
            Ok(DONE)
        }
        Act::Record { what } => entries::record(&profile, what, json).await,
        Act::Entries { who } => entries::list(&profile, &who, json).await,
        Act::Settle { id, words, who } => entries::settle(&profile, &id, &words, &who, json).await,
        Act::Chart { patient, wait, who } => chart(&profile, &patient, wait, &who, json).await,
        Act::Images { patient, who } => {
            let ws = signed_in(&profile, &who, false).await?;
            ws.settled(CONFIRMED).await;
            let v = ws.images(&patient).await?;
            if json {
                print::json(&to_json(&v)?)
            } else {
                images::list(&v)
            }
            Ok(DONE)
        }
        Act::ImagePull {
            patient,
            series,
            px,
            timeout,
            who,
        } => {
            let ws = signed_in(&profile, &who, false).await?;
            ws.settled(CONFIRMED).await;
            images::pull(&ws, &patient, &series, px, Duration::from_secs(timeout), json).await
        }
        Act::Emergency {
            patient,
            reason,
            words,
            user,
            declared,
            secret,
        } => {
            let secret = secret::read(&secret, &user)?;
            let ws = open(&profile, false)?;
            let identity = match declared {
                None => Identity::UserSecret {
                    user,
                    secret,
                    badge: None,
                },
                Some(name) => {
                    let beside = Beside {
                        declared: Some(name),
                        ..Beside::default()
                    };
                    let token = ws.identify_with(&user, &secret, beside).await?;
                    Identity::Token(token.as_str().to_owned())
                }
            };
            let asked = BreakGlass {
                patient,
                reason,
                words,
                identity,
            };
            emergency(&ws, asked, json).await
        }
        Act::Status => status(&profile, json),
        Act::Audit { act } => audit(&profile, &act, json).await,
        Act::Cache { act } => cache(&profile, &act, json).await,
        Act::Selftest => selftest(&profile, json).await,
        Act::Bench {
            user,
            secret,
            n,
            query,
        } => {
            let secret = secret::read(&secret, &user)?;
            let ws = open(&profile, false)?;
            print::json(&bench::run(&ws, &user, &secret, n, &query).await?);
            Ok(DONE)
        }
    }
}

pub(crate) fn to_json<T: serde::Serialize>(v: &T) -> Result<Value, EngineError> {
    serde_json::to_value(v).map_err(|_| EngineError::Internal("printing"))
}

/// The ends of the workstations that were opened.
static OPENED: Mutex<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>> = Mutex::new(Vec::new());

/// Waits until no thread has a database of theirs open: the one that answers an emergency is no runtime's.
pub async fn ended() {
    let opened = std::mem::take(&mut *OPENED.lock().unwrap_or_else(PoisonError::into_inner));
    for end in opened {
        end.await;
    }
}

fn open(profile: &Path, sync: bool) -> Result<Workstation, EngineError> {
    if !profile.is_dir() {
        return Err(EngineError::NotEnrolled);
    }
    let ws = Workstation::open(
        profile,
        Options {
            sync,
            ..Options::default()
        },
    )?;
    // A workstation that cannot be used says why at once.
    ws.usable()?;
    OPENED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Box::pin(ws.ended()));
    Ok(ws)
}

fn machine_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname")
        .ok()
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|n| n.trim().to_owned())
        .filter(|n| !n.is_empty())
        .unwrap_or_else(|| "workstation".to_owned())
}

async fn enrol(profile: &Path, asked: Enrolment, json: bool) -> Result<u8, EngineError> {
    let enrolled = vitrine_engine::enrol(profile, &asked).await?;
    let (d, kept) = (enrolled.device, enrolled.keys.text());
    if json {
        print::json(&json!({
            "device": d.device, "workstation": d.name, "ward": d.ward, "site": d.site, "server": d.server, "demo": d.demo,
            "key_protection": kept, "why_not_tpm": enrolled.why_not_tpm,
        }));
    } else {
        say!(
            "Enrolled as {} in {} (device {}). Keys: {kept}.",
            d.name,
            d.ward,
            d.device
        );
        if let Some(why) = enrolled.why_not_tpm {
            say!("No TPM keeps them: {why}.");
        }
    }
    Ok(DONE)
}

fn reseal(profile: &Path, to: SealerKind, json: bool) -> Result<u8, EngineError> {
    if !profile.is_dir() {
        return Err(EngineError::NotEnrolled);
    }
    let from = keys::reseal(&Profile::at(profile)?, to, &keys::tpm_here(), &mut |_| {})?;
    if json {
        print::json(&json!({"key_protection": to.text(), "before": from.text(), "moved": from != to}));
    } else if from == to {
        say!("Nothing to do. Keys: {}.", to.text());
    } else {
        say!("Moved. Keys: {}; before: {}.", to.text(), from.text());
    }
    Ok(DONE)
}

async fn login(ws: &Workstation, secret: &str, json: bool) -> Result<u8, EngineError> {
    ws.settled(Duration::from_secs(5)).await;
    let v = ws
        .session()
        .ok_or(EngineError::WrongSecret { retry_after_s: 0 })?;
    ws.save_session(secret).await?;
    if json {
        print::json(
            &json!({"user": v.user, "display": v.display, "role": v.role, "offline": v.offline, "minutes": 15}),
        );
    } else {
        let how = if v.offline {
            "without the server"
        } else {
            "with the server"
        };
        say!("Signed in as {} ({}), {how}, for 15 minutes.", v.display, v.role);
    }
    Ok(DONE)
}

async fn login_by_provider(
    profile: &Path,
    pin: Option<Zeroizing<String>>,
    print: bool,
    json: bool,
) -> Result<u8, EngineError> {
    let ws = open(profile, false)?;
    let show = move |address: &str| {
        let opened = !print && Workstation::open_browser(address).is_ok();
        if json {
            print::json(&json!({"open": address, "opened": opened}));
        } else if opened {
            say!("Sign in in the browser that was opened. If there is none, open this address: {address}");
        } else {
            say!("Open this address in a browser on this machine: {address}");
        }
        Ok(())
    };
    let v = ws
        .sign_in_by_provider(show, pin.as_ref().map(|p| p.as_str()))
        .await?;
    ws.save_session(pin.as_ref().map_or("", |p| p.as_str())).await?;
    if json {
        print::json(
            &json!({"user": v.user, "display": v.display, "role": v.role, "offline": v.offline, "minutes": 15}),
        );
    } else {
        say!(
            "Signed in as {} ({}), by the identity provider, for 15 minutes.",
            v.display,
            v.role
        );
    }
    Ok(DONE)
}

fn lock(profile: &Path, json: bool) -> Result<u8, EngineError> {
    open(profile, false)?.forget_session()?;
    if json {
        print::json(&json!({"locked": true}))
    } else {
        say!("Locked.")
    }
    Ok(DONE)
}

async fn sync(
    profile: &Path,
    until_current: bool,
    follow: bool,
    timeout: u64,
    json: bool,
) -> Result<u8, EngineError> {
    let ws = open(profile, false)?;
    let _ = ws.restore_session();
    let mut events = ws.events();
    if !ws.synchronise()? {
        return Err(EngineError::Usage(
            "another program of this profile synchronises already (the app, or another `sync`): use `status` to see how far it is".to_owned(),
        ));
    }
    let mut code = DONE;
    // Without --follow, one round is made: until everything is current.
    if until_current || !follow {
        let current = ws.wait_current(Duration::from_secs(timeout)).await?;
        ws.usable()?;
        code = if current { DONE } else { SOME_REFUSED };
        let mut v = ws.status_json()?;
        v["current"] = current.into();
        if json {
            print::json(&v);
        } else {
            print::status(&v);
            if !current {
                eprintln!("vitrine-cli: not current after {timeout} s");
            }
        }
    }
    if !follow {
        return Ok(code);
    }
    loop {
        let heard = match events.recv().await {
            Ok(EngineEvent::Locked) if ws.usable().is_err() => {
                ws.usable()?;
                true
            }
            Ok(e) if json => heard!("{}", to_json(&e)?),
            Ok(EngineEvent::Status(s)) => heard!("{}  {}", s.clock_text, s.sentence),
            Ok(EngineEvent::PatientsChanged(p)) if p.is_empty() => heard!("patients changed: any of them"),
            Ok(EngineEvent::PatientsChanged(p)) => heard!("patients changed: {}", p.join(" ")),
            Ok(EngineEvent::BoardChanged(w)) => heard!("board changed: {w}"),
            Ok(EngineEvent::Images(h)) => heard!("images: {}", h.text),
            Ok(EngineEvent::Session(s)) => heard!("signed in: {}, {}", s.display, s.role),
            Ok(EngineEvent::EmergencyEnded(e)) => heard!("{}", e.text),
            // Of a wall that is not open here.
            Ok(
                EngineEvent::Wall
                | EngineEvent::WallTrends
                | EngineEvent::Badge(_)
                | EngineEvent::BadgeRefused(_)
                | EngineEvent::LockChanged,
            ) => true,
            Ok(EngineEvent::Locked) => heard!("locked"),
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => true,
            Err(tokio::sync::broadcast::error::RecvError::Closed) => false,
        };
        // Nobody listens any more, or there is nothing more to hear.
        if !heard {
            return Ok(code);
        }
    }
}

/// A workstation with somebody signed in: for this run alone, or by the kept session.
pub(crate) async fn signed_in(profile: &Path, who: &Who, sync: bool) -> Result<Workstation, EngineError> {
    let ws = open(profile, sync)?;
    match &who.user {
        Some(user) => {
            let secret = secret::read(&who.secret, user)?;
            ws.sign_in(user, &secret).await?;
        }
        None if who.secret.secret_stdin => {
            return Err(EngineError::Usage("--secret-stdin needs --user NAME".to_owned()));
        }
        None => {
            ws.restore_session()?;
        }
    }
    Ok(ws)
}

async fn chart(profile: &Path, patient: &str, wait: u64, who: &Who, json: bool) -> Result<u8, EngineError> {
    let ws = signed_in(profile, who, wait > 0).await?;
    let mut events = ws.events();
    let mut v = ws.chart(patient).await?;
    let id = v.banner.patient.clone();
    let arrived = async {
        // Nothing to wait for without a server.
        let mut tries = 0;
        loop {
            match tokio::time::timeout(Duration::from_millis(500), events.recv()).await {
                Ok(Ok(EngineEvent::PatientsChanged(p))) if p.contains(&id) => return true,
                Ok(Ok(_)) => {}
                _ => {
                    tries += 1;
                    if tries > 2 && matches!(ws.status().age, DataAge::Offline | DataAge::Old) {
                        return false;
                    }
                }
            }
        }
    };
    if wait > 0
        && v.record_age.age == DataAge::NotOnThisWorkstation
        && tokio::time::timeout(Duration::from_secs(wait), arrived)
            .await
            .unwrap_or(false)
    {
        v = ws.chart(patient).await?;
    }
    if json {
        print::json(&to_json(&v)?)
    } else {
        print::chart(&v)
    }
    Ok(DONE)
}

async fn emergency(ws: &Workstation, asked: BreakGlass, json: bool) -> Result<u8, EngineError> {
    let (v, card, age) = ws.break_glass_card(asked).await?;
    if json {
        print::json(&print::card_json(&v, card.as_ref(), &age, Clock::new().wall().0));
    } else {
        print::card(&v);
        for a in ws.status().alarms {
            say!("ALARM: {a}");
        }
    }
    Ok(DONE)
}

fn status(profile: &Path, json: bool) -> Result<u8, EngineError> {
    let ws = open(profile, false)?;
    let _ = ws.restore_session();
    let v = ws.status_json()?;
    if json {
        print::json(&v)
    } else {
        print::status(&v)
    }
    Ok(DONE)
}

async fn audit(profile: &Path, act: &AuditAct, json: bool) -> Result<u8, EngineError> {
    let ws = open(profile, false)?;
    match act {
        AuditAct::List { after, limit } => {
            let rows = ws.audit_list(*after, *limit).await?;
            if json {
                let rows: Vec<Value> = rows
                    .iter()
                    .map(|r| {
                        let entry: Value = serde_json::from_str(&r.body).unwrap_or(Value::Null);
                        json!({"seq": r.seq, "hash": vitrine_engine::entropy::hex(&r.hash), "prev": vitrine_engine::entropy::hex(&r.prev), "entry": entry})
                    })
                    .collect();
                print::json(&json!({"rows": rows}));
            } else {
                for r in rows {
                    say!("{:>8}  {}", r.seq, r.body);
                }
            }
            Ok(DONE)
        }
        AuditAct::Verify => match ws.audit_verify().await {
            Ok(head) => {
                if json {
                    print::json(
                        &json!({"ok": true, "rows": head.seq, "head": vitrine_engine::entropy::hex(&head.hash)}),
                    );
                } else {
                    say!("The audit chain is whole: {} rows.", head.seq);
                }
                Ok(DONE)
            }
            Err(EngineError::Store(e)) => {
                let first_bad = first_bad(&e);
                if json {
                    print::json(&json!({"ok": false, "first_bad": first_bad, "text": e.to_string()}));
                } else {
                    say!("The audit chain is NOT whole: {e}");
                }
                Ok(SOME_REFUSED)
            }
            Err(other) => Err(other),
        },
    }
}

async fn cache(profile: &Path, act: &CacheAct, json: bool) -> Result<u8, EngineError> {
    let found = match act {
        CacheAct::Verify => {
            let ws = open(profile, false)?;
            // For the full charts of who is signed in; without one the rest is checked.
            let _ = ws.restore_session();
            ws.verify_stored().await?
        }
        CacheAct::Renew { timeout } => Workstation::renew(profile, Duration::from_secs(*timeout)).await?,
    };
    if json {
        print::json(&to_json(&found)?)
    } else {
        for p in &found.parts {
            say!(
                "{}  {}: {}",
                if p.ok { "ok    " } else { "FAILED" },
                p.name,
                p.text
            );
        }
    }
    Ok(if found.ok { DONE } else { SOME_REFUSED })
}

async fn selftest(profile: &Path, json: bool) -> Result<u8, EngineError> {
    let t = open(profile, false)?.selftest().await?;
    if json {
        print::json(&to_json(&t)?)
    } else {
        print::selftest(&t)
    }
    Ok(if t.ok { DONE } else { SOME_REFUSED })
}

/// The first bad row, when the chain itself is what is wrong.
const fn first_bad(e: &vitrine_store::StoreError) -> Option<u64> {
    match e {
        vitrine_store::StoreError::Chain(fault) => Some(fault.first_bad()),
        _ => None,
    }
}
