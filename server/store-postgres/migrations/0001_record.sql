-- The server's record, its change feed, its audit chains and its accounts in PostgreSQL: the same logical schema as
-- shared/store-sqlcipher/migrations/server/0001_record.sql, laid out for many readers and several writing servers.
--
-- What a person could read is sealed by the application before it comes here (src/vault.rs): bodies are compressed,
-- then AES-256-GCM under a data key; names, numbers and identifiers are keyed tokens alone. Ids are opaque.
--
-- Numbers stand for texts where rows are many: pid = patient, rid = resource (creation order), ward.no = ward.
-- Scopes in change_log: 1 = dir, 2 = ess:site, 10 + 2*ward = ess:<ward>, 11 + 2*ward = board:<ward>, -pid = pat:<id>.
-- Every table that grows with patients leads with pid in an index, so that it can be sharded by hash of pid.

CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL);
INSERT INTO meta VALUES ('feed_oldest', '0'), ('feed_newest', '0');

-- Envelope keys: each wrapped under a key that never comes here. The greatest number seals what is written now.
CREATE TABLE data_key (
  no      integer PRIMARY KEY,
  made    bigint NOT NULL,
  wrapped bytea  NOT NULL
);

-- Counts that a scan would be too slow for: 'kind:<Type>' live resources, 'cards', 'persons'. One row for each writing
-- chain, so that two servers never wait for each other's; a reader adds them up.
CREATE TABLE tally (
  name  text NOT NULL,
  chain text NOT NULL,
  n     bigint NOT NULL,
  PRIMARY KEY (name, chain)
);

CREATE TABLE patient (
  pid  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id   text COLLATE "C" NOT NULL UNIQUE,
  rev  bigint NOT NULL,  -- grows by one with every changed resource
  live bigint NOT NULL   -- resources not deleted
) WITH (fillfactor = 80);

CREATE SEQUENCE resource_rid;
CREATE TABLE resource (
  rid     bigint PRIMARY KEY,
  kind    text COLLATE "C" NOT NULL,
  id      text COLLATE "C" NOT NULL,
  pid     bigint,            -- NULL: belongs to no patient
  rank    smallint NOT NULL, -- 0 = essential types, first in a chart
  version bigint NOT NULL,
  rev     bigint NOT NULL,   -- patient's revision at which it last changed
  updated bigint NOT NULL,   -- ms since 1970
  deleted boolean NOT NULL,
  meaning bigint NOT NULL,   -- bits: 1 identifiers, 2 dependencies, 4 fact, 8 person
  hash    bytea,
  body    bytea
);
ALTER TABLE resource ALTER COLUMN body SET STORAGE EXTERNAL; -- compressed already
CREATE UNIQUE INDEX resource_key ON resource (kind, id);
-- A chart is one range of this index: what is essential first, then the newest.
CREATE INDEX resource_chart ON resource (pid, rank, rid DESC) WHERE NOT deleted AND pid IS NOT NULL;
CREATE INDEX resource_scope ON resource (pid, kind, id) WHERE NOT deleted AND pid IS NOT NULL;

-- Versions that are no longer the current one, by the month they were stored in.
CREATE TABLE resource_version (
  rid     bigint NOT NULL,
  version bigint NOT NULL,
  updated bigint NOT NULL,
  deleted boolean NOT NULL,
  body    bytea
) PARTITION BY RANGE (updated);
CREATE INDEX resource_version_key ON resource_version (rid, version);
CREATE TABLE resource_version_rest PARTITION OF resource_version DEFAULT;

CREATE TABLE fact (
  rid      bigint PRIMARY KEY,
  pid      bigint NOT NULL,
  slot     text COLLATE "C" NOT NULL,
  order_ms bigint NOT NULL,
  keep     bigint NOT NULL,
  version  bigint NOT NULL,
  body     bytea NOT NULL
);
CREATE INDEX fact_slot ON fact (pid, slot, order_ms DESC, rid DESC);

-- Identifiers as keyed tokens: of the value, and of system and value.
CREATE TABLE ident (
  value  bigint NOT NULL,
  pair   bigint NOT NULL,
  kind   text COLLATE "C" NOT NULL,
  rid    bigint NOT NULL,
  PRIMARY KEY (value, kind, pair, rid)
);
CREATE INDEX ident_pair ON ident (pair, kind);
CREATE INDEX ident_rid ON ident (rid);

