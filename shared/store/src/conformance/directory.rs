//! Cases about accounts, devices and sessions.

use super::hospital::Hospital;
use crate::{
    Account, AccountChange, ClientRow, DeviceState, EnrolCode, NewDevice, SecretsChange, SessionRow,
    StoreError, batch,
};
use vitrine_access::Disclosure;
use vitrine_access::action::ManageUsers;
use vitrine_clinical::{DeviceId, UserId, UtcMs, WardId};

fn code(n: u8, until: i64) -> EnrolCode {
    EnrolCode {
        hash: [n; 32],
        ward: WardId::new("ED").expect("a ward"),
        site: n == 2,
        until: UtcMs(until),
    }
}

fn device(id: &str) -> NewDevice {
    NewDevice {
        id: DeviceId::new(id).expect("a device"),
        name: format!("desk {id}"),
        public_key: vec![7; 32],
    }
}

pub(super) async fn enrols_once(h: Hospital) {
    let refused =
        |r: Result<crate::DeviceRow, StoreError>| assert!(matches!(r, Err(StoreError::Refused(_))), "{r:?}");
    for c in [code(1, 1000), code(2, 1000), code(3, 50)] {
        h.store.put_enrol_code(&h.operator(), c).await.expect("kept");
    }
    let valid: Vec<u8> = h
        .store
        .enrol_codes(UtcMs(100))
        .await
        .expect("codes")
        .iter()
        .map(|c| c.hash[0])
        .collect();
    assert_eq!(valid, [1, 2], "what has run out is not listed");
    refused(h.store.enrol([9; 32], device("a"), UtcMs(100)).await);
    refused(h.store.enrol([3; 32], device("a"), UtcMs(50)).await);
    let row = h
        .store
        .enrol([1; 32], device("a"), UtcMs(100))
        .await
        .expect("enrolled");
    assert_eq!(
        (row.state, row.ward.as_str(), row.site, row.enrolled),
        (DeviceState::Active, "ED", false, UtcMs(100))
    );
    refused(h.store.enrol([1; 32], device("b"), UtcMs(100)).await);
    refused(h.store.enrol([2; 32], device("a"), UtcMs(100)).await);
    let site = h
        .store
        .enrol([2; 32], device("b"), UtcMs(100))
        .await
        .expect("a refusal does not use the code up");
    assert!(site.site);
    assert!(h.store.enrol_codes(UtcMs(100)).await.expect("codes").is_empty());
    let a = row.id.clone();
    h.store
        .device_seen(&a, UtcMs(200), Some("{\"v\":1}".to_owned()))
        .await
        .expect("seen");
    h.store.device_seen(&a, UtcMs(300), None).await.expect("seen");
    h.store.revoke_device(&h.operator(), &a).await.expect("revoked");
    let now = h.store.device(&a).await.expect("device").expect("there");
    assert_eq!(
        (now.state, now.last_seen, now.report.as_deref()),
        (DeviceState::Revoked, Some(UtcMs(300)), Some("{\"v\":1}"))
    );
    let unknown = DeviceId::new("zz").expect("a device");
    assert!(h.store.revoke_device(&h.operator(), &unknown).await.is_err());
    assert!(h.store.device(&unknown).await.expect("device").is_none());
    assert_eq!(h.store.devices().await.expect("devices").len(), 2);
    assert_eq!(h.store.counts().await.expect("counts").devices, 2);
}

pub(super) async fn keeps_accounts_sessions_clients(h: Hospital) {
    let session = |n: u8| SessionRow {
        hash: [n; 32],
        holder: "ann".to_owned(),
        client: n == 2,
        device: (n == 1).then(|| DeviceId::new("a").expect("a device")),
        scopes: vec!["system/*.rs".to_owned(); usize::from(n)],
        provider: None,
        at: UtcMs(1),
        until: UtcMs(2),
    };
    for n in [1, 2] {
        h.store.put_session(session(n)).await.expect("kept");
        assert_eq!(
            h.store.session(&[n; 32]).await.expect("session"),
            Some(session(n))
        );
    }
    let longer = SessionRow {
        until: UtcMs(9),
        ..session(1)
    };
    h.store.put_session(longer.clone()).await.expect("kept");
    assert_eq!(
        h.store.session(&[1; 32]).await.expect("session"),
        Some(longer),
        "put again, it is replaced"
    );
    h.store
        .prolong_session(&[1; 32], UtcMs(11))
        .await
        .expect("prolonged");
    let row = h.store.session(&[1; 32]).await.expect("session");
    assert_eq!(row.expect("there").until, UtcMs(11));
    h.store.end_session(&[1; 32]).await.expect("ended");
    h.store
        .prolong_session(&[1; 32], UtcMs(12))
        .await
        .expect("too late is fine");
    h.store.end_session(&[1; 32]).await.expect("ended twice is fine");
    assert_eq!(h.store.session(&[1; 32]).await.expect("session"), None);
    clients(&h).await;
    assert!(
        h.store
            .account(&UserId::new("ann").expect("a user"))
            .await
            .expect("account")
            .is_none()
    );
    assert!(h.store.accounts().await.expect("accounts").is_empty());
}

