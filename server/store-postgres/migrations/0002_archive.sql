-- Legal holds, the requests to destroy a record, and which records were destroyed: the same logical schema as
-- shared/store-sqlcipher/migrations/server/0002_archive.sql. Bodies are sealed: a reason may name a person.

-- The record was destroyed; what is left of its resources is their ids, and nothing is stored under it again.
ALTER TABLE patient ADD COLUMN destroyed boolean NOT NULL DEFAULT false;
-- A destruction finds what was deleted before.
CREATE INDEX resource_gone ON resource (pid) WHERE deleted AND pid IS NOT NULL;

CREATE TABLE legal_hold (patient text COLLATE "C" PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE destruction (
  id      uuid PRIMARY KEY,
  patient text COLLATE "C" NOT NULL,
  body    bytea NOT NULL
);
CREATE INDEX destruction_patient ON destruction (patient);
