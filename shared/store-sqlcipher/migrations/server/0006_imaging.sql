-- The index of images (vitrine_store::imaging): the same logical schema as
-- server/store-postgres/migrations/0006_imaging.sql, which keeps keyed tokens of UIDs and accession numbers instead.

CREATE TABLE imaging_study (
  no        INTEGER PRIMARY KEY,
  uid       TEXT NOT NULL UNIQUE,
  pid       INTEGER NOT NULL,
  day       INTEGER,             -- Study Date, yyyymmdd
  accession TEXT,
  body      BLOB NOT NULL
);
CREATE INDEX imaging_study_pid ON imaging_study (pid);
CREATE INDEX imaging_study_day ON imaging_study (day);
CREATE INDEX imaging_study_accession ON imaging_study (accession) WHERE accession IS NOT NULL;

CREATE TABLE imaging_series (
  no    INTEGER PRIMARY KEY,
  uid   TEXT NOT NULL UNIQUE,
  study INTEGER NOT NULL,
  body  BLOB NOT NULL
);
CREATE INDEX imaging_series_study ON imaging_series (study);

CREATE TABLE imaging_instance (
  no       INTEGER PRIMARY KEY,
  uid      TEXT NOT NULL UNIQUE,
  series   INTEGER NOT NULL,
  position INTEGER NOT NULL,     -- Instance Number
  at       INTEGER NOT NULL,
  sha256   BLOB NOT NULL,        -- of the object as it came: names its file
  bytes    INTEGER NOT NULL,
  body     BLOB NOT NULL         -- with the key that opens its file: gone with this row
);
CREATE INDEX imaging_instance_series ON imaging_instance (series, position, no);
