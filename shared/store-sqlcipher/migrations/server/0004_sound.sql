-- How the names of people sound, in a table of its own: the index of name words is contentless and takes no new column.
-- The same logical schema as server/store-postgres/migrations/0004_sound.sql, which keeps keyed tokens instead.

CREATE TABLE sound (
  code TEXT NOT NULL,       -- vitrine_store::search::sounds
  pid  INTEGER NOT NULL,
  PRIMARY KEY (code, pid)
) WITHOUT ROWID;
CREATE INDEX sound_pid ON sound (pid);

-- People whose sounds are not in the table yet. While there is one, no search by sound is answered.
CREATE TABLE sound_due (pid INTEGER PRIMARY KEY);
INSERT INTO sound_due SELECT DISTINCT pid FROM resource WHERE meaning & 8 AND deleted = 0 AND pid IS NOT NULL;
