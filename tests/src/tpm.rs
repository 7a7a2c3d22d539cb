//! A real TPM 2.0 in software (swtpm) as a process, what a stranger does to it, and an ear on its bus.
//!
//! Never here: our own sealer, what is asserted. Called by the tests of the TPM's sealer.

use anyhow::{Context as _, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::constants::{CapabilityType, response_code::Tss2ResponseCodeKind};
use tss_esapi::handles::{AuthHandle, KeyHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Auth, CapabilityData, Digest, EccPoint, KeyedHashScheme, Public, PublicBuilder,
    PublicEccParametersBuilder, PublicKeyedHashParameters, SensitiveData, SymmetricDefinitionObject,
};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::{Context, Error};

/// Where the indices of a TPM's own memory begin.
const INDICES: u32 = 0x0100_0000;

/// A TPM with its own state. Ended when dropped.
pub struct Swtpm {
    child: Option<Child>,
    state: PathBuf,
    port: u16,
}

/// Two ports after one another that nobody listens on.
fn two_ports() -> Result<u16> {
    for _ in 0..100 {
        let first = TcpListener::bind(("127.0.0.1", 0))?;
        let port = first.local_addr()?.port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no two ports after one another are free")
}

impl Swtpm {
    /// Starts one whose state lies in `state`: a new one is another TPM.
    ///
    /// # Errors
    /// When swtpm is not there or does not listen.
    pub fn start(state: &Path) -> Result<Self> {
        std::fs::create_dir_all(state)?;
        let mut tpm = Self {
            child: None,
            state: state.to_owned(),
            port: two_ports()?,
        };
        tpm.on()?;
        Ok(tpm)
    }

    /// Its TCTI string.
    #[must_use]
    pub fn at(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Switches it off: the power is gone.
    pub fn off(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Switches it on, with the state it had.
    ///
    /// # Errors
    /// As [`Swtpm::start`].
    pub fn on(&mut self) -> Result<()> {
        self.off();
        let listens = |port: u16| format!("type=tcp,port={port},bindaddr=127.0.0.1");
        let log = std::fs::File::create(self.state.join("log"))?;
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", self.state.display()))
            .args(["--server", &listens(self.port), "--ctrl", &listens(self.port + 1)])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .context("swtpm: apt install swtpm")?;
        self.child = Some(child);
        for _ in 0..200 {
            // A connection that is not used is taken and ended.
            if TcpStream::connect(("127.0.0.1", self.port + 1)).is_ok() && self.context().is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        bail!(
            "swtpm does not listen: {}",
            std::fs::read_to_string(self.state.join("log"))?
        )
    }

    fn context(&self) -> Result<Context> {
        let way: TctiNameConf = self.at().parse()?;
        let mut context = Context::new(way)?;
        context.set_sessions((Some(AuthSession::Password), None, None));
        Ok(context)
    }

    /// Clears it, as its firmware or its owner does.
    ///
    /// # Errors
    /// When it refuses.
    pub fn clear(&self) -> Result<()> {
        Ok(self.context()?.clear(AuthHandle::Lockout)?)
    }

    /// Gives the owner hierarchy a password.
    ///
    /// # Errors
    /// When it refuses.
    pub fn owner_password(&self, password: &str) -> Result<()> {
        let auth = Auth::try_from(password.as_bytes())?;
        Ok(self.context()?.hierarchy_change_auth(AuthHandle::Owner, auth)?)
    }

    /// How many indices are in its own memory.
    ///
    /// # Errors
    /// When it does not say.
    pub fn indices(&self) -> Result<usize> {
        let mut context = self.context()?;
        let (told, _) =
            context.execute_without_session(|c| c.get_capability(CapabilityType::Handles, INDICES, 254))?;
        let CapabilityData::Handles(handles) = told else {
            bail!("no handles were told")
        };
        // A new swtpm has no certificates of a maker in there.
        Ok(handles.into_inner().len())
    }

    /// A stranger tries wrong authorisations at a key of theirs until the TPM refuses the right one as well; gives how many it took.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn lock_out(&self) -> Result<u32> {
        let mut context = self.context()?;
        let parent = context.create_primary(Hierarchy::Owner, storage()?, None, None, None, None)?;
        let right = Auth::try_from(b"right".as_slice())?;
        let secret = SensitiveData::try_from(b"a stranger's".to_vec())?;
        let made = context.create(
            parent.key_handle,
            guarded()?,
            Some(right.clone()),
            Some(secret),
            None,
            None,
        )?;
        let key = context.load(parent.key_handle, made.out_private, made.out_public)?;
        let tried = |context: &mut Context, auth: Auth, key: KeyHandle| {
            context.tr_set_auth(key.into(), auth)?;
            context.unseal(key.into()).map(drop)
        };
        ensure!(
            tried(&mut context, right.clone(), key).is_ok(),
            "the right one is refused"
        );
        let locked = |done: Result<(), Error>| matches!(done, Err(Error::Tss2Error(rc)) if rc.kind() == Some(Tss2ResponseCodeKind::Lockout));
        for n in 1..=100 {
            let wrong = Auth::try_from(b"wrong".as_slice())?;
            if locked(tried(&mut context, wrong, key)) {
                ensure!(
                    locked(tried(&mut context, right, key)),
                    "the right one still opens"
                );
                return Ok(n);
            }
        }
        bail!("100 wrong tries did not lock it")
    }

    /// Runs `vitrine-cli --json` with this TPM as the machine's.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn cli(&self, profile: &Path, args: &[&str], stdin: Option<&str>) -> Result<Output> {
        cli(&self.at(), profile, args, stdin)
    }
}

/// Runs `vitrine-cli --json` where the machine's TPM is at `tpm`.
///
/// # Errors
/// When it cannot be started.
pub fn cli(tpm: &str, profile: &Path, args: &[&str], stdin: Option<&str>) -> Result<Output> {
    let mut child = Command::new(crate::bin("vitrine-cli"))
        .arg("--profile")
        .arg(profile)
        .arg("--json")
        .args(args)
        .env("VITRINE_TPM", tpm)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let (Some(words), Some(mut pipe)) = (stdin, child.stdin.take()) {
        pipe.write_all(words.as_bytes())?;
    }
    Ok(child.wait_with_output()?)
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.off();
    }
}

fn storage() -> Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_decrypt(true)
        .with_restricted(true)
        .build()?;
    let ecc = PublicEccParametersBuilder::new_restricted_decryption_key(
        SymmetricDefinitionObject::AES_128_CFB,
        EccCurve::NistP256,
    );
    Ok(PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(ecc.build()?)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()?)
}

/// A sealed object that the dictionary attack lockout guards: the usual one.
fn guarded() -> Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_user_with_auth(true)
        .build()?;
    Ok(PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Digest::default())
        .build()?)
}