-- Facts that were resolved from another resource, with the version seen (NULL = was not there).
CREATE TABLE dependency (
  on_kind text COLLATE "C" NOT NULL,
  on_id   text COLLATE "C" NOT NULL,
  rid     bigint NOT NULL,
  version bigint,
  PRIMARY KEY (on_kind, on_id, rid)
);
CREATE INDEX dependency_rid ON dependency (rid);

-- Keyed tokens of a person's words: every beginning of a name word, every number, every form of the birth date.
CREATE TABLE person (pid bigint PRIMARY KEY, tokens bigint[] NOT NULL);
CREATE INDEX person_tokens ON person USING gin (tokens) WITH (fastupdate = off);

CREATE TABLE ward (no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE);

CREATE TABLE card (
  pid     bigint PRIMARY KEY,
  ver     bigint NOT NULL,
  live    boolean NOT NULL,
  updated bigint NOT NULL,
  ward    bigint,
  hash    bytea,
  body    bytea
);
ALTER TABLE card ALTER COLUMN body SET STORAGE EXTERNAL;
-- ver: the card's version last told to that ward.
CREATE TABLE ess_member (
  ward bigint NOT NULL,
  id   text COLLATE "C" NOT NULL,
  pid  bigint NOT NULL,
  ver  bigint NOT NULL,
  PRIMARY KEY (ward, id)
);
CREATE INDEX ess_member_pid ON ess_member (pid);

CREATE TABLE board (
  pid  bigint PRIMARY KEY,
  ward bigint,               -- NULL: on no board
  ver  bigint NOT NULL,
  hash bytea,
  body bytea
);
CREATE INDEX board_ward ON board (ward) WHERE ward IS NOT NULL;

CREATE TABLE op (
  id     uuid PRIMARY KEY,
  digest bytea NOT NULL,
  pos    bigint NOT NULL,
  result bytea NOT NULL
);

CREATE TABLE quarantine (
  id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at    bigint NOT NULL,
  bytes bigint NOT NULL,
  about bytea NOT NULL,      -- where from, what kind, why, at which path
  body  bytea
);

