//! People and their secrets, by whoever runs commands.
//!
//! Lives here: adding somebody, new secrets for somebody, what a secret must be. Never here: badges and disabling (`acts`), second
//! factors (`ops::totp`), hashing (`identity::secrets`). Called by `acts`.

use super::acts::{Given, Ground, user_id, ward_id};
use crate::clock;
use crate::error::Fault;
use crate::identity::{devices, secrets};
use serde::{Deserialize, Serialize};
use serde_json::json;
use vitrine_access::policy::{self, Role};
use vitrine_access::{Disclosure, action, secrets as rule};
use vitrine_clinical::{UserId, WardId};
use vitrine_store::{Account, AccountChange, SecretsChange, StoreError};

/// Which secrets of a person are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The password.
    Password,
    /// The PIN.
    Pin,
}

/// New secrets for a person.
#[derive(Serialize, Deserialize)]
pub struct NewSecrets {
    /// Sign-in name.
    pub name: String,
    /// The new password; made here where neither is given.
    pub password: Option<String>,
    /// The new PIN.
    pub pin: Option<String>,
    /// Only this one is made; both where none is named.
    pub only: Option<Which>,
    /// They were disabled and are let in again.
    pub enable: bool,
}

impl NewSecrets {
    /// What the command line asks for, with what stdin holds.
    ///
    /// # Errors
    /// [`Fault`] when stdin does not hold what is asked for.
    pub fn read(name: String, only: Option<Which>, enable: bool, from_stdin: bool) -> Result<Self, Fault> {
        let (password, pin) = match (from_stdin, only) {
            (false, _) => (None, None),
            (true, Some(Which::Pin)) => {
                let line = std::io::stdin().lines().next().and_then(Result::ok);
                let pin = line.filter(|l| !l.is_empty());
                let none = || Fault::usage("--secret-stdin: the first line of stdin must hold the PIN");
                (None, Some(pin.ok_or_else(none)?))
            }
            (true, Some(Which::Password)) => (secrets_from_stdin()?.0, None),
            (true, None) => secrets_from_stdin()?,
        };
        Ok(Self {
            name,
            password,
            pin,
            only,
            enable,
        })
    }
}

/// Adds a person.
///
/// # Errors
/// [`Fault`]: exit 2 for a name that is taken and for secrets that are too weak.
pub async fn add(
    ground: &Ground,
    name: String,
    role: &str,
    wards: Vec<String>,
    display: Option<String>,
    password: Option<String>,
    pin: Option<String>,
) -> Result<Given, Fault> {
    let user = user_id(&name)?;
    let role: Role = role
        .parse()
        .map_err(|e: policy::UnknownRole| Fault::usage(format!("--role: {e}")))?;
    if role.declares_a_name() {
        return Err(Fault::usage(
            "--role: 'vitrine-server emergency-account make' makes emergency accounts, with their codes",
        ));
    }
    let wards = wards.iter().map(|w| ward_id(w)).collect::<Result<Vec<_>, _>>()?;
    if ground.store.account(&user).await?.is_some() {
        return Err(Fault::usage(format!(
            "user {user} exists already: choose another name, or disable that one first"
        )));
    }
    let made = password.is_none();
    let password = password.unwrap_or_else(new_password);
    let pin = if made { Some(new_pin()) } else { pin };
    check_secrets(Some(&password), pin.as_deref())?;
    put_user(
        ground,
        &user,
        display.unwrap_or(name),
        role,
        wards,
        &password,
        pin.as_deref(),
    )
    .await?;
    let mut json = json!({"user": user, "role": role.name()});
    if made && let Some(o) = json.as_object_mut() {
        o.insert("password".into(), password.into());
        o.insert("pin".into(), pin.into());
    }
    Ok(Given {
        access_changed: true,
        ..Given::done(json)
    })
}

/// Keeps an account.
///
/// # Errors
/// [`Fault`].
pub async fn put_user(
    ground: &Ground,
    user: &UserId,
    display: String,
    role: Role,
    wards: Vec<WardId>,
    password: &str,
    pin: Option<&str>,
) -> Result<(), Fault> {
    let (password_phc, pin_phc) = hashed(Some(password.to_owned()), pin.map(str::to_owned)).await?;
    let account = Account {
        user: user.clone(),
        display,
        role,
        wards,
        password_phc: password_phc.unwrap_or_default(),
        pin_phc,
        disabled: false,
        badges: Vec::new(),
        version: 0,
    };
    let permit = ground
        .permit::<action::ManageUsers>()?
        .noted("user", user.as_str())
        .noted("change", "put");
    ground
        .store
        .change_account(&permit, AccountChange::Put(account))
        .await?;
    Ok(())
}

