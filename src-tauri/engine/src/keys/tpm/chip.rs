//! Talking to a TPM 2.0 by the TCG software stack (libtss2).
//!
//! One connection, one storage key made from the TCG's template, one salted session: its values are authorised by HMAC, and what
//! is secret in them is encrypted (AES-128-CFB), so that who listens on the bus reads nothing. The salt is encrypted to the storage
//! key, whose name is known from before: who stands on the bus cannot put a key of their own in its place.
//! Nothing here is subject to the TPM's dictionary attack lockout (`noDA`): no number of wrong tries, ours or a stranger's, makes
//! it refuse the right one, and none of ours blocks anybody else's keys.
//! Never here: files, what is done about a fault. Called by the sealer alone.

use super::fault::TpmFault;
use crate::entropy;
use std::str::FromStr;
use tss_esapi::attributes::{NvIndexAttributesBuilder, ObjectAttributesBuilder, SessionAttributesBuilder};
use tss_esapi::constants::{
    NvIndexType, SessionType,
    response_code::{Tss2ResponseCode, Tss2ResponseCodeKind as Rc},
};
use tss_esapi::handles::{KeyHandle, NvIndexHandle, NvIndexTpmHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::{Hierarchy, NvAuth, Provision};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Auth, Digest, EccPoint, KeyedHashScheme, MaxNvBuffer, NvPublicBuilder, Private, Public, PublicBuilder,
    PublicEccParametersBuilder, PublicKeyedHashParameters, SensitiveData, SymmetricDefinition,
    SymmetricDefinitionObject,
};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::traits::{Marshall, UnMarshall};
use tss_esapi::{Context, Error, WrapperErrorKind};
use zeroize::Zeroizing;

/// Bytes of a secret, an authorisation and of what the TPM keeps.
pub(super) const LEN: usize = 32;
/// Where the indices lie that we define: in the part of the owner (TCG registry of reserved handles), at a random place.
const INDICES: u32 = 0x0185_0000;
/// Places tried before the TPM counts as full of them.
const PLACES: usize = 16;

/// What the TPM sealed: useless without it.
pub(super) struct Object {
    pub(super) public: Vec<u8>,
    pub(super) private: Vec<u8>,
}

/// A TPM that answers, with its storage key.
pub(super) struct Chip {
    context: Context,
    storage: KeyHandle,
    /// Name of the storage key: another after the owner's seed has changed.
    name: Vec<u8>,
}

fn kind(e: Error) -> Option<Rc> {
    match e {
        Error::Tss2Error(code) => code.kind(),
        Error::WrapperError(_) => None,
    }
}

/// The fault of an answer, where the act has none of its own for it.
fn answered(doing: &'static str) -> impl Fn(Error) -> TpmFault {
    move |e| match kind(e) {
        Some(Rc::NvSpace) => TpmFault::Full,
        Some(Rc::Hierarchy) => TpmFault::Disabled,
        _ => TpmFault::Answered {
            doing,
            answer: e.to_string(),
        },
    }
}

/// What the owner's authorisation is needed for: with a password the hierarchy refuses our empty one.
fn by_owner(doing: &'static str) -> impl Fn(Error) -> TpmFault {
    move |e| match kind(e) {
        Some(Rc::AuthFail | Rc::BadAuth) => TpmFault::OwnerPassword,
        _ => answered(doing)(e),
    }
}

/// What the file of the sealed key is needed for: the TPM refuses what was changed in it.
fn by_file(doing: &'static str) -> impl Fn(Error) -> TpmFault {
    move |e| match e {
        // A parameter, an authorisation or an integrity value that is not as it was.
        Error::Tss2Error(Tss2ResponseCode::FormatOne(_)) => TpmFault::Damaged,
        _ => answered(doing)(e),
    }
}