pub(super) async fn sessions_that_are_over_are_forgotten(h: Hospital) {
    for n in 1..=5_u8 {
        let row = SessionRow {
            hash: [n; 32],
            holder: "ann".to_owned(),
            client: false,
            device: None,
            scopes: Vec::new(),
            provider: None,
            at: UtcMs(1),
            until: UtcMs(i64::from(n)),
        };
        h.store.put_session(row).await.expect("kept");
    }
    let forget = async |before: i64, most: u32| {
        let gone = h.store.forget_sessions(UtcMs(before), most).await;
        gone.expect("forgotten")
    };
    let left = async || {
        let mut left = Vec::new();
        for n in 1..=5_u8 {
            if h.store.session(&[n; 32]).await.expect("session").is_some() {
                left.push(n);
            }
        }
        left
    };
    assert_eq!((forget(1, 10).await, left().await), (0, vec![1, 2, 3, 4, 5]));
    assert_eq!(
        (forget(5, 3).await, left().await.len()),
        (3, 2),
        "no more than were asked for"
    );
    assert_eq!(
        (forget(5, 3).await, left().await),
        (1, vec![5]),
        "whose end came before"
    );
    assert_eq!((forget(6, 0).await, left().await), (0, vec![5]));
    assert_eq!((forget(6, 3).await, left().await), (1, vec![]));
}

/// By secret, by key, and without either; what a program opened ends when it is changed or goes.
async fn clients(h: &Hospital) {
    let row = |id: &str, secret: Option<u8>, keys: Option<&str>| ClientRow {
        id: id.to_owned(),
        secret: secret.map(|b| [b; 32]),
        keys: keys.map(str::to_owned),
        scopes: vec!["system/*.cruds".to_owned(), "openid".to_owned()],
        redirects: vec!["https://app.example/back".to_owned(); usize::from(secret.is_none())],
    };
    let session = |n: u8, holder: &str, client: bool| SessionRow {
        hash: [n; 32],
        holder: holder.to_owned(),
        client,
        device: None,
        scopes: Vec::new(),
        provider: None,
        at: UtcMs(1),
        until: UtcMs(2),
    };
    let there = async |n: u8| h.store.session(&[n; 32]).await.expect("session").is_some();
    let (lab, ris, app) = (
        row("lab", Some(5), None),
        row("ris", None, Some("{\"keys\":[]}")),
        row("app", None, None),
    );
    for one in [&lab, &ris, &app] {
        h.store
            .put_client(&h.operator(), one.clone())
            .await
            .expect("kept");
        let kept = h.store.client(&one.id).await.expect("client");
        assert_eq!(kept.as_ref(), Some(one));
    }
    // A person may be called as a program is.
    for (n, holder, client) in [
        (21, "lab", true),
        (22, "lab", false),
        (23, "ris", true),
        (24, "app", true),
    ] {
        h.store
            .put_session(session(n, holder, client))
            .await
            .expect("kept");
    }
    let other = row("lab", Some(6), Some("{\"keys\":[1]}"));
    h.store
        .put_client(&h.operator(), other.clone())
        .await
        .expect("replaced");
    assert!(!there(21).await && there(22).await && there(23).await);
    h.store
        .remove_client(&h.operator(), "ris")
        .await
        .expect("removed");
    assert!(!there(23).await && there(24).await && there(22).await);
    assert_eq!(h.store.clients().await.expect("clients"), [app, other]);
    assert_eq!(h.store.client("ris").await.expect("client"), None);
    let refused = h.store.remove_client(&h.operator(), "ris").await;
    assert!(matches!(refused.map(|_| ()), Err(StoreError::Refused(_))));
}

