-- The server's record, its change feed, its audit chain and its accounts, in one file: a change, its projections,
-- its feed rows and its audit row commit together (ATTACHed files do not commit together in WAL mode).
--
-- Numbers stand for texts where rows are many: pid = patient, rid = resource (creation order), ward.no = ward.
-- Scopes in change_log: 1 = dir, 2 = ess:site, 10 + 2*ward = ess:<ward>, 11 + 2*ward = board:<ward>, -pid = pat:<id>.
-- Bodies are packed (see src/server/body.rs); hash = first 16 bytes of BLAKE3 over the unpacked body, NULL when a
-- statement that was not ours changed the body.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('feed_oldest', '0');

-- Counts that a scan would be too slow for: 'kind:<Type>' live resources, 'cards', 'persons'.
CREATE TABLE tally (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO tally VALUES ('cards', 0), ('persons', 0);

CREATE TABLE patient (
  pid  INTEGER PRIMARY KEY,
  id   TEXT NOT NULL UNIQUE,
  rev  INTEGER NOT NULL,  -- grows by one with every changed resource
  live INTEGER NOT NULL   -- resources not deleted
);

CREATE TABLE resource (
  rid     INTEGER PRIMARY KEY,
  kind    TEXT NOT NULL,
  id      TEXT NOT NULL,
  pid     INTEGER,            -- NULL: belongs to no patient
  rank    INTEGER NOT NULL,   -- 0 = essential types, first in a chart
  version INTEGER NOT NULL,
  rev     INTEGER NOT NULL,   -- patient's revision at which it last changed
  updated INTEGER NOT NULL,   -- ms since 1970
  deleted INTEGER NOT NULL,
  meaning INTEGER NOT NULL,   -- bits: 1 identifiers, 2 dependencies, 4 fact, 8 person
  hash    BLOB,
  body    BLOB
);
CREATE UNIQUE INDEX resource_key ON resource (kind, id);
CREATE INDEX resource_chart ON resource (pid, rank, rid DESC) WHERE deleted = 0 AND pid IS NOT NULL;
CREATE INDEX resource_scope ON resource (pid, kind, id) WHERE deleted = 0 AND pid IS NOT NULL;

CREATE TABLE resource_version (
  rid     INTEGER NOT NULL,
  version INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  body    BLOB,
  PRIMARY KEY (rid, version)
);

CREATE TABLE fact (
  rid      INTEGER PRIMARY KEY,
  pid      INTEGER NOT NULL,
  slot     TEXT NOT NULL,
  order_ms INTEGER NOT NULL,
  keep     INTEGER NOT NULL,
  version  INTEGER NOT NULL,
  body     BLOB NOT NULL
);
CREATE INDEX fact_slot ON fact (pid, slot, order_ms DESC, rid DESC);

CREATE TABLE ident (
  value  TEXT NOT NULL,
  system TEXT NOT NULL,
  kind   TEXT NOT NULL,
  rid    INTEGER NOT NULL,
  PRIMARY KEY (value, system, kind, rid)
) WITHOUT ROWID;
CREATE INDEX ident_rid ON ident (rid);

-- Facts that were resolved from another resource, with the version seen (NULL = was not there).
CREATE TABLE dependency (
  on_kind TEXT NOT NULL,
  on_id   TEXT NOT NULL,
  rid     INTEGER NOT NULL,
  version INTEGER,
  PRIMARY KEY (on_kind, on_id, rid)
) WITHOUT ROWID;
CREATE INDEX dependency_rid ON dependency (rid);

CREATE VIRTUAL TABLE person USING fts5 (
  names, whole,
  content = '', contentless_delete = 1,
  tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3'
);

CREATE TABLE ward (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);

CREATE TABLE card (
  pid     INTEGER PRIMARY KEY,
  ver     INTEGER NOT NULL,
  live    INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  ward    INTEGER,
  hash    BLOB,
  body    BLOB
);
CREATE TABLE ess_member (
  ward INTEGER NOT NULL,
  id   TEXT NOT NULL,
  pid  INTEGER NOT NULL,
  PRIMARY KEY (ward, id)
) WITHOUT ROWID;
CREATE INDEX ess_member_pid ON ess_member (pid);

CREATE TABLE board (
  pid  INTEGER PRIMARY KEY,
  ward INTEGER,              -- NULL: on no board
  ver  INTEGER NOT NULL,
  hash BLOB,
  body BLOB
);
CREATE INDEX board_ward ON board (ward) WHERE ward IS NOT NULL;

CREATE TABLE op (
  id     BLOB PRIMARY KEY,
  digest BLOB NOT NULL,
  pos    INTEGER NOT NULL,
  result BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE quarantine (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,
  location   TEXT NOT NULL,
  kind       TEXT,
  reason     TEXT NOT NULL,
  expression TEXT,
  bytes      INTEGER NOT NULL,
  body       BLOB
);

-- The server's audit chain: hash = SHA-256(0 | hash of the row before | seq | body).
CREATE TABLE audit (
  seq  INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,
  body BLOB NOT NULL
);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'audit rows are never changed'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'audit rows are never deleted'); END;

CREATE TABLE device (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  ward       TEXT NOT NULL,
  site       INTEGER NOT NULL,
  public_key BLOB NOT NULL,
  revoked    INTEGER NOT NULL,
  enrolled   INTEGER NOT NULL,
  last_seen  INTEGER,
  report     TEXT,
  audit_seq  INTEGER NOT NULL,
  audit_hash BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE device_audit (
  device TEXT NOT NULL,
  seq    INTEGER NOT NULL,
  hash   BLOB NOT NULL,
  body   BLOB NOT NULL,
  PRIMARY KEY (device, seq)
);
CREATE TRIGGER device_audit_no_update BEFORE UPDATE ON device_audit
BEGIN SELECT raise(ABORT, 'audit rows are never changed'); END;
CREATE TRIGGER device_audit_no_delete BEFORE DELETE ON device_audit
BEGIN SELECT raise(ABORT, 'audit rows are never deleted'); END;

CREATE TABLE enrol_code (
  hash  BLOB PRIMARY KEY,
  ward  TEXT NOT NULL,
  site  INTEGER NOT NULL,
  until INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE account (
  no           INTEGER PRIMARY KEY,
  user         TEXT NOT NULL UNIQUE,
  display      TEXT NOT NULL,
  role         TEXT NOT NULL,
  wards        TEXT NOT NULL,
  password_phc TEXT NOT NULL,
  pin_phc      TEXT,
  disabled     INTEGER NOT NULL,
  version      INTEGER NOT NULL
);
CREATE TABLE session (
  hash   BLOB PRIMARY KEY,
  holder TEXT NOT NULL,
  client INTEGER NOT NULL,
  device TEXT,
  scopes TEXT NOT NULL,
  at     INTEGER NOT NULL,
  until  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE client (id TEXT PRIMARY KEY, secret BLOB NOT NULL, scopes TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE break_glass_grant (
  id   BLOB PRIMARY KEY,
  at   INTEGER NOT NULL,
  body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX break_glass_grant_at ON break_glass_grant (at DESC, id DESC);

-- The feed. AUTOINCREMENT in the one writer makes seq gapless and the commit order.
CREATE TABLE change_log (
  seq   INTEGER PRIMARY KEY AUTOINCREMENT,
  scope INTEGER NOT NULL,
  ref   INTEGER NOT NULL,   -- rid in a patient's scope, pid in ess and board, account.no in dir
  prev  INTEGER NOT NULL,
  ver   INTEGER NOT NULL,
  tomb  INTEGER NOT NULL
);
CREATE INDEX change_log_scope ON change_log (scope, seq);

-- Resources. The store gives each change the patient's next revision; an UPDATE from elsewhere gets it here.
CREATE TRIGGER resource_insert AFTER INSERT ON resource WHEN NEW.pid IS NOT NULL
BEGIN
  INSERT INTO change_log (scope, ref, prev, ver, tomb) VALUES (-NEW.pid, NEW.rid, NEW.rev - 1, NEW.rev, NEW.deleted);
END;
CREATE TRIGGER resource_update AFTER UPDATE ON resource
WHEN NEW.pid IS NOT NULL AND (NEW.rev <> OLD.rev OR NEW.pid IS NOT OLD.pid)
BEGIN
  INSERT INTO change_log (scope, ref, prev, ver, tomb) VALUES (-NEW.pid, NEW.rid, NEW.rev - 1, NEW.rev, NEW.deleted);
END;
CREATE TRIGGER resource_move AFTER UPDATE OF pid ON resource
WHEN OLD.pid IS NOT NULL AND NEW.pid IS NOT OLD.pid
BEGIN
  UPDATE patient SET rev = rev + 1, live = live - (OLD.deleted = 0) WHERE pid = OLD.pid;
  INSERT INTO change_log (scope, ref, prev, ver, tomb)
    SELECT -pid, NEW.rid, rev - 1, rev, 1 FROM patient WHERE pid = OLD.pid;
END;
CREATE TRIGGER resource_update_elsewhere AFTER UPDATE OF body, version, deleted ON resource
WHEN NEW.pid IS NOT NULL AND NEW.rev = OLD.rev AND NEW.pid IS OLD.pid
 AND (NEW.body IS NOT OLD.body OR NEW.version <> OLD.version OR NEW.deleted <> OLD.deleted)
BEGIN
  UPDATE patient SET rev = rev + 1, live = live + (NEW.deleted = 0) - (OLD.deleted = 0) WHERE pid = NEW.pid;
  UPDATE resource
     SET rev = (SELECT rev FROM patient WHERE pid = NEW.pid),
         version = version + (NEW.version = OLD.version),
         hash = NULL
   WHERE rid = NEW.rid;
END;
CREATE TRIGGER resource_no_delete BEFORE DELETE ON resource
BEGIN SELECT raise(ABORT, 'resources are marked deleted, never removed'); END;

-- Cards.
CREATE TRIGGER card_insert AFTER INSERT ON card
BEGIN
  UPDATE tally SET n = n + NEW.live WHERE name = 'cards';
  INSERT INTO change_log (scope, ref, prev, ver, tomb) VALUES (2, NEW.pid, 0, NEW.ver, NOT NEW.live);
END;
CREATE TRIGGER card_update AFTER UPDATE ON card WHEN NEW.ver <> OLD.ver
BEGIN
  UPDATE tally SET n = n + NEW.live - OLD.live WHERE name = 'cards' AND NEW.live <> OLD.live;
  INSERT INTO change_log (scope, ref, prev, ver, tomb)
    VALUES (2, NEW.pid, CASE WHEN OLD.live THEN OLD.ver ELSE 0 END, NEW.ver, NOT NEW.live);
  INSERT INTO change_log (scope, ref, prev, ver, tomb)
    SELECT 10 + 2 * ward, pid, CASE WHEN OLD.live THEN OLD.ver ELSE 0 END, NEW.ver, 0
      FROM ess_member WHERE pid = NEW.pid ORDER BY ward;
END;
CREATE TRIGGER card_update_elsewhere AFTER UPDATE OF body ON card
WHEN NEW.ver = OLD.ver AND NEW.body IS NOT OLD.body
BEGIN
  UPDATE card SET ver = ver + 1, hash = NULL WHERE pid = NEW.pid;
END;
CREATE TRIGGER ess_member_insert AFTER INSERT ON ess_member
BEGIN
  INSERT INTO change_log (scope, ref, prev, ver, tomb)
    SELECT 10 + 2 * NEW.ward, pid, 0, ver, 0 FROM card WHERE pid = NEW.pid;
END;
CREATE TRIGGER ess_member_delete AFTER DELETE ON ess_member
BEGIN
  INSERT INTO change_log (scope, ref, prev, ver, tomb)
    SELECT 10 + 2 * OLD.ward, pid, ver, ver + 1, 1 FROM card WHERE pid = OLD.pid;
END;

-- Boards.
CREATE TRIGGER board_insert AFTER INSERT ON board WHEN NEW.ward IS NOT NULL
BEGIN
  INSERT INTO change_log (scope, ref, prev, ver, tomb) VALUES (11 + 2 * NEW.ward, NEW.pid, 0, NEW.ver, 0);
END;
CREATE TRIGGER board_update AFTER UPDATE ON board WHEN NEW.ver <> OLD.ver
BEGIN
  INSERT INTO change_log (scope, ref, prev, ver, tomb)
    SELECT 11 + 2 * OLD.ward, OLD.pid, OLD.ver, OLD.ver + 1, 1
     WHERE OLD.ward IS NOT NULL AND NEW.ward IS NOT OLD.ward;
  INSERT INTO change_log (scope, ref, prev, ver, tomb)
    SELECT 11 + 2 * NEW.ward, NEW.pid, CASE WHEN NEW.ward IS OLD.ward THEN OLD.ver ELSE 0 END, NEW.ver, 0
     WHERE NEW.ward IS NOT NULL;
END;
CREATE TRIGGER board_update_elsewhere AFTER UPDATE OF body, ward ON board
WHEN NEW.ver = OLD.ver AND (NEW.body IS NOT OLD.body OR NEW.ward IS NOT OLD.ward)
BEGIN
  UPDATE board SET ver = ver + 1, hash = NULL WHERE pid = NEW.pid;
  INSERT INTO change_log (scope, ref, prev, ver, tomb)
    SELECT 11 + 2 * OLD.ward, OLD.pid, OLD.ver, OLD.ver + 1, 1
     WHERE OLD.ward IS NOT NULL AND NEW.ward IS NOT OLD.ward;
END;

-- Accounts.
CREATE TRIGGER account_insert AFTER INSERT ON account
BEGIN
  INSERT INTO change_log (scope, ref, prev, ver, tomb) VALUES (1, NEW.no, 0, NEW.version, 0);
END;
CREATE TRIGGER account_update AFTER UPDATE ON account WHEN NEW.version <> OLD.version
BEGIN
  INSERT INTO change_log (scope, ref, prev, ver, tomb) VALUES (1, NEW.no, OLD.version, NEW.version, 0);
END;
CREATE TRIGGER account_update_elsewhere
AFTER UPDATE OF display, role, wards, password_phc, pin_phc, disabled ON account WHEN NEW.version = OLD.version
BEGIN
  UPDATE account SET version = version + 1 WHERE no = NEW.no;
END;
CREATE TRIGGER account_no_delete BEFORE DELETE ON account
BEGIN SELECT raise(ABORT, 'accounts are disabled, never removed: audit rows name them'); END;
