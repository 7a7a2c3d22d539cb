//! The tree over the audit chains on real files: against its owner, who has every key and makes everything whole again;
//! against power cuts; with witnesses that are away. And the script that needs none of our code.

mod harness;
use harness::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vitrine_access::chain::Head;
use vitrine_access::tree::book::{Book, Line, Moved, Salt, moved_line};
use vitrine_access::tree::note::{Checkpoint, b64};
use vitrine_access::tree::root;
use vitrine_access::{Action, Disclosure, Permit, policy};
use vitrine_clinical::{DeviceId, PatientId, ResourceKey, WardId};
use vitrine_server::cli::acts::{Ground, operator_request};
use vitrine_server::cli::{Context, admin};
use vitrine_server::clock;
use vitrine_server::config::Tls;
use vitrine_server::data_dir::{DataDir, Lock};
use vitrine_server::keys::Keys;
use vitrine_server::ops::audit;
use vitrine_server::ops::audit_tree::TreeFault;
use vitrine_store::{EnrolCode, NewDevice, StoreError, audit_pack};
use vitrine_store_sqlcipher::{Key, OpenOptions, cipher};

const DEVICE: &str = "ed-01";

fn permit<A: Action>() -> Permit<A> {
    policy::decide(operator_request("test")).unwrap()
}