pub(super) async fn new_secrets_change_what_is_new_and_nothing_else(h: Hospital) {
    let user = UserId::new("ann").expect("a user");
    let change = async |c: AccountChange| h.store.change_account(&h.operator(), c).await.map(|_| ());
    let secrets = async |password: Option<&str>, pin: Option<&str>, enable: bool| {
        let new = SecretsChange {
            user: user.clone(),
            password_phc: password.map(str::to_owned),
            pin_phc: pin.map(str::to_owned),
            enable,
        };
        let entry = h.operator::<ManageUsers>().entry(Disclosure::default());
        h.store.change_secrets(entry, new).await.map(|_| ())
    };
    let nobody = secrets(Some("p"), None, true).await;
    assert!(matches!(nobody, Err(StoreError::Refused(_))));
    let mut expected = Account {
        user: user.clone(),
        display: "Ann".to_owned(),
        role: "nurse".parse().expect("a role"),
        wards: vec![WardId::new("ED").expect("a ward")],
        password_phc: "p1".to_owned(),
        pin_phc: None,
        disabled: false,
        badges: vec!["b".to_owned()],
        version: 1,
    };
    change(AccountChange::Put(expected.clone())).await.expect("kept");
    let mark = |a: &Account| {
        let dir: serde_json::Value = serde_json::from_slice(&batch::dir_body(a)).expect("JSON");
        dir["password_mark"].as_str().expect("a mark").to_owned()
    };
    let mut marks = vec![mark(&expected)];
    // password, pin, enable; what they are then, and whether the account is disabled.
    let steps = [
        (Some("p2"), None, false, "p2", None, false),
        (None, Some("n1"), false, "p2", Some("n1"), false),
        (None, None, true, "p2", Some("n1"), false),
        (Some("p3"), Some("n2"), false, "p3", Some("n2"), true),
        (Some("p4"), Some("n3"), true, "p4", Some("n3"), false),
    ];
    for (password, pin, enable, is_password, is_pin, disabled) in steps {
        if disabled {
            change(AccountChange::Disable(user.clone()))
                .await
                .expect("disabled");
            expected.version += 1;
        }
        secrets(password, pin, enable).await.expect("changed");
        expected = Account {
            password_phc: is_password.to_owned(),
            pin_phc: is_pin.map(str::to_owned),
            disabled,
            version: expected.version + 1,
            ..expected
        };
        let kept = h.store.account(&user).await.expect("account").expect("there");
        assert_eq!(kept, expected);
        marks.push(mark(&kept));
    }
    // The mark is another one with each password, and with nothing else.
    assert_eq!(marks[1], marks[2]);
    assert_eq!(marks[2], marks[3]);
    marks.dedup();
    assert_eq!(marks.len(), 4, "{marks:?}");
    // Workstations are told of each change.
    super::feeds::replay(&h, "dir").await;
}

pub(super) async fn a_badge_is_of_one_person(h: Hospital) {
    let user = |name: &str| UserId::new(name).expect("a user");
    let change = async |c: AccountChange| h.store.change_account(&h.operator(), c).await;
    let add =
        async |name: &str, badge: &str| change(AccountChange::AddBadge(user(name), badge.to_owned())).await;
    let remove = async |name: &str, badge: &str| {
        change(AccountChange::RemoveBadge(user(name), badge.to_owned())).await
    };
    let badges = async |name: &str| {
        let a = h
            .store
            .account(&user(name))
            .await
            .expect("account")
            .expect("there");
        (a.badges, a.version)
    };
    for name in ["ann", "bob"] {
        let account = Account {
            user: user(name),
            display: name.to_owned(),
            role: "nurse".parse().expect("a role"),
            wards: vec![WardId::new("ED").expect("a ward")],
            password_phc: "p".to_owned(),
            pin_phc: None,
            disabled: false,
            badges: Vec::new(),
            version: 0,
        };
        change(AccountChange::Put(account)).await.expect("kept");
    }
    let plain = batch::dir_body(
        &h.store
            .account(&user("bob"))
            .await
            .expect("account")
            .expect("there"),
    );
    assert!(
        !String::from_utf8_lossy(&plain).contains("badges"),
        "as before for whoever has none"
    );
    add("ann", "b1").await.expect("given");
    add("ann", "b2").await.expect("given");
    assert_eq!(badges("ann").await, (vec!["b1".to_owned(), "b2".to_owned()], 3));
    let refused = |r: Result<_, StoreError>| assert!(matches!(r, Err(StoreError::Refused(_))));
    refused(add("ann", "b1").await.map(|_| ()));
    refused(add("bob", "b1").await.map(|_| ()));
    refused(add("cyd", "b9").await.map(|_| ()));
    refused(remove("bob", "b1").await.map(|_| ()));
    assert_eq!(badges("bob").await, (Vec::new(), 1), "a refusal changes nothing");
    remove("ann", "b1").await.expect("taken away");
    add("bob", "b1").await.expect("free again");
    assert_eq!(badges("ann").await, (vec!["b2".to_owned()], 4));
    // Workstations are told of each change.
    super::feeds::replay(&h, "dir").await;
    change(AccountChange::Disable(user("bob")))
        .await
        .expect("disabled");
    assert_eq!(badges("bob").await, (vec!["b1".to_owned()], 3));
}
