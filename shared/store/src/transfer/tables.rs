//! What moves from one backend to another: the tables, their columns, the order of their rows. No backend's own names.

use bytes::Bytes;

/// What lies in a column, and how a backend is to keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A number.
    Number,
    /// A number of two bytes.
    Small,
    /// Yes or no.
    Flag,
    /// A text.
    Text,
    /// Bytes that are kept as they are.
    Bytes,
    /// An id of 16 bytes.
    Id,
    /// Bytes or a text that a person could read: a backend may pack and seal them.
    Body,
    /// Words to search by: a backend may keep tokens of them instead ([`super::Takes::kept`]).
    Words,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name, for messages; both backends call it so unless they say otherwise.
    pub name: &'static str,
    /// What lies in it.
    pub form: Form,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Bytes),
    /// Something is there that does not open.
    Unreadable,
}

impl Cell {
    /// Its canonical form: a letter for the kind, then the value; what may be long says its length first.
    fn feed(&self, to: &mut blake3::Hasher) {
        match self {
            Self::Null => to.update(b"0"),
            Self::Number(n) => to.update(b"n").update(&n.to_be_bytes()),
            Self::Flag(f) => to.update(b"f").update(&[u8::from(*f)]),
            Self::Text(t) => to
                .update(b"t")
                .update(&(t.len() as u64).to_be_bytes())
                .update(t.as_bytes()),
            Self::Bytes(b) => to.update(b"b").update(&(b.len() as u64).to_be_bytes()).update(b),
            Self::Unreadable => to.update(b"x"),
        };
    }

    fn weight(&self) -> usize {
        match self {
            Self::Text(t) => t.len(),
            Self::Bytes(b) => b.len(),
            _ => 8,
        }
    }
}

/// A row: one cell for each column of its table.
pub type Row = Vec<Cell>;

/// The first cells of a row, by which it is found and ordered. Texts are compared byte by byte.
pub type Key = Vec<Cell>;

/// Feeds a row to a digest.
pub fn feed(row: &[Cell], to: &mut blake3::Hasher) {
    to.update(&(row.len() as u64).to_be_bytes());
    row.iter().for_each(|c| c.feed(to));
}

/// About how many bytes a row takes.
#[must_use]
pub fn weight(row: &[Cell]) -> usize {
    row.iter().map(Cell::weight).sum()
}

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident $name:literal $key:literal [$($column:ident $form:ident),* $(,)?];)*) => {
        /// A table that moves. They move in this order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Table { $($(#[$doc])* $table,)* }

        impl Table {
            /// Every table, in the order in which they move.
            pub const ALL: &[Self] = &[$(Self::$table,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$table => $name,)* }
            }

            /// How many of its columns, from the first, are the key.
            #[must_use]
            pub const fn keys(self) -> usize {
                match self { $(Self::$table => $key,)* }
            }

            /// Its columns.
            #[must_use]
            pub const fn columns(self) -> &'static [Column] {
                match self {
                    $(Self::$table => &[$(Column { name: stringify!($column), form: Form::$form },)*],)*
                }
            }
        }
    };
}

