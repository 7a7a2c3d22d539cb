//! Emergency accounts: made beforehand, of no person, one for each sealed envelope that a shift lead can hand out (ADR 49).
//!
//! Lives here: making them, listing what became of them, taking them back, and the end of one whose use this server has heard of. Never
//! here: what they may do (the policy), when they open something (`access::ways`, at the workstation), reviews.
//! Called by `cli::acts` and by `ws::grants`.
//!
//! Source: NEMA/COCIR/JIRA Security and Privacy Committee, "Break-Glass: An Approach to Granting Emergency Access to Healthcare
//! Systems" (2004): accounts staged beforehand, handed out sealed, watched and replaced after use.

use super::reviews::MOST;
use crate::app::App;
use crate::cli::acts::{Given, Ground, given, operator, operator_request};
use crate::cli::users::put_user;
use crate::clock;
use crate::error::{Exit, Fault};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vitrine_access::action::ManageUsers;
use vitrine_access::policy::{self, Role};
use vitrine_access::{Grant, Permit};
use vitrine_clinical::UserId;
use vitrine_store::{Account, AccountChange, GrantRow, StoreError};

/// Most envelopes of one command: hashing takes a third of a second each.
const MOST_AT_ONCE: u32 = 200;
/// What their sign-in names begin with.
const PREFIX: &str = "emergency-";

/// What is asked for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Asked {
    /// Make so many; their codes are given once.
    Make { count: u32 },
    /// All of them, with what became of each.
    List,
    /// Take one back, or with no name every sealed one.
    Withdraw { name: Option<String> },
}

/// Carries it out.
///
/// # Errors
/// [`Fault`]: exit 2 for a count that is none and for somebody unknown.
pub async fn perform(ground: &Ground, asked: Asked) -> Result<Given, Fault> {
    match asked {
        Asked::Make { count } => make(ground, count).await,
        Asked::List => list(ground).await,
        Asked::Withdraw { name } => withdraw(ground, name).await,
    }
}

async fn all(ground: &Ground) -> Result<Vec<Account>, Fault> {
    let mut accounts = ground.store.accounts().await?;
    accounts.retain(|a| a.role.declares_a_name());
    accounts.sort_by(|a, b| a.user.cmp(&b.user));
    Ok(accounts)
}

async fn make(ground: &Ground, count: u32) -> Result<Given, Fault> {
    if count == 0 || count > MOST_AT_ONCE {
        return Err(Fault::usage(format!("--count: 1 to {MOST_AT_ONCE}")));
    }
    // A number is used once for ever: rows and reviews name it.
    let taken = ground.store.accounts().await?;
    let numbers = taken
        .iter()
        .filter_map(|a| a.user.as_str().strip_prefix(PREFIX)?.parse::<u32>().ok());
    let first = numbers.max().unwrap_or(0).saturating_add(1);
    let mut made = Vec::new();
    for number in first..first.saturating_add(count) {
        let user = UserId::new(format!("{PREFIX}{number:03}")).map_err(|e| Fault::failed(e.to_string()))?;
        let code = new_code();
        // Nobody knows the password, and nobody is asked for it: such an account does not sign in.
        let password: String = clock::random::<24>().iter().map(|b| format!("{b:02x}")).collect();
        let display = format!("Emergency account {number:03}");
        let role = Role::of_emergency_accounts();
        put_user(ground, &user, display, role, Vec::new(), &password, Some(&code)).await?;
        made.push(json!({"user": user, "code": code}));
    }
    Ok(Given {
        access_changed: true,
        ..given(Exit::Done, json!({"emergency_accounts": made}))
    })
}

/// Eight digits, none of a kind that somebody would try first.
fn new_code() -> String {
    loop {
        let n = u64::from_be_bytes(clock::random::<8>()) % 100_000_000;
        let code = format!("{n:08}");
        let mut digits: Vec<char> = code.chars().collect();
        digits.sort_unstable();
        digits.dedup();
        if digits.len() >= 4 {
            return code;
        }
    }
}

