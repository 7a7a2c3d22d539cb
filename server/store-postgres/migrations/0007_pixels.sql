-- What became of the pixels of images (vitrine_store::pixels): the same logical schema as
-- shared/store-sqlcipher/migrations/server/0007_pixels.sql. Derived: a move to another store leaves it behind.

CREATE TABLE imaging_pack (
  no     bigint PRIMARY KEY,
  series bigint NOT NULL,
  sha256 bytea NOT NULL,          -- of the pack: names its file
  bytes  bigint NOT NULL,
  frames bigint NOT NULL,
  at     bigint NOT NULL,
  body   bytea NOT NULL           -- with the key that opens its file: gone with this row
);
CREATE INDEX imaging_pack_series ON imaging_pack (series, no);

-- NULL: nobody has looked; 0: no pixels, for the reason beside it; otherwise frames.
ALTER TABLE imaging_instance ADD COLUMN frames bigint;
ALTER TABLE imaging_instance ADD COLUMN why text;
CREATE INDEX imaging_instance_unpacked ON imaging_instance (no) WHERE frames IS NULL;