tables! {
    /// People; their numbers are kept.
    Patient "patient" 1 [pid Number, id Text, rev Number, live Number, destroyed Flag];
    /// Current versions; their numbers are kept: they are the order of a chart.
    Resource "resource" 1 [rid Number, kind Text, id Text, pid Number, rank Small, version Number, rev Number,
        updated Number, deleted Flag, meaning Number, hash Bytes, body Body];
    /// Versions before the current ones.
    Version "resource_version" 2 [rid Number, version Number, updated Number, deleted Flag, body Body];
    /// What the cards are made of.
    Fact "fact" 1 [rid Number, pid Number, slot Text, order_ms Number, keep Number, version Number, body Body];
    /// The identifiers of a resource: JSON `[[system, value], …]`.
    Ident "ident" 1 [rid Number, kind Text, words Words];
    /// What facts were resolved from.
    Dependency "dependency" 3 [on_kind Text, on_id Text, rid Number, version Number];
    /// What a person is found by: JSON of a `PersonRow`.
    Person "person" 1 [pid Number, words Words];
    /// Wards; their numbers are kept: they name scopes.
    Ward "ward" 1 [no Number, id Text];
    /// Emergency cards.
    Card "card" 1 [pid Number, ver Number, live Flag, updated Number, ward Number, hash Bytes, body Body];
    /// Who is in the essentials of a ward, with the card's version told there.
    Member "ess_member" 2 [ward Number, id Text, pid Number, ver Number];
    /// Rows of ward boards.
    Board "board" 1 [pid Number, ward Number, ver Number, hash Bytes, body Body];
    /// Operation ids.
    Op "op" 1 [id Id, digest Bytes, pos Number, result Bytes];
    /// What could not be taken.
    Quarantine "quarantine" 1 [id Number, at Number, location Text, kind Text, reason Text, expression Text,
        bytes Number, body Body];
    /// Messages of other systems; their numbers are kept. `same` and `sum` are looked for: a backend may keep tokens of them.
    Message "message" 1 [id Number, at Number, feed Text, kind Text, corrects Number, bytes Number, times Number,
        settled Number, state Text, code Number, patient Text, wrote Number, kept Flag, same Bytes, sum Bytes, about Body,
        said Body];
    /// Their bytes.
    MessageBody "message_body" 1 [id Number, body Body];
    /// The server's audit chain.
    Audit "audit" 1 [seq Number, at Number, hash Bytes, body Body];
    /// Workstations.
    Device "device" 1 [id Text, name Text, ward Text, site Flag, public_key Bytes, revoked Flag, enrolled Number,
        last_seen Number, report Text, audit_seq Number, audit_hash Bytes];
    /// The audit chains of workstations.
    DeviceAudit "device_audit" 2 [device Text, seq Number, hash Bytes, body Body];
    /// One-time codes.
    EnrolCode "enrol_code" 1 [hash Bytes, ward Text, site Flag, until Number];
    /// People who may sign in; their numbers are kept: the feed names them.
    Account "account" 1 [no Number, name Text, display Text, role Text, wards Text, password_phc Text, pin_phc Text,
        disabled Flag, version Number, badges Text];
    /// Sessions.
    Session "session" 1 [hash Bytes, holder Text, client Flag, device Text, scopes Text, at Number, until Number,
        issuer Text, subject Text, sid Text];
    /// Identities at the provider.
    Identity "identity" 2 [issuer Text, subject Text, holder Text, at Number];
    /// What counts once and was used.
    Once "used_once" 1 [hash Bytes, until Number];
    /// Second factors of accounts.
    Totp "totp" 1 [holder Text, sealed Bytes, made Number, confirmed Number, step Number];
    /// Recovery codes that are left.
    TotpCode "totp_code" 2 [holder Text, hash Bytes];
    /// Programs that may use the API.
    Client "client" 1 [id Text, secret Bytes, scopes Text, keys Text, redirects Text];
    /// Break-glass grants.
    Grant "break_glass_grant" 1 [id Id, at Number, body Body];
    /// Legal holds.
    Hold "legal_hold" 1 [patient Text, body Body];
    /// Requests to destroy a record, those carried out among them.
    Destruction "destruction" 1 [id Id, patient Text, body Body];
    /// Studies of images; their numbers are kept, here and in the next two.
    Study "imaging_study" 1 [no Number, pid Number, day Number, body Body];
    /// Series of images.
    Series "imaging_series" 1 [no Number, study Number, body Body];
    /// Instances of images, with the keys of their files. The files do not move.
    Instance "imaging_instance" 1 [no Number, series Number, position Number, at Number, sha256 Bytes, bytes Number,
        body Body];
    /// Counts.
    Tally "tally" 1 [name Text, n Number];
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Table {
    /// The key of one of its rows.
    #[must_use]
    pub fn key(self, row: &[Cell]) -> Key {
        row.iter().take(self.keys()).cloned().collect()
    }

    /// A key as a message names it, e.g. `rid 17`. Keys are numbers, ids and hashes, never names.
    #[must_use]
    pub fn said(self, key: &[Cell]) -> String {
        let cell = |c: &Cell| match c {
            Cell::Null => "nothing".to_owned(),
            Cell::Number(n) => n.to_string(),
            Cell::Flag(f) => f.to_string(),
            Cell::Text(t) => t.clone(),
            Cell::Bytes(b) => b.iter().fold(String::new(), |s, b| s + &format!("{b:02x}")),
            Cell::Unreadable => "unreadable".to_owned(),
        };
        let named = self.columns().iter().zip(key).take(self.keys());
        let parts: Vec<String> = named.map(|(c, v)| format!("{} {}", c.name, cell(v))).collect();
        parts.join(", ")
    }

    /// Names of the columns in which two rows differ.
    #[must_use]
    pub fn differing(self, a: &[Cell], b: &[Cell]) -> Vec<&'static str> {
        let pairs = self.columns().iter().zip(a.iter().zip(b));
        pairs.filter(|(_, (a, b))| a != b).map(|(c, _)| c.name).collect()
    }
}

/// The wall clock in an audit row's body: backends that keep audit by months need it beside the row. 0 when the body
/// says none.
#[must_use]
pub fn audit_at(body: &[u8]) -> i64 {
    #[derive(serde::Deserialize)]
    struct At {
        at: i64,
    }
    serde_json::from_slice::<At>(body).map_or(0, |a| a.at)
}