/// A connection; tells who may not use the device from where there is none.
fn connect(at: &str) -> Result<Context, TpmFault> {
    let wrong = |_| TpmFault::Address { at: at.to_owned() };
    let way = TctiNameConf::from_str(at).map_err(wrong)?;
    if let Some(path) = at.strip_prefix("device:") {
        let opened = std::fs::OpenOptions::new().read(true).write(true).open(path);
        match opened.map_err(|e| e.kind()) {
            Err(std::io::ErrorKind::PermissionDenied) => {
                return Err(TpmFault::NoPermission { at: path.to_owned() });
            }
            Err(_) => return Err(TpmFault::Absent { at: at.to_owned() }),
            Ok(_) => {}
        }
    }
    Context::new(way).map_err(|_| TpmFault::Absent { at: at.to_owned() })
}

/// The storage key's template: ECC P-256 with AES-128-CFB, as the TCG's for storage root keys.
fn storage_template() -> Result<Public, Error> {
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
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(ecc.build()?)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// A sealed data object: leaves neither this TPM nor this storage key, and is not subject to lockout.
fn sealed_template() -> Result<Public, Error> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Digest::default())
        .build()
}

impl Chip {
    /// Connects and makes the storage key.
    pub(super) fn at(at: &str) -> Result<Self, TpmFault> {
        let mut context = connect(at)?;
        let (storage, name) =
            primary(&mut context, Hierarchy::Owner).map_err(by_owner("making the storage key"))?;
        Ok(Self {
            context,
            storage,
            name,
        })
    }

    /// Name of the storage key, which follows from the owner's seed: clearing the TPM changes it.
    pub(super) fn owner(&self) -> &[u8] {
        &self.name
    }

    /// Name of a key that follows from the endorsement seed: it outlives clearing, so another one means another TPM. `None`
    /// where the endorsement hierarchy does not let us.
    pub(super) fn machine(&mut self) -> Option<Vec<u8>> {
        let (handle, name) = primary(&mut self.context, Hierarchy::Endorsement).ok()?;
        self.context.flush_context(handle.into()).ok()?;
        Some(name)
    }

    /// Everything from here on is authorised by HMAC and encrypted. Only after the storage key was found to be the one that is
    /// expected.
    pub(super) fn begin(&mut self) -> Result<(), TpmFault> {
        let session = salted(&mut self.context, self.storage).map_err(answered("beginning a session"))?;
        self.context.set_sessions((Some(session), None, None));
        Ok(())
    }

    /// Puts a secret into the TPM's own memory; gives its index.
    pub(super) fn keep(&mut self, secret: &[u8; LEN], auth: &[u8; LEN]) -> Result<u32, TpmFault> {
        let attributes = NvIndexAttributesBuilder::new()
            .with_nv_index_type(NvIndexType::Ordinary)
            .with_auth_read(true)
            .with_auth_write(true)
            .with_no_da(true)
            .build()
            .map_err(answered("describing an index"))?;
        for _ in 0..PLACES {
            let index = INDICES | u32::from(u16::from_be_bytes(entropy::bytes()?));
            let public = NvIndexTpmHandle::new(index)
                .and_then(|at| {
                    NvPublicBuilder::new()
                        .with_nv_index(at)
                        .with_index_name_algorithm(HashingAlgorithm::Sha256)
                        .with_index_attributes(attributes)
                        .with_data_area_size(LEN)
                        .build()
                })
                .map_err(answered("describing an index"))?;
            let auth = value(auth)?;
            let handle = match self
                .context
                .nv_define_space(Provision::Owner, Some(auth.clone()), public)
            {
                Err(e) if kind(e) == Some(Rc::NvDefined) => continue,
                defined => defined.map_err(by_owner("defining an index"))?,
            };
            let data = MaxNvBuffer::try_from(secret.as_slice()).map_err(answered("writing an index"))?;
            self.context
                .tr_set_auth(handle.into(), auth)
                .and_then(|()| self.context.nv_write(NvAuth::NvIndex(handle), handle, data, 0))
                .map_err(answered("writing an index"))?;
            return Ok(index);
        }
        Err(TpmFault::Full)
    }

