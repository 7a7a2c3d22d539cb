-- The words of notes, kept off the path of writing (vitrine_store::notes): the same logical schema as
-- server/store-postgres/migrations/0005_notes.sql. What is kept counts for the version it names and no other, so that
-- nothing has to be made for the notes there are: whoever searches them makes it.

CREATE TABLE note (
  rid     INTEGER PRIMARY KEY,
  pid     INTEGER NOT NULL,
  version INTEGER NOT NULL,
  whole   INTEGER NOT NULL   -- all of its content is text
);
CREATE INDEX note_pid ON note (pid);
CREATE TABLE note_word (
  pid  INTEGER NOT NULL,
  word TEXT NOT NULL,
  rid  INTEGER NOT NULL,
  PRIMARY KEY (pid, word, rid)
) WITHOUT ROWID;
CREATE INDEX note_word_rid ON note_word (rid);
