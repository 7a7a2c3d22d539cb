-- The index of images (vitrine_store::imaging): the same logical schema as
-- shared/store-sqlcipher/migrations/server/0006_imaging.sql. UIDs and accession numbers are keyed tokens here; what
-- they are lies in the sealed bodies, and so do the keys of the files.

CREATE SEQUENCE imaging_no;

CREATE TABLE imaging_study (
  no        bigint PRIMARY KEY,
  uid       bytea NOT NULL UNIQUE,
  pid       bigint NOT NULL,
  day       bigint,              -- Study Date, yyyymmdd
  accession bigint,
  body      bytea NOT NULL
);
CREATE INDEX imaging_study_pid ON imaging_study (pid);
CREATE INDEX imaging_study_day ON imaging_study (day);
CREATE INDEX imaging_study_accession ON imaging_study (accession) WHERE accession IS NOT NULL;

CREATE TABLE imaging_series (
  no    bigint PRIMARY KEY,
  uid   bytea NOT NULL UNIQUE,
  study bigint NOT NULL,
  body  bytea NOT NULL
);
CREATE INDEX imaging_series_study ON imaging_series (study);

CREATE TABLE imaging_instance (
  no       bigint PRIMARY KEY,
  uid      bytea NOT NULL UNIQUE,
  series   bigint NOT NULL,
  position bigint NOT NULL,      -- Instance Number
  at       bigint NOT NULL,
  sha256   bytea NOT NULL,       -- of the object as it came: names its file
  bytes    bigint NOT NULL,
  body     bytea NOT NULL        -- with the key that opens its file: gone with this row
);
CREATE INDEX imaging_instance_series ON imaging_instance (series, position, no);
