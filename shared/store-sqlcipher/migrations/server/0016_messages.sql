-- Messages of other systems (vitrine_store::messages): the same logical schema as
-- server/store-postgres/migrations/0016_messages.sql.

CREATE TABLE message (
  id       INTEGER PRIMARY KEY,
  at       INTEGER NOT NULL,
  feed     TEXT NOT NULL,
  -- MSH-9 as TYPE^EVENT.
  kind     TEXT NOT NULL,
  -- The message that this one is a corrected copy of.
  corrects INTEGER,
  bytes    INTEGER NOT NULL,
  -- How often it was sent.
  times    INTEGER NOT NULL,
  -- NULL while it is 'received'.
  settled  INTEGER,
  state    TEXT NOT NULL,
  -- HL7 table 0357; 0 = none.
  code     INTEGER NOT NULL,
  patient  TEXT,
  -- Resources written.
  wrote    INTEGER NOT NULL,
  -- Whether its bytes are in message_body.
  kept     INTEGER NOT NULL,
  -- Digest of what it is the same as another by, and of its bytes.
  same     BLOB NOT NULL,
  sum      BLOB NOT NULL,
  -- JSON: sender, control id, time; where the fault is, why, what was not understood, who decided.
  about    TEXT NOT NULL,
  said     TEXT NOT NULL
);
CREATE UNIQUE INDEX message_once ON message (same, sum) WHERE corrects IS NULL;
CREATE INDEX message_same ON message (same, id) WHERE corrects IS NULL;
CREATE INDEX message_at ON message (at);
CREATE INDEX message_patient ON message (patient, id) WHERE patient IS NOT NULL;
CREATE INDEX message_received ON message (id) WHERE state = 'received';
CREATE INDEX message_held ON message (id) WHERE state = 'held';
CREATE INDEX message_dropped ON message (id) WHERE state = 'dropped';
CREATE INDEX message_old ON message (settled, id) WHERE kept = 1 AND state IN ('applied', 'known');

-- Apart from the rows: what lists, counts and settles reads and writes no bytes.
CREATE TABLE message_body (
  -- message.id
  id   INTEGER PRIMARY KEY,
  body BLOB NOT NULL
);