/// The server's folder as a command has it while no server runs.
async fn open(data: &Path) -> (Ground, Lock) {
    let dir = DataDir::open(data, true).unwrap();
    // A program that another test starts holds what this process holds, until it is a program of its own.
    let mut tries = 0;
    let lock = loop {
        match dir.lock() {
            Ok(lock) => break lock,
            Err(e) => assert!(tries < 100, "{}", e.text),
        }
        tries += 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let context = Context {
        json: true,
        config: None,
        database_url: None,
    };
    (admin::open(&context, dir, &lock).await.unwrap(), lock)
}

/// Its configuration: one witness, a file.
fn configure(data: &Path, witness: &Path) {
    std::fs::create_dir_all(data).unwrap();
    let text = format!(
        "[[audit.witness]]\nname = \"hub\"\nkind = \"file\"\nto = {:?}\n",
        witness.to_str().unwrap()
    );
    std::fs::write(data.join("vitrine.toml"), text).unwrap();
}

async fn server_rows(ground: &Ground, n: usize) {
    for _ in 0..n {
        let permit: Permit<vitrine_access::action::OperateServer> = permit();
        let entry = permit.noted("use", "test").entry(Disclosure::default());
        ground.store.append(entry).await.unwrap();
    }
}

async fn device_rows(ground: &Ground, head: &mut Head, n: usize) {
    let mut rows = Vec::new();
    for _ in 0..n {
        let (body, prev) = (format!("{{\"row\":{}}}", head.seq + 1), head.hash);
        *head = head.after(body.as_bytes());
        rows.push(vitrine_access::chain::Row {
            seq: head.seq,
            prev,
            hash: head.hash,
            body,
        });
    }
    let id = DeviceId::new(DEVICE).unwrap();
    ground.store.accept_device_rows(&id, rows).await.unwrap();
}

/// Three checkpoints over the server's chain and a workstation's.
async fn filled(data: &Path, witness: &Path) {
    configure(data, witness);
    let (ground, _lock) = open(data).await;
    let code = EnrolCode {
        hash: [1; 32],
        ward: WardId::new("ED").unwrap(),
        site: false,
        until: clock::now().plus_ms(60_000),
    };
    ground.store.put_enrol_code(&permit(), code).await.unwrap();
    let device = NewDevice {
        id: DeviceId::new(DEVICE).unwrap(),
        name: DEVICE.into(),
        public_key: vec![1; 32],
    };
    ground.store.enrol([1; 32], device, clock::now()).await.unwrap();
    let mut head = Head::EMPTY;
    for n in [4, 6, 3] {
        server_rows(&ground, n).await;
        device_rows(&ground, &mut head, n + 1).await;
        assert_eq!(ground.tree.turn(&*ground.store).await, None);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// `audit verify` in the folder; with the witness's file or without.
async fn verify(data: &Path, witness: Option<&Path>) -> Value {
    let (ground, _lock) = open(data).await;
    audit::verify(&ground, witness, None).await.unwrap().json
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crime {
    Edit,
    Delete,
    Reorder,
    Truncate,
    Fork,
}
const CRIMES: [Crime; 5] = [
    Crime::Edit,
    Crime::Delete,
    Crime::Reorder,
    Crime::Truncate,
    Crime::Fork,
];

/// The owner of the database: writes the chain anew, every hash and the heads with it.
fn rewrite_rows(data: &Path, device: bool, crime: Crime, at: usize) {
    let keys = Keys::open(&DataDir::open(data, false).unwrap(), &Tls::default(), None).unwrap();
    let conn = cipher::open(
        &data.join("vitrine.db"),
        &Key::new(keys.database.clone()),
        &OpenOptions::default(),
    )
    .unwrap();
    let triggers: Vec<String> = {
        let mut s = conn
            .prepare("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('audit', 'device_audit')")
            .unwrap();
        s.query_map([], |r| r.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    for t in triggers {
        conn.execute_batch(&format!("DROP TRIGGER {t}")).unwrap();
    }
    let table = if device { "device_audit" } else { "audit" };
    let mut bodies: Vec<Vec<u8>> = {
        let mut s = conn
            .prepare(&format!("SELECT body FROM {table} ORDER BY seq"))
            .unwrap();
        s.query_map([], |r| r.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    let plain = |text: &str| [&[0_u8][..], text.as_bytes()].concat();
    match crime {
        Crime::Edit => bodies[at] = plain("{\"edited\":1}"),
        Crime::Delete => {
            bodies.remove(at);
        }
        Crime::Reorder => bodies.swap(at, at + 1),
        Crime::Truncate => bodies.truncate(at),
        Crime::Fork => {
            let n = bodies.len();
            bodies.truncate(at);
            bodies.extend((at..n + 1).map(|i| plain(&format!("{{\"fork\":{i}}}"))));
        }
    }
    conn.execute_batch(&format!("DELETE FROM {table}")).unwrap();
    // The index would tell: it is emptied, and made anew from what is there now.
    conn.execute_batch("DELETE FROM audit_find; DELETE FROM audit_action; UPDATE audit_chain SET upto = 0;")
        .unwrap();
    let mut head = Head::EMPTY;
    let device_no: i64 = conn
        .query_row(
            "SELECT coalesce(max(no), 0) FROM audit_word WHERE text = ?1",
            [DEVICE],
            |r| r.get(0),
        )
        .unwrap();
    for packed in &bodies {
        let named = |sql: &str, number: u64| {
            let number = i64::try_from(number).unwrap();
            conn.query_row(sql, [number], |r| r.get::<_, String>(0)).ok()
        };
        let body = unpacked(named, packed);
        head = head.after(&body);
        let (seq, hash) = (i64::try_from(head.seq).unwrap(), head.hash.to_vec());
        if device {
            let sql = "INSERT INTO device_audit (device, seq, hash, body) VALUES (?1, ?2, ?3, ?4)";
            conn.execute(sql, (device_no, seq, hash, packed)).unwrap();
        } else {
            let sql = "INSERT INTO audit (seq, hash, body) VALUES (?1, ?2, ?3)";
            conn.execute(sql, (seq, hash, packed)).unwrap();
        }
    }
    if device {
        let sql = "UPDATE device SET audit_seq = ?1, audit_hash = ?2";
        conn.execute(sql, (i64::try_from(head.seq).unwrap(), head.hash.to_vec()))
            .unwrap();
    } else {
        let _ = std::fs::remove_file(data.join("audit.head"));
    }
}

/// A body as it was before it was packed: a leading 0 is plain, a leading 1 zstd, a leading 3 a row with numbers.
fn unpacked(named: impl Fn(&str, u64) -> Option<String>, packed: &[u8]) -> Vec<u8> {
    match packed.split_first() {
        Some((0, rest)) => rest.to_vec(),
        Some((3, rest)) => audit_pack::unpack(rest, &mut Tables(named)).unwrap().unwrap(),
        Some((_, rest)) => zstd::decode_all(rest).unwrap(),
        None => Vec::new(),
    }
}

/// What numbers in rows stand for, as whoever has the file reads it.
struct Tables<F>(F);

impl<F: Fn(&str, u64) -> Option<String>> audit_pack::Names for Tables<F> {
    fn word(&mut self, number: u64) -> Result<Option<Arc<str>>, StoreError> {
        let found = (self.0)("SELECT text FROM audit_word WHERE no = ?1", number);
        Ok(found.map(Arc::from))
    }
    fn patient(&mut self, number: u64) -> Result<Option<PatientId>, StoreError> {
        let found = (self.0)("SELECT id FROM patient WHERE pid = ?1", number);
        Ok(found.map(|id| PatientId::new(id).unwrap()))
    }
    fn resource(&mut self, number: u64) -> Result<Option<ResourceKey>, StoreError> {
        let found = (self.0)("SELECT kind || '/' || id FROM resource WHERE rid = ?1", number);
        Ok(found.map(|key| ResourceKey::parse(&key).unwrap()))
    }
}

/// Hashes of every row by chain, as the database has them now.
async fn row_hashes(data: &Path) -> BTreeMap<String, Vec<[u8; 32]>> {
    let (ground, _lock) = open(data).await;
    let mut out = BTreeMap::new();
    for (chain, _) in ground.store.heads().await.unwrap() {
        let rows = ground.store.rows(&permit(), &chain, 0, 10_000).await.unwrap();
        out.insert(chain, rows.into_iter().map(|r| r.row.hash).collect());
    }
    out
}

/// The owner of the disk: writes the log anew for these rows, with the salts it had, and signs every checkpoint again.
fn rewrite_log(data: &Path, rows: &BTreeMap<String, Vec<[u8; 32]>>) {
    let keys = Keys::open(&DataDir::open(data, false).unwrap(), &Tls::default(), None).unwrap();
    let at = |name: &str| data.join("audit-tree").join(name);
    let names: Vec<String> = std::fs::read_to_string(at("chains"))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let origin = std::fs::read_to_string(at("origin"))
        .unwrap()
        .trim_end()
        .to_owned();
    let old = std::fs::read(at("leaves")).unwrap();
    let mut salts = BTreeMap::<(usize, u64), Salt>::new();
    for r in old.chunks_exact(64) {
        let chain = u32::from_be_bytes(r[..4].try_into().unwrap()) as usize;
        let seq = u64::from_be_bytes(r[4..12].try_into().unwrap());
        salts.insert((chain, seq), r[12..28].try_into().unwrap());
    }
    let (mut leaves, mut journal, mut book, mut note) =
        (Vec::new(), String::new(), Book::new(), String::new());
    for line in std::fs::read_to_string(at("journal")).unwrap().lines() {
        let mut line = Line::parse(line).unwrap();
        let mut moved = Vec::new();
        for m in &line.moved {
            let all = rows.get(&m.chain).map_or(&[][..], Vec::as_slice);
            let (first, last) = (book.rows(&m.chain) + 1, m.last.min(all.len() as u64));
            let number = names.iter().position(|n| *n == m.chain).unwrap();
            for seq in first..=last {
                let (row, salt) = (all[usize::try_from(seq - 1).unwrap()], salts[&(number, seq)]);
                assert!(book.push(&m.chain, seq, row, salt));
                let mut r = Vec::from(u32::try_from(number).unwrap().to_be_bytes());
                r.extend_from_slice(&seq.to_be_bytes());
                r.extend_from_slice(&salt);
                r.extend_from_slice(&row);
                let check = ring::digest::digest(&ring::digest::SHA256, &r);
                r.extend_from_slice(&check.as_ref()[..4]);
                leaves.extend_from_slice(&r);
            }
            if last >= first {
                let hash = b64(&all[usize::try_from(last - 1).unwrap()]);
                moved.push(Moved {
                    first,
                    last,
                    hash,
                    ..m.clone()
                });
            }
        }
        let c = Checkpoint {
            origin: origin.clone(),
            size: book.hashes().len() as u64,
            root: root(book.hashes()),
            more: vec![moved_line(&moved)],
        };
        line.note = c.sealed(&keys.public(), &keys.signature(c.text().as_bytes()));
        line.moved = moved;
        note.clone_from(&line.note);
        journal += &(serde_json::to_string(&line).unwrap() + "\n");
    }
    std::fs::write(at("leaves"), leaves).unwrap();
    std::fs::write(at("witness-hub"), format!("{}\n", journal.len())).unwrap();
    std::fs::write(at("journal"), journal).unwrap();
    std::fs::write(at("checkpoint"), note).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_makes_whole_again_only_the_witness_finds_and_it_names_the_row() {
    let (t, origin) = folder();
    let kept = t.path().join("kept");
    filled(&origin, &kept).await;
    let rows = row_hashes(&origin).await;
    let whole = verify(&origin, Some(&kept)).await;
    assert_eq!(
        (&whole["whole"], &whole["witness"]["lines"]),
        (&true.into(), &4.into()),
        "{whole}"
    );
    let mut n = 0;
    for (device, chain) in [(false, "server"), (true, DEVICE)] {
        let last = rows[chain].len();
        for crime in CRIMES {
            for at in [0, last / 2, last - 2] {
                n += 1;
                let (data, witness) = (t.path().join(format!("c{n}")), t.path().join(format!("w{n}")));
                copy(&origin, &data);
                std::fs::copy(&kept, &witness).unwrap();
                configure(&data, &witness);
                let before = std::fs::read(data.join("audit-tree/leaves")).unwrap();
                rewrite_rows(&data, device, crime, at);
                let what = format!("{crime:?} of row {} of {chain}", at + 1);

                // The database alone was rewritten: the log beside it knows, stops, and is left as it is.
                let found = verify(&data, None).await;
                assert_eq!(found["whole"], false, "{what}: {found}");
                assert_eq!(found["first_bad"]["chain"], chain, "{what}: {found}");
                assert_eq!(found["first_bad"]["row"], at + 1, "{what}: {found}");
                assert_eq!(
                    std::fs::read(data.join("audit-tree/leaves")).unwrap(),
                    before,
                    "{what}"
                );
                assert!(
                    std::fs::read_to_string(data.join("audit-tree/faults"))
                        .unwrap()
                        .contains(chain)
                );

                // The log too: with the witness's check off, nothing is found.
                rewrite_log(&data, &row_hashes(&data).await);
                let alone = verify(&data, None).await;
                assert_eq!(alone["whole"], true, "{what} is to be hidden: {alone}");
                let found = verify(&data, Some(&witness)).await;
                assert_eq!(found["whole"], false, "{what}: {found}");
                assert_eq!(found["first_bad"]["chain"], chain, "{what}: {found}");
                assert_eq!(found["first_bad"]["row"], at + 1, "{what}: {found}");
                std::fs::remove_dir_all(&data).unwrap();
            }
        }
    }
    assert_eq!(n, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_the_whole_folder_is_found_by_the_witness_alone() {
    let (t, data) = folder();
    let (kept, old) = (t.path().join("kept"), t.path().join("old"));
    filled(&data, &kept).await;
    copy(&data, &old);
    let had = row_hashes(&data).await["server"].len();
    let code = {
        let (ground, _lock) = open(&data).await;
        server_rows(&ground, 5).await;
        let told = vitrine_server::ops::audit_tree::check::checkpoint(&ground)
            .await
            .unwrap();
        told.json["code"].as_str().unwrap().to_owned()
    };
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&old, &data).unwrap();
    let alone = verify(&data, None).await;
    assert_eq!(alone["whole"], true, "{alone}");
    let found = verify(&data, Some(&kept)).await;
    assert_eq!(found["whole"], false, "{found}");
    assert_eq!(found["first_bad"]["chain"], "server", "{found}");
    assert_eq!(found["first_bad"]["row"], had + 1, "{found}");
    // A code on paper knows it too; one of before does not mind.
    let (ground, _lock) = open(&data).await;
    let paper = audit::verify(&ground, None, Some(&code)).await.unwrap().json;
    assert_eq!(paper["code"]["whole"], false, "{paper}");
    // Without the log's folder a new one is begun: its rows are held against the witness all the same.
    drop((ground, _lock));
    std::fs::remove_dir_all(data.join("audit-tree")).unwrap();
    let found = verify(&data, Some(&kept)).await;
    assert_eq!(found["first_bad"]["chain"], "server", "{found}");
    assert_eq!(found["first_bad"]["row"], had + 1, "{found}");
}

/// What is done to a file.
type Damage = fn(&[u8]) -> Vec<u8>;

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_byte_is_healed_and_what_was_signed_is_never_given_up() {
    let (t, data) = folder();
    let kept = t.path().join("kept");
    filled(&data, &kept).await;
    let tree = data.join("audit-tree");
    let read = |name: &str| std::fs::read(tree.join(name)).unwrap();
    let was: BTreeMap<&str, Vec<u8>> = ["leaves", "journal", "checkpoint", "chains", "witness-hub"]
        .map(|n| (n, read(n)))
        .into();
    {
        let (ground, _lock) = open(&data).await;
        server_rows(&ground, 2).await;
        assert_eq!(ground.tree.turn(&*ground.store).await, None);
    }
    let is: BTreeMap<&str, Vec<u8>> = was.keys().map(|n| (*n, read(n))).collect();
    let new_leaves = is["leaves"].len() - was["leaves"].len();
    let new_journal = is["journal"].len() - was["journal"].len();
    assert_eq!(new_leaves, 128);
    let put = |name: &str, bytes: &[u8]| std::fs::write(tree.join(name), bytes).unwrap();
    // Leaves are written first, then the journal, then the checkpoint.
    let states = (0..=new_leaves)
        .step_by(7)
        .map(|l| (l, 0))
        .chain((0..=new_journal).step_by(41).map(|j| (new_leaves, j)));
    let states: Vec<(usize, usize)> = states.chain([(new_leaves, new_journal)]).collect();
    for (l, j) in &states {
        for (name, bytes) in &was {
            put(name, bytes);
        }
        put("leaves", &is["leaves"][..was["leaves"].len() + l]);
        put("journal", &is["journal"][..was["journal"].len() + j]);
        let (ground, _lock) = open(&data).await;
        assert_eq!(ground.tree.turn(&*ground.store).await, None, "{l} {j}");
        assert_eq!(read("leaves").len(), is["leaves"].len(), "{l} {j}");
    }
    assert!(states.len() > 30);
    // The last state is the one that was signed: salts and all. (The witness has leaves of the other states too, which
    // no power cut makes: it gets a line when that is synced.)
    assert_eq!(read("leaves"), is["leaves"]);
    assert_eq!(verify(&data, None).await["whole"], true);

    // What was signed is gone or another: stopped, and nothing is made anew.
    let signed = ["leaves", "journal", "checkpoint"].map(|n| (n, read(n)));
    let crimes: [(&str, Damage); 5] = [
        ("leaves", |b| b[..b.len() - 64].to_vec()),
        ("leaves", |b| {
            let mut b = b.to_vec();
            b[200] ^= 1;
            b
        }),
        ("leaves", |_| Vec::new()),
        ("journal", |b| {
            let cut = b[..b.len() - 1].iter().rposition(|c| *c == b'\n').unwrap();
            b[..=cut].to_vec()
        }),
        ("checkpoint", |b| {
            let next = |c: &u8| if matches!(c, b'0'..=b'8') { c + 1 } else { *c };
            b.iter().map(next).collect()
        }),
    ];
    for (name, crime) in crimes {
        for (name, bytes) in &signed {
            put(name, bytes);
        }
        let bad = crime(&read(name));
        put(name, &bad);
        let (ground, _lock) = open(&data).await;
        let fault = ground.tree.turn(&*ground.store).await;
        assert!(matches!(fault, Some(TreeFault::Files(_))), "{name}: {fault:?}");
        assert!(ground.tree.standing().fault.is_some());
        assert_eq!(read(name), bad, "{name}: evidence stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_was_away_gets_everything_and_a_collector_of_syslog_is_one() {
    let (t, data) = folder();
    let away = t.path().join("mount");
    let kept = away.join("kept");
    let collector = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    configure(&data, &kept);
    let more = format!(
        "[[audit.witness]]\nname = \"log\"\nkind = \"syslog\"\nto = \"udp://{}\"\n",
        collector.local_addr().unwrap()
    );
    let config = std::fs::read_to_string(data.join("vitrine.toml")).unwrap() + &more;
    std::fs::write(data.join("vitrine.toml"), config).unwrap();
    let (ground, lock) = open(&data).await;
    for n in 1..4 {
        server_rows(&ground, n).await;
        assert_eq!(ground.tree.turn(&*ground.store).await, None);
    }
    let [hub, log] = ground.tree.witnesses() else {
        panic!("two witnesses")
    };
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert!(hub.behind_s() > 0.0 && hub.stand().error.unwrap().contains("kept"));
    assert!(log.behind_s() == 0.0 && log.stand().error.is_none());
    let report = vitrine_server::ops::doctor::doctor(&ground).await.unwrap().json;
    let faults = report["faults"].to_string();
    assert!(
        faults.contains("the witness hub does not get checkpoints"),
        "{faults}"
    );
    std::fs::create_dir(&away).unwrap();
    assert_eq!(ground.tree.turn(&*ground.store).await, None);
    assert!(hub.behind_s() == 0.0 && hub.stand().error.is_none());
    let lines = std::fs::read_to_string(&kept).unwrap().lines().count();
    assert_eq!(lines, 4, "the doctor's own row too");
    // What the collector wrote down is a witness's file as well.
    let (mut heard, mut buffer) = (String::new(), [0; 4096]);
    for _ in 0..lines {
        let n = collector.recv(&mut buffer).unwrap();
        heard += &format!("Nov 21 07:35:02 host {}\n", String::from_utf8_lossy(&buffer[..n]));
    }
    std::fs::write(t.path().join("heard"), heard).unwrap();
    drop((ground, lock));
    for file in [kept, t.path().join("heard")] {
        let said = verify(&data, Some(&file)).await;
        assert_eq!(said["whole"], true, "{said}");
        assert!(said["witness"]["lines"].as_u64().unwrap() >= 4, "{said}");
    }
}

fn python() -> PathBuf {
    std::env::var_os("VITRINE_PYTHON")
        .map(PathBuf::from)
        .expect("VITRINE_PYTHON: run `cargo xtask test`, which makes it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_signs_and_a_script_without_our_code_checks_it() {
    let (t, data) = folder();
    let kept = t.path().join("kept");
    configure(&data, &kept);
    let mut s = Server::start(&data);
    let client = s.client_token("system/*.cruds").await;
    s.fhir(&client, "/fhir", placed("p1", "ED").to_string()).await;
    let first = done(&["audit", "checkpoint", "--data", s.dir()]);
    let code = first["code"].as_str().unwrap().to_owned();
    let said = done(&[
        "audit",
        "verify",
        "--data",
        s.dir(),
        "--witness",
        kept.to_str().unwrap(),
        "--code",
        &code,
    ]);
    assert_eq!(
        (&said["whole"], &said["code"]["whole"]),
        (&true.into(), &true.into()),
        "{said}"
    );
    let words = run(&[
        "audit",
        "verify",
        "--data",
        s.dir(),
        "--witness",
        kept.to_str().unwrap(),
    ]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.contains("the witness: agrees"), "{words}");
    let (exit, refused) = run_json(&["audit", "prove", "--data", s.dir(), "--seq", "999"]);
    assert_eq!(exit, 2, "{refused}");
    let (exit, refused) = run_json(&[
        "audit",
        "verify",
        "--data",
        s.dir(),
        "--code",
        &code.replace("-", "-Z"),
    ]);
    assert!(exit == 1 && refused["code"]["whole"] == false, "{refused}");

    // What went to a witness when the server stops is everything.
    s.ask_to_stop();
    assert_eq!(s.wait(), Some(0));
    let proof = done(&["audit", "prove", "--data", s.dir(), "--seq", "2"]);
    let (rows, proof_at) = (t.path().join("server.ndjson"), t.path().join("proof.json"));
    std::fs::write(&proof_at, proof.to_string()).unwrap();
    done(&[
        "audit",
        "export",
        "--data",
        s.dir(),
        "--to",
        rows.to_str().unwrap(),
    ]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify_audit.py");
    let check = |rows: &Path, proof: &Path, log: Option<&Path>| {
        let mut c = std::process::Command::new(python());
        c.arg(&script).arg("--export").arg(rows).arg("--proof").arg(proof);
        if let Some(log) = log {
            c.arg("--log").arg(log);
        }
        let out = c.output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.success(), said)
    };
    let log = data.join("audit-tree");
    let (good, said) = check(&rows, &proof_at, Some(&log));
    assert!(
        good && said.contains("signature") && said.contains("whole tree"),
        "{said}"
    );
    // One byte of any of it, and it says no.
    let text = std::fs::read_to_string(&rows).unwrap();
    let spoilt = t.path().join("spoilt");
    std::fs::write(&spoilt, text.replacen("\"purpose\"", "\"Purpose\"", 2)).unwrap();
    assert_ne!(std::fs::read_to_string(&spoilt).unwrap(), text);
    assert!(!check(&spoilt, &proof_at, None).0);
    for (member, value) in [
        ("salt", "00".repeat(16)),
        ("root", "11".repeat(32)),
        ("leaf", "22".repeat(32)),
    ] {
        let mut other = proof.clone();
        other[member] = value.into();
        std::fs::write(&spoilt, other.to_string()).unwrap();
        assert!(!check(&rows, &spoilt, None).0, "{member}");
    }
    let mut other = proof.clone();
    other["note"] = proof["note"]
        .as_str()
        .unwrap()
        .replacen("\nmoved ", "\nmoveD ", 1)
        .into();
    std::fs::write(&spoilt, other.to_string()).unwrap();
    let (good, said) = check(&rows, &spoilt, None);
    assert!(!good && said.contains("signature"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_no_fault() {
    let (_t, data) = folder();
    let (ground, _lock) = open(&data).await;
    server_rows(&ground, 3).await;
    let faulty = Arc::new(vitrine_store::faulty::FaultyStore::new(ground.store.clone()));
    faulty.plan(vitrine_store::faulty::Plan::Random {
        seed: 1,
        per_mille: 1000,
    });
    let fault = ground.tree.turn(&*faulty).await;
    assert!(matches!(fault, Some(TreeFault::Store(_))), "{fault:?}");
    assert!(ground.tree.standing().fault.is_none());
    faulty.plan(vitrine_store::faulty::Plan::Never);
    assert_eq!(ground.tree.turn(&*faulty).await, None);
    assert_eq!(ground.tree.standing().size, 3);
}
