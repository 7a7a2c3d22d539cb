-- Copies of the originals of images (vitrine_store::copies): the same logical schema as
-- shared/store-sqlcipher/migrations/server/0008_copies.sql. A move to another store leaves it behind: what lies at the targets is
-- found again there.

CREATE TABLE imaging_target (
  name    text PRIMARY KEY,
  mark    text,                  -- of the object by which the target is known again
  since   bigint NOT NULL,      -- instances listed before this have no row of it yet
  retired boolean NOT NULL DEFAULT false
);

CREATE TABLE imaging_copy (
  no       bigint PRIMARY KEY,
  instance bigint,              -- NULL: its record was destroyed
  target   text NOT NULL,        -- local: the server's own folder
  sha256   bytea NOT NULL,
  mark     bytea NOT NULL,        -- with sha256: the name of the file
  state    bigint NOT NULL,
  at       bigint,
  due      bigint NOT NULL,
  tries    bigint NOT NULL DEFAULT 0,
  bytes    bigint,              -- of the encrypted file
  digest   bytea,                 -- SHA-256 of the encrypted file
  why      text
);
CREATE UNIQUE INDEX imaging_copy_of ON imaging_copy (instance, target) WHERE instance IS NOT NULL;
CREATE INDEX imaging_copy_work ON imaging_copy (target, due) WHERE state <> 1;
CREATE INDEX imaging_copy_scrub ON imaging_copy (target, due) WHERE state = 1;

-- 0: no rows of it yet; otherwise up to which target it was listed (imaging_target.since).
ALTER TABLE imaging_instance ADD COLUMN copies bigint NOT NULL DEFAULT 0;
CREATE INDEX imaging_instance_copies ON imaging_instance (copies, no);
