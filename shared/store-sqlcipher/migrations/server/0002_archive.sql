-- Legal holds, the requests to destroy a record, and which records were destroyed.

-- 1: the record was destroyed; what is left of its resources is their ids, and nothing is stored under it again.
ALTER TABLE patient ADD COLUMN destroyed INTEGER NOT NULL DEFAULT 0;
-- A destruction finds what was deleted before.
CREATE INDEX resource_gone ON resource (pid) WHERE deleted = 1 AND pid IS NOT NULL;

CREATE TABLE legal_hold (patient TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE destruction (
  id      BLOB PRIMARY KEY,
  patient TEXT NOT NULL,
  body    TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX destruction_patient ON destruction (patient);
