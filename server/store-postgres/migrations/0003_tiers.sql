-- Where the bodies of records lie (docs/adr/0015-tiers.md): the same logical schema as
-- shared/store-sqlcipher/migrations/server/0003_tiers.sql. A body whose first byte is 2 is a reference into a pack
-- file; everything else of its row stays as it is.

CREATE TABLE pack (
  id        uuid PRIMARY KEY,   -- the name of its file
  pid       bigint NOT NULL,
  tier      bigint NOT NULL,    -- 0 = its bodies are back in the database, 1 = warm, 2 = archive
  bodies    bigint NOT NULL,
  bytes     bigint NOT NULL,
  sha256    bytea NOT NULL,
  newest    bigint NOT NULL,    -- when the newest of its bodies was stored, ms since 1970
  made      bigint NOT NULL,
  moved     bigint NOT NULL,
  requested bigint,             -- asked back from the archive
  recalled  bigint
);
CREATE INDEX pack_pid ON pack (pid);
CREATE INDEX pack_tier ON pack (tier, newest);
CREATE INDEX pack_requested ON pack (requested) WHERE requested IS NOT NULL;

-- Days since 1970: when a record was last used, and when to look at it again. Nobody knows how records were used
-- before, so none counts as unused yet.
CREATE TABLE tier (pid bigint PRIMARY KEY, used bigint NOT NULL, due bigint NOT NULL) WITH (fillfactor = 80);
CREATE INDEX tier_due ON tier (due, used);
INSERT INTO tier SELECT pid, floor(extract(epoch FROM now()) / 86400)::bigint, 0 FROM patient;
