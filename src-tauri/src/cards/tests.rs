//! The real card service with a virtual reader (`vsmartcard-vpcd`) and a card of our own, in a network and a `/run` that nothing
//! else on the machine sees: `virtual_card` runs itself again inside them.
#![allow(clippy::disallowed_methods)] // a harness reads the clock

use super::*;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// Where the virtual reader waits for a card, inside the test's own network.
const PORT: u16 = 35_999;
/// Set for the run inside.
const INSIDE: &str = "VITRINE_CARDS_INSIDE";

#[test]
fn a_virtual_card_gives_its_uid_each_time_it_is_held_to_the_reader() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    for needed in ["/usr/sbin/pcscd", "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"] {
        let there = Path::new(needed).exists();
        assert!(
            there,
            "{needed} is missing: `cargo xtask test` installs pcscd and vsmartcard-vpcd"
        );
    }
    let script = "ip link set lo up && mount -t tmpfs none /run && mkdir /run/pcscd && exec \"$0\" \"$@\"";
    let run = Command::new("unshare")
        .args(["--map-root-user", "--mount", "--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("cards::tests::a_virtual_card_gives_its_uid_each_time_it_is_held_to_the_reader")
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(run.status.success(), "{said}");
    assert!(said.contains("1 passed"), "it ran inside: {said}");
}

/// The card service, and its end.
struct Service(Child);

impl Service {
    fn start(folder: &Path) -> Self {
        let config = folder.join("reader.conf");
        let text = format!(
            "FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:{PORT}\nLIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so\nCHANNELID {PORT}\n"
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("/usr/sbin/pcscd")
            .args(["--foreground", "--config"])
            .arg(&config)
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A card in the virtual reader: answers as ISO/IEC 14443 cards do through PC/SC; `None`: it gives no UID. Out with the drop.
struct Card(TcpStream);

impl Card {
    fn hold(uid: Option<&'static [u8]>) -> Self {
        let until = Instant::now() + Duration::from_secs(10);
        let line = loop {
            match TcpStream::connect(("127.0.0.1", PORT)) {
                Ok(line) => break line,
                Err(e) => assert!(Instant::now() < until, "the virtual reader does not come: {e}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let mut answers = line.try_clone().unwrap();
        std::thread::spawn(move || {
            // Messages of the virtual reader: two bytes of length, then one byte of control, or a command of the card.
            let mut read = move || -> std::io::Result<()> {
                let mut length = [0; 2];
                answers.read_exact(&mut length)?;
                let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
                answers.read_exact(&mut message)?;
                let answer: Vec<u8> = match message.as_slice() {
                    [4] => vec![0x3B, 0x80, 0x80, 0x01, 0x01],
                    [_] => return Ok(()),
                    command if command == GET_UID => match uid {
                        Some(uid) => [uid, &DONE].concat(),
                        None => vec![0x6A, 0x81],
                    },
                    _ => vec![0x6D, 0x00],
                };
                answers.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes())?;
                answers.write_all(&answer)
            };
            while read().is_ok() {}
        });
        Self(line)
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

fn next(heard: &Receiver<Told>, wanted: impl Fn(&Told) -> bool) -> Told {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let told = heard.recv_timeout(left).expect("it was not told");
        if wanted(&told) {
            return told;
        }
    }
}

fn inside() {
    let folder = tempfile::tempdir().unwrap();
    let (tell, heard) = channel();
    let cards = Cards::start(move |told| {
        let _ = tell.send(told);
    })
    .unwrap();
    // Before there is a service it is said, and nothing breaks.
    next(&heard, |t| *t == Told::Reader(Reader::NoService));
    let service = Service::start(folder.path());
    let ready = |t: &Told| matches!(t, Told::Reader(Reader::Ready(name)) if name.contains("Virtual PCD"));
    next(&heard, ready);
    let is_card = |t: &Told| matches!(t, Told::Card(_));
    for uid in [
        &[0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0x80][..],
        &[0xDE, 0xAD, 0xBE, 0xEF],
        &[0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0x80],
    ] {
        let card = Card::hold(Some(uid));
        assert_eq!(next(&heard, is_card), Told::Card(uid.to_vec()));
        // It lies there: once is enough.
        assert!(
            !heard
                .recv_timeout(Duration::from_millis(1_500))
                .is_ok_and(|t| is_card(&t))
        );
        drop(card);
        std::thread::sleep(Duration::from_millis(1_500));
    }
    let card = Card::hold(None);
    assert_eq!(
        next(&heard, is_card),
        Told::Card(Vec::new()),
        "a card without a UID picks nobody"
    );
    drop(card);
    // The service goes and comes back.
    drop(service);
    next(&heard, |t| *t == Told::Reader(Reader::NoService));
    let _ = std::fs::remove_file("/run/pcscd/pcscd.comm");
    let _service = Service::start(folder.path());
    next(&heard, ready);
    cards.stop();
}