    /// What [`Chip::keep`] kept.
    pub(super) fn recall(&mut self, index: u32, auth: &[u8; LEN]) -> Result<Zeroizing<Vec<u8>>, TpmFault> {
        let handle = self.index(index)?.ok_or(TpmFault::Destroyed)?;
        let auth = value(auth)?;
        self.context
            .tr_set_auth(handle.into(), auth)
            .and_then(|()| {
                self.context
                    .nv_read(NvAuth::NvIndex(handle), handle, LEN as u16, 0)
            })
            .map(|data| Zeroizing::new(data.value().to_vec()))
            .map_err(by_file("reading an index"))
    }

    /// Destroys what [`Chip::keep`] kept; twice is once.
    pub(super) fn forget(&mut self, index: u32) -> Result<(), TpmFault> {
        let Some(handle) = self.index(index)? else {
            return Ok(());
        };
        self.context
            .nv_undefine_space(Provision::Owner, handle)
            .map_err(by_owner("removing an index"))
    }

    fn index(&mut self, index: u32) -> Result<Option<NvIndexHandle>, TpmFault> {
        let at = NvIndexTpmHandle::new(index).map_err(|_| TpmFault::Damaged)?;
        let found = self
            .context
            .execute_without_session(|c| c.tr_from_tpm_public(TpmHandle::NvIndex(at)));
        match found {
            Ok(handle) => Ok(Some(NvIndexHandle::from(handle))),
            Err(e) if kind(e) == Some(Rc::Handle) => Ok(None),
            Err(e) => Err(answered("looking for an index")(e)),
        }
    }

    /// Seals a secret under the storage key.
    pub(super) fn seal(&mut self, secret: &[u8; LEN], auth: &[u8]) -> Result<Object, TpmFault> {
        let auth = value(auth)?;
        let sealed = SensitiveData::try_from(secret.to_vec()).and_then(|secret| {
            let made = self.context.create(
                self.storage,
                sealed_template()?,
                Some(auth),
                Some(secret),
                None,
                None,
            )?;
            Ok(Object {
                public: made.out_public.marshall()?,
                private: made.out_private.value().to_vec(),
            })
        });
        sealed.map_err(answered("sealing a key"))
    }

    /// Opens what [`Chip::seal`] sealed.
    pub(super) fn unseal(&mut self, object: &Object, auth: &[u8]) -> Result<Zeroizing<Vec<u8>>, TpmFault> {
        let private = Private::try_from(object.private.clone()).map_err(|_| TpmFault::Damaged)?;
        let public = Public::unmarshall(&object.public).map_err(|_| TpmFault::Damaged)?;
        let auth = value(auth)?;
        let handle = self
            .context
            .load(self.storage, private, public)
            .map_err(by_file("loading a key"))?;
        self.context
            .tr_set_auth(handle.into(), auth)
            .and_then(|()| self.context.unseal(handle.into()))
            .map(|secret| Zeroizing::new(secret.value().to_vec()))
            .map_err(by_file("opening a key"))
    }
}

fn primary(context: &mut Context, hierarchy: Hierarchy) -> Result<(KeyHandle, Vec<u8>), Error> {
    let template = storage_template()?;
    let made = context.execute_with_session(Some(AuthSession::Password), |c| {
        c.create_primary(hierarchy, template, None, None, None, None)
    })?;
    let name = context.tr_get_name(made.key_handle.into())?;
    Ok((made.key_handle, name.value().to_vec()))
}

fn salted(context: &mut Context, storage: KeyHandle) -> Result<AuthSession, Error> {
    let session = context
        .execute_without_session(|c| {
            c.start_auth_session(
                Some(storage),
                None,
                None,
                SessionType::Hmac,
                SymmetricDefinition::AES_128_CFB,
                HashingAlgorithm::Sha256,
            )
        })?
        .ok_or(Error::WrapperError(WrapperErrorKind::WrongValueFromTpm))?;
    let (attributes, mask) = SessionAttributesBuilder::new()
        .with_continue_session(true)
        .with_decrypt(true)
        .with_encrypt(true)
        .build();
    context.tr_sess_set_attributes(session, attributes, mask)?;
    Ok(session)
}

fn value(auth: &[u8]) -> Result<Auth, TpmFault> {
    Auth::try_from(auth).map_err(answered("making an authorisation"))
}
