-- Copies of the originals of images (vitrine_store::copies): the same logical schema as
-- server/store-postgres/migrations/0008_copies.sql. A move to another store leaves it behind: what lies at the targets is
-- found again there.

CREATE TABLE imaging_target (
  name    TEXT PRIMARY KEY,
  mark    TEXT,                  -- of the object by which the target is known again
  since   INTEGER NOT NULL,      -- instances listed before this have no row of it yet
  retired INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE imaging_copy (
  no       INTEGER PRIMARY KEY,
  instance INTEGER,              -- NULL: its record was destroyed
  target   TEXT NOT NULL,        -- local: the server's own folder
  sha256   BLOB NOT NULL,
  mark     BLOB NOT NULL,        -- with sha256: the name of the file
  state    INTEGER NOT NULL,
  at       INTEGER,
  due      INTEGER NOT NULL,
  tries    INTEGER NOT NULL DEFAULT 0,
  bytes    INTEGER,              -- of the encrypted file
  digest   BLOB,                 -- SHA-256 of the encrypted file
  why      TEXT
);
CREATE UNIQUE INDEX imaging_copy_of ON imaging_copy (instance, target) WHERE instance IS NOT NULL;
CREATE INDEX imaging_copy_work ON imaging_copy (target, due) WHERE state <> 1;
CREATE INDEX imaging_copy_scrub ON imaging_copy (target, due) WHERE state = 1;

-- 0: no rows of it yet; otherwise up to which target it was listed (imaging_target.since).
ALTER TABLE imaging_instance ADD COLUMN copies INTEGER NOT NULL DEFAULT 0;
CREATE INDEX imaging_instance_copies ON imaging_instance (copies, no);
