-- The words of notes, kept off the path of writing (vitrine_store::notes): the same logical schema as
-- shared/store-sqlcipher/migrations/server/0005_notes.sql. What is kept counts for the version it names and no other,
-- so that nothing has to be made for the notes there are: whoever searches them makes it. A word is a keyed token of
-- the patient and the word: who reads the database cannot see that two patients' notes share one.

CREATE TABLE note (
  rid     bigint PRIMARY KEY,
  pid     bigint NOT NULL,
  version bigint NOT NULL,
  whole   boolean NOT NULL   -- all of its content is text
);
CREATE INDEX note_pid ON note (pid);
CREATE TABLE note_word (
  pid  bigint NOT NULL,
  word bigint NOT NULL,
  rid  bigint NOT NULL,
  PRIMARY KEY (pid, word, rid)
);
CREATE INDEX note_word_rid ON note_word (rid);
