-- Where the bodies of records lie (docs/adr/0015-tiers.md). A body whose first byte is 2 is a reference into a pack
-- file; everything else of its row stays as it is.

CREATE TABLE pack (
  id        BLOB PRIMARY KEY,   -- the name of its file
  pid       INTEGER NOT NULL,
  tier      INTEGER NOT NULL,   -- 0 = its bodies are back in the database, 1 = warm, 2 = archive
  bodies    INTEGER NOT NULL,
  bytes     INTEGER NOT NULL,
  sha256    BLOB NOT NULL,
  newest    INTEGER NOT NULL,   -- when the newest of its bodies was stored, ms since 1970
  made      INTEGER NOT NULL,
  moved     INTEGER NOT NULL,
  requested INTEGER,            -- asked back from the archive
  recalled  INTEGER
) WITHOUT ROWID;
CREATE INDEX pack_pid ON pack (pid);
CREATE INDEX pack_tier ON pack (tier, newest);
CREATE INDEX pack_requested ON pack (requested) WHERE requested IS NOT NULL;

-- Days since 1970: when a record was last used, and when to look at it again. Nobody knows how records were used
-- before, so none counts as unused yet.
CREATE TABLE tier (pid INTEGER PRIMARY KEY, used INTEGER NOT NULL, due INTEGER NOT NULL);
CREATE INDEX tier_due ON tier (due, used);
INSERT INTO tier SELECT pid, CAST(strftime('%s', 'now') AS INTEGER) / 86400, 0 FROM patient;

-- A body that moves between the database and a pack is no change of its resource. `moving` stands in `meta` within
-- the store's own transaction alone.
DROP TRIGGER resource_update_elsewhere;
CREATE TRIGGER resource_update_elsewhere AFTER UPDATE OF body, version, deleted ON resource
WHEN NEW.pid IS NOT NULL AND NEW.rev = OLD.rev AND NEW.pid IS OLD.pid
 AND (NEW.body IS NOT OLD.body OR NEW.version <> OLD.version OR NEW.deleted <> OLD.deleted)
 AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'moving')
BEGIN
  UPDATE patient SET rev = rev + 1, live = live + (NEW.deleted = 0) - (OLD.deleted = 0) WHERE pid = NEW.pid;
  UPDATE resource
     SET rev = (SELECT rev FROM patient WHERE pid = NEW.pid),
         version = version + (NEW.version = OLD.version),
         hash = NULL
   WHERE rid = NEW.rid;
END;