fn check_secrets(password: Option<&str>, pin: Option<&str>) -> Result<(), Fault> {
    password
        .map_or(Ok(()), rule::password)
        .and_then(|()| pin.map_or(Ok(()), rule::pin))
        .map_err(|unfit| Fault::usage(unfit.text()))
}

fn new_password() -> String {
    devices::new_code().to_lowercase()
}

fn new_pin() -> String {
    loop {
        let n = u64::from_be_bytes(clock::random::<8>()) % 1_000_000;
        let pin = format!("{n:06}");
        if rule::pin(&pin).is_ok() {
            return pin;
        }
    }
}

/// Password and PIN from stdin, one per line.
///
/// # Errors
/// [`Fault`] when there is no password.
pub fn secrets_from_stdin() -> Result<(Option<String>, Option<String>), Fault> {
    let mut lines = std::io::stdin().lines().map_while(Result::ok);
    let password = lines.next().filter(|l| !l.is_empty());
    let password = password
        .ok_or_else(|| Fault::usage("--secret-stdin: the first line of stdin must hold the password"))?;
    Ok((Some(password), lines.next().filter(|l| !l.is_empty())))
}

/// Gives a person new secrets: sessions under the old ones end, and workstations let go of what the old ones opened.
///
/// # Errors
/// [`Fault`]: exit 2 for somebody unknown, for secrets that are too weak, and where the account is not of the kind.
pub async fn secrets(ground: &Ground, asked: NewSecrets) -> Result<Given, Fault> {
    let user = user_id(&asked.name)?;
    let account = ground.store.account(&user).await?.ok_or_else(|| {
        Fault::usage(format!(
            "there is no user {user}: 'vitrine-server user list' shows all"
        ))
    })?;
    if !account.role.signs_in() {
        return Err(Fault::usage(format!(
            "{user} is an emergency account, whose code is in its envelope: withdraw it, and make another"
        )));
    }
    match (account.disabled, asked.enable) {
        (true, false) => {
            return Err(Fault::usage(format!(
                "{user} is disabled: 'vitrine-server user enable {user}' lets them in again, with new secrets"
            )));
        }
        (false, true) => {
            return Err(Fault::usage(format!(
                "{user} is not disabled: 'vitrine-server user secret {user}' gives new secrets"
            )));
        }
        _ => {}
    }
    let made = asked.password.is_none() && asked.pin.is_none();
    if asked.enable && !made && (asked.password.is_none() || asked.pin.is_none() && account.pin_phc.is_some())
    {
        return Err(Fault::usage(
            "whoever comes back gets new secrets: give a password and a PIN, on two lines of stdin",
        ));
    }
    let (password, pin) = match (made, asked.only) {
        (false, _) => (asked.password, asked.pin),
        (true, Some(Which::Password)) => (Some(new_password()), None),
        (true, Some(Which::Pin)) => (None, Some(new_pin())),
        (true, None) => (Some(new_password()), Some(new_pin())),
    };
    check_secrets(password.as_deref(), pin.as_deref())?;
    let (password_phc, pin_phc) = hashed(password.clone(), pin.clone()).await?;
    let changed: Vec<&str> = [("password", password.is_some()), ("pin", pin.is_some())]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect();
    let permit = ground
        .permit::<action::ManageUsers>()?
        .noted("user", user.as_str())
        .noted("change", if asked.enable { "enable" } else { "secrets" })
        .noted("secrets", changed.join(" "));
    let change = SecretsChange {
        user: user.clone(),
        password_phc,
        pin_phc,
        enable: asked.enable,
    };
    let entry = permit.entry(Disclosure::default());
    match ground.store.change_secrets(entry, change).await {
        Ok(_) => {}
        Err(StoreError::Refused(text)) => return Err(Fault::usage(text)),
        Err(e) => return Err(e.into()),
    }
    let mut json = json!({"user": user, "changed": changed});
    if let Some(o) = json.as_object_mut() {
        if asked.enable {
            o.insert("disabled".into(), false.into());
        }
        if made {
            o.extend(password.map(|p| ("password".to_owned(), p.into())));
            o.extend(pin.map(|p| ("pin".to_owned(), p.into())));
        }
    }
    Ok(Given {
        access_changed: true,
        ..Given::done(json)
    })
}

/// Hashes secrets.
async fn hashed(
    password: Option<String>,
    pin: Option<String>,
) -> Result<(Option<String>, Option<String>), Fault> {
    secrets::hashed(password.map(Into::into), pin.map(Into::into))
        .await
        .map_err(|e| Fault::failed(format!("hashing the secrets: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_here_is_fit() {
        assert!((0..200).all(|_| check_secrets(Some(&new_password()), Some(&new_pin())).is_ok()));
        assert!(check_secrets(Some("short"), None).is_err());
        assert!(check_secrets(None, Some("777777")).is_err());
    }
}