-- The audit chains of the servers, one for each writing server, by month:
-- hash = SHA-256(0 | hash of the row before | seq | body).
CREATE TABLE audit (
  chain text COLLATE "C" NOT NULL,
  seq   bigint NOT NULL,
  at    bigint NOT NULL,
  hash  bytea NOT NULL,
  body  bytea NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX audit_seq ON audit (chain, seq);
CREATE TABLE audit_rest PARTITION OF audit DEFAULT;
-- Where each chain stands. Locked by whoever writes to it, so that it cannot fork.
CREATE TABLE audit_head (
  chain text COLLATE "C" PRIMARY KEY,
  seq   bigint NOT NULL,
  hash  bytea NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE device (
  id         text COLLATE "C" PRIMARY KEY,
  name       text NOT NULL,
  ward       text NOT NULL,
  site       boolean NOT NULL,
  public_key bytea NOT NULL,
  revoked    boolean NOT NULL,
  enrolled   bigint NOT NULL,
  last_seen  bigint,
  report     text,
  audit_seq  bigint NOT NULL,
  audit_hash bytea NOT NULL
);
CREATE TABLE device_audit (
  device text COLLATE "C" NOT NULL,
  seq    bigint NOT NULL,
  hash   bytea NOT NULL,
  body   bytea NOT NULL,
  PRIMARY KEY (device, seq)
);

CREATE TABLE enrol_code (
  hash  bytea PRIMARY KEY,
  ward  text NOT NULL,
  site  boolean NOT NULL,
  until bigint NOT NULL
);
CREATE TABLE account (
  no           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name         text COLLATE "C" NOT NULL UNIQUE,
  display      text NOT NULL,
  role         text NOT NULL,
  wards        text NOT NULL,
  password_phc text NOT NULL,
  pin_phc      text,
  disabled     boolean NOT NULL,
  version      bigint NOT NULL
);
CREATE TABLE session (
  hash   bytea PRIMARY KEY,
  holder text NOT NULL,
  client boolean NOT NULL,
  device text,
  scopes text NOT NULL,
  at     bigint NOT NULL,
  until  bigint NOT NULL
);
CREATE TABLE client (id text COLLATE "C" PRIMARY KEY, secret bytea NOT NULL, scopes text NOT NULL);
CREATE TABLE break_glass_grant (
  id   uuid PRIMARY KEY,
  at   bigint NOT NULL,
  body bytea NOT NULL
);
CREATE INDEX break_glass_grant_at ON break_glass_grant (at DESC, id DESC);

-- The feed, in stretches of positions. Positions are given at the end of a transaction under one lock that is held
-- until the commit, so they are gapless and in commit order, and no open transaction anywhere can hide one.
CREATE TABLE change_log (
  pos   bigint NOT NULL,
  scope bigint NOT NULL,
  ref   bigint NOT NULL,   -- rid in a patient's scope, pid in ess and board, account.no in dir
  prev  bigint NOT NULL,
  ver   bigint NOT NULL,
  tomb  boolean NOT NULL,
  PRIMARY KEY (pos)
) PARTITION BY RANGE (pos);
CREATE TABLE change_log_rest PARTITION OF change_log DEFAULT;
CREATE INDEX change_log_scope ON change_log (scope, pos);

-- A position at the end of what is committed. The store writes its own rows in bulk with the same lock.
CREATE FUNCTION feed_lock() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(7371);
  RETURN greatest((SELECT max(pos) FROM change_log), (SELECT value::bigint FROM meta WHERE key = 'feed_newest'));
END $$;

-- One row of the feed, from a statement that was not the store's.
CREATE FUNCTION feed_add(scope bigint, ref bigint, prev bigint, ver bigint, tomb boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  at bigint := nullif(current_setting('vitrine.pos', true), '')::bigint;
BEGIN
  IF at IS NULL THEN
    at := feed_lock();
  END IF;
  PERFORM set_config('vitrine.pos', (at + 1)::text, true);
  INSERT INTO change_log VALUES (at + 1, scope, ref, prev, ver, tomb);
  PERFORM pg_notify('vitrine_feed', '');
END $$;

-- The store says what it writes itself; these triggers are for everybody else. The BEFORE triggers give the next
-- version at once, the AFTER triggers wait for the commit (DEFERRED), so that an open transaction holds nobody up.
CREATE FUNCTION is_foreign() RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT current_setting('vitrine.writer', true) IS DISTINCT FROM 'store' $$;

CREATE FUNCTION resource_foreign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.pid IS NOT NULL THEN
      UPDATE patient SET rev = rev + 1, live = live + (NOT NEW.deleted)::int WHERE pid = NEW.pid RETURNING rev INTO NEW.rev;
    END IF;
    RETURN NEW;
  END IF;
  IF NEW.version = OLD.version THEN
    NEW.version := OLD.version + 1;
  END IF;
  IF NEW.body IS DISTINCT FROM OLD.body THEN
    NEW.hash := NULL;
  END IF;
  INSERT INTO resource_version (rid, version, updated, deleted, body)
    VALUES (OLD.rid, OLD.version, OLD.updated, OLD.deleted, OLD.body);
  IF OLD.pid IS NOT NULL AND NEW.pid IS DISTINCT FROM OLD.pid THEN
    UPDATE patient SET rev = rev + 1, live = live - (NOT OLD.deleted)::int WHERE pid = OLD.pid;
  END IF;
  IF NEW.pid IS NOT NULL THEN
    UPDATE patient
       SET rev = rev + 1,
           live = live + (NOT NEW.deleted)::int
                - CASE WHEN NEW.pid = OLD.pid THEN (NOT OLD.deleted)::int ELSE 0 END
     WHERE pid = NEW.pid RETURNING rev INTO NEW.rev;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER resource_foreign BEFORE INSERT OR UPDATE ON resource
  FOR EACH ROW WHEN (is_foreign()) EXECUTE FUNCTION resource_foreign();

CREATE FUNCTION resource_feed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  left_rev bigint;
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.pid IS NOT NULL AND NEW.pid IS DISTINCT FROM OLD.pid THEN
    SELECT rev INTO left_rev FROM patient WHERE pid = OLD.pid;
    PERFORM feed_add(-OLD.pid, NEW.rid, left_rev - 1, left_rev, true);
  END IF;
  IF NEW.pid IS NOT NULL THEN
    PERFORM feed_add(-NEW.pid, NEW.rid, NEW.rev - 1, NEW.rev, NEW.deleted);
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER resource_feed AFTER INSERT OR UPDATE ON resource DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (is_foreign()) EXECUTE FUNCTION resource_feed();

CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER resource_no_delete BEFORE DELETE ON resource
  FOR EACH ROW EXECUTE FUNCTION never('resources are marked deleted, never removed');
CREATE TRIGGER audit_no_update BEFORE UPDATE OR DELETE ON audit
  FOR EACH ROW EXECUTE FUNCTION never('audit rows are never changed');
CREATE TRIGGER device_audit_no_update BEFORE UPDATE OR DELETE ON device_audit
  FOR EACH ROW EXECUTE FUNCTION never('audit rows are never changed');
CREATE TRIGGER account_no_delete BEFORE DELETE ON account
  FOR EACH ROW EXECUTE FUNCTION never('accounts are disabled, never removed: audit rows name them');

CREATE FUNCTION card_foreign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.ver = OLD.ver THEN
    NEW.ver := OLD.ver + 1;
  END IF;
  IF NEW.body IS DISTINCT FROM OLD.body THEN
    NEW.hash := NULL;
  END IF;
  UPDATE ess_member SET ver = NEW.ver WHERE pid = NEW.pid;
  RETURN NEW;
END $$;
CREATE TRIGGER card_foreign BEFORE UPDATE ON card
  FOR EACH ROW WHEN (is_foreign()) EXECUTE FUNCTION card_foreign();
CREATE FUNCTION card_feed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM feed_add(2, NEW.pid, CASE WHEN TG_OP = 'UPDATE' AND OLD.live THEN OLD.ver ELSE 0 END, NEW.ver, NOT NEW.live);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER card_feed AFTER UPDATE ON card DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (is_foreign()) EXECUTE FUNCTION card_feed();
CREATE CONSTRAINT TRIGGER card_feed_new AFTER INSERT ON card DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (is_foreign()) EXECUTE FUNCTION card_feed();

CREATE FUNCTION ess_feed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  CASE TG_OP
    WHEN 'INSERT' THEN PERFORM feed_add(10 + 2 * NEW.ward, NEW.pid, 0, NEW.ver, false);
    WHEN 'DELETE' THEN PERFORM feed_add(10 + 2 * OLD.ward, OLD.pid, OLD.ver, OLD.ver + 1, true);
    ELSE
      IF NEW.ver <> OLD.ver THEN
        PERFORM feed_add(10 + 2 * NEW.ward, NEW.pid, OLD.ver, NEW.ver, false);
      END IF;
  END CASE;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ess_feed AFTER INSERT OR UPDATE OR DELETE ON ess_member DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (is_foreign()) EXECUTE FUNCTION ess_feed();

CREATE FUNCTION board_foreign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.ver = OLD.ver THEN
    NEW.ver := OLD.ver + 1;
  END IF;
  IF NEW.body IS DISTINCT FROM OLD.body THEN
    NEW.hash := NULL;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER board_foreign BEFORE UPDATE ON board
  FOR EACH ROW WHEN (is_foreign()) EXECUTE FUNCTION board_foreign();
CREATE FUNCTION board_feed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  was bigint;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    was := OLD.ward;
    IF was IS NOT NULL AND NEW.ward IS DISTINCT FROM was THEN
      PERFORM feed_add(11 + 2 * was, OLD.pid, OLD.ver, OLD.ver + 1, true);
    END IF;
  END IF;
  IF NEW.ward IS NOT NULL THEN
    PERFORM feed_add(11 + 2 * NEW.ward, NEW.pid,
                     CASE WHEN TG_OP = 'UPDATE' AND NEW.ward = was THEN OLD.ver ELSE 0 END, NEW.ver, false);
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER board_feed AFTER INSERT OR UPDATE ON board DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (is_foreign()) EXECUTE FUNCTION board_feed();

CREATE FUNCTION account_foreign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version = OLD.version THEN
    NEW.version := OLD.version + 1;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER account_foreign BEFORE UPDATE ON account
  FOR EACH ROW WHEN (is_foreign()) EXECUTE FUNCTION account_foreign();
CREATE FUNCTION account_feed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM feed_add(1, NEW.no, CASE WHEN TG_OP = 'UPDATE' THEN OLD.version ELSE 0 END, NEW.version, false);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER account_feed AFTER INSERT OR UPDATE ON account DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (is_foreign()) EXECUTE FUNCTION account_feed();