async fn list(ground: &Ground) -> Result<Given, Fault> {
    let grants = ground.store.grants(MOST).await?;
    let rows: Vec<Value> = all(ground)
        .await?
        .iter()
        .map(|a| {
            let used: Vec<&Grant> = grants
                .iter()
                .map(|g| &g.grant)
                .filter(|g| g.user == a.user)
                .collect();
            let state = match (used.is_empty(), a.disabled) {
                (false, _) => "opened",
                (true, true) => "withdrawn",
                (true, false) => "sealed",
            };
            let mut names: Vec<&str> = used.iter().filter_map(|g| g.declared.as_deref()).collect();
            names.sort_unstable();
            names.dedup();
            let mut devices: Vec<&str> = used
                .iter()
                .filter_map(|g| g.device.as_ref().map(|d| d.as_str()))
                .collect();
            devices.sort_unstable();
            devices.dedup();
            let first = used.iter().map(|g| g.at).min();
            json!({"user": a.user, "state": state, "declared": names, "workstations": devices,
                "opened": first.map(clock::instant), "broken_glass": used.len()})
        })
        .collect();
    let sealed = rows.iter().filter(|r| r["state"] == "sealed").count();
    Ok(given(
        Exit::Done,
        json!({"emergency_accounts": rows, "sealed": sealed}),
    ))
}

async fn withdraw(ground: &Ground, name: Option<String>) -> Result<Given, Fault> {
    let mut accounts = all(ground).await?;
    if let Some(name) = &name {
        accounts.retain(|a| a.user.as_str() == name.as_str());
        if accounts.is_empty() {
            return Err(Fault::usage(format!(
                "there is no emergency account {name}: 'vitrine-server emergency-account list' shows all"
            )));
        }
    }
    let mut gone = Vec::new();
    for account in accounts.into_iter().filter(|a| !a.disabled) {
        let permit = ground
            .permit::<ManageUsers>()?
            .noted("user", account.user.as_str())
            .noted("change", "disable");
        let change = AccountChange::Disable(account.user.clone());
        ground.store.change_account(&permit, change).await?;
        gone.push(account.user);
    }
    Ok(Given {
        access_changed: !gone.is_empty(),
        ..given(Exit::Done, json!({"withdrawn": gone}))
    })
}

/// An envelope was opened: the account is nobody else's, at no workstation that hears of it. Its own shift goes on where it was opened,
/// until the server is back there too.
///
/// # Errors
/// [`StoreError`]: it is tried again with the next grant.
pub async fn opened(app: &App, row: &GrantRow) -> Result<(), StoreError> {
    let user = &row.grant.user;
    let account = app.store.account(user).await?;
    if !account.is_some_and(|a| a.role.declares_a_name() && !a.disabled) {
        return Ok(());
    }
    let permit: Permit<ManageUsers> =
        policy::decide(operator_request(&operator())).map_err(|d| StoreError::Refused(d.text.to_owned()))?;
    let permit = permit
        .noted("user", user.as_str())
        .noted("change", "disable")
        .noted("why", "its envelope was opened")
        .noted("broken-glass", row.grant.id.to_string());
    app.store
        .change_account(&permit, AccountChange::Disable(user.clone()))
        .await?;
    tracing::warn!(%user, "an emergency account was opened: it is no one else's now; make another and seal it");
    app.access_changed();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_eight_digits_and_none_is_of_three_kinds_of_digit() {
        let codes: std::collections::BTreeSet<String> = (0..500).map(|_| new_code()).collect();
        assert!(codes.len() > 490, "{}", codes.len());
        for code in codes {
            let kinds: std::collections::BTreeSet<char> = code.chars().collect();
            assert!(
                code.len() == 8 && code.bytes().all(|b| b.is_ascii_digit()) && kinds.len() > 3,
                "{code}"
            );
        }
    }
}