/// One command as it went over the bus, with its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The command.
    pub command: Vec<u8>,
    /// The answer.
    pub answer: Vec<u8>,
}

impl Exchange {
    /// Command code.
    #[must_use]
    pub fn code(&self) -> u32 {
        self.number(6)
    }

    fn number(&self, at: usize) -> u32 {
        self.command
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u32::from_be_bytes)
    }

    /// Attributes of the first session of a command with so many handles; `None` where a password authorises it.
    #[must_use]
    pub fn session_attributes(&self, handles: usize) -> Option<u8> {
        let session = 10 + 4 * handles + 4;
        // HMAC sessions begin with 02.
        if self.number(session) >> 24 != 2 {
            return None;
        }
        let nonce = self.command.get(session + 4..session + 6)?;
        let length = usize::from(u16::from_be_bytes(nonce.try_into().ok()?));
        self.command.get(session + 6 + length).copied()
    }
}

/// Stands between a program and a TPM and writes down what goes by.
pub struct Tap {
    port: u16,
    heard: Arc<Mutex<Vec<Exchange>>>,
}

impl Tap {
    /// Listens in front of a TPM.
    ///
    /// # Errors
    /// When no port is free.
    pub fn before(tpm: &Swtpm) -> Result<Self> {
        let port = two_ports()?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        for (n, keep) in [(0, Some(Arc::clone(&heard))), (1, None)] {
            let listener = TcpListener::bind(("127.0.0.1", port + n))?;
            let to = tpm.port + n;
            std::thread::spawn(move || {
                for from in listener.incoming().flatten() {
                    let keep = keep.clone();
                    std::thread::spawn(move || relay(from, to, keep.as_deref()));
                }
            });
        }
        Ok(Self { port, heard })
    }

    /// The TCTI string of what is tapped.
    #[must_use]
    pub fn at(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// What went by.
    #[must_use]
    pub fn heard(&self) -> Vec<Exchange> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One message at a time: what is asked, then what is answered.
fn relay(mut from: TcpStream, to: u16, keep: Option<&Mutex<Vec<Exchange>>>) -> Option<()> {
    let mut tpm = TcpStream::connect(("127.0.0.1", to)).ok()?;
    let Some(keep) = keep else {
        let (mut back, mut tpm_in) = (from.try_clone().ok()?, tpm.try_clone().ok()?);
        let answers = std::thread::spawn(move || {
            let _ = std::io::copy(&mut tpm_in, &mut back);
            let _ = back.shutdown(std::net::Shutdown::Both);
        });
        let _ = std::io::copy(&mut from, &mut tpm);
        let _ = tpm.shutdown(std::net::Shutdown::Both);
        answers.join().ok()?;
        return Some(());
    };
    loop {
        let command = message(&mut from)?;
        tpm.write_all(&command).ok()?;
        let answer = message(&mut tpm)?;
        keep.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Exchange {
                command,
                answer: answer.clone(),
            });
        from.write_all(&answer).ok()?;
    }
}

/// Tag, length of the whole, the rest.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 6];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes(head[2..].try_into().ok()?);
    let mut all = head.to_vec();
    all.resize(usize::try_from(length).ok()?, 0);
    stream.read_exact(all.get_mut(6..)?).ok()?;
    Some(all)
}
