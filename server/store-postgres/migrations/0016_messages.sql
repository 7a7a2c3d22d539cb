-- Messages of other systems (vitrine_store::messages): the same logical schema as
-- shared/store-sqlcipher/migrations/server/0016_messages.sql.

CREATE TABLE message (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       bigint NOT NULL,
  feed     text COLLATE "C" NOT NULL,
  -- MSH-9 as TYPE^EVENT.
  kind     text COLLATE "C" NOT NULL,
  -- The message that this one is a corrected copy of.
  corrects bigint,
  bytes    bigint NOT NULL,
  -- How often it was sent.
  times    bigint NOT NULL,
  -- NULL while it is 'received'.
  settled  bigint,
  state    text COLLATE "C" NOT NULL,
  -- HL7 table 0357; 0 = none.
  code     bigint NOT NULL,
  patient  text COLLATE "C",
  -- Resources written.
  wrote    bigint NOT NULL,
  -- Whether its bytes are in message_body.
  kept     boolean NOT NULL,
  -- Keyed digests of what it is the same as another by, and of its bytes.
  same     bytea NOT NULL,
  sum      bytea NOT NULL,
  -- Sealed: sender, control id, time; where the fault is, why, what was not understood, who decided.
  about    bytea NOT NULL,
  said     bytea NOT NULL
);
CREATE UNIQUE INDEX message_once ON message (same, sum) WHERE corrects IS NULL;
CREATE INDEX message_same ON message (same, id) WHERE corrects IS NULL;
CREATE INDEX message_at ON message (at);
CREATE INDEX message_patient ON message (patient, id) WHERE patient IS NOT NULL;
CREATE INDEX message_received ON message (id) WHERE state = 'received';
CREATE INDEX message_held ON message (id) WHERE state = 'held';
CREATE INDEX message_dropped ON message (id) WHERE state = 'dropped';
CREATE INDEX message_old ON message (settled, id) WHERE kept AND state IN ('applied', 'known');

-- Apart from the rows: what lists, counts and settles reads and writes no bytes.
CREATE TABLE message_body (
  -- message.id
  id   bigint PRIMARY KEY,
  body bytea NOT NULL
);
