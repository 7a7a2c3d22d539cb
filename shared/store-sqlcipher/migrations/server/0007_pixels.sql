-- What became of the pixels of images (vitrine_store::pixels): the same logical schema as
-- server/store-postgres/migrations/0007_pixels.sql. Derived: a move to another store leaves it behind.

CREATE TABLE imaging_pack (
  no     INTEGER PRIMARY KEY,
  series INTEGER NOT NULL,
  sha256 BLOB NOT NULL,          -- of the pack: names its file
  bytes  INTEGER NOT NULL,
  frames INTEGER NOT NULL,
  at     INTEGER NOT NULL,
  body   BLOB NOT NULL           -- with the key that opens its file: gone with this row
);
CREATE INDEX imaging_pack_series ON imaging_pack (series, no);

-- NULL: nobody has looked; 0: no pixels, for the reason beside it; otherwise frames.
ALTER TABLE imaging_instance ADD COLUMN frames INTEGER;
ALTER TABLE imaging_instance ADD COLUMN why TEXT;
CREATE INDEX imaging_instance_unpacked ON imaging_instance (no) WHERE frames IS NULL;
