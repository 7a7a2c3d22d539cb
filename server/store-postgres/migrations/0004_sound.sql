-- How the names of people sound: more keyed tokens in the column that is searched already. The same logical schema as
-- shared/store-sqlcipher/migrations/server/0004_sound.sql, whose tables `sound` and `sound_due` are this column.

-- 0: without the tokens of sounds. A server of an older version that still writes beside this one does not name the
-- column, so that what it writes is found to be without them. While there is one, no search by sound is answered.
ALTER TABLE person ADD COLUMN form smallint NOT NULL DEFAULT 0;
CREATE INDEX person_due ON person (pid) WHERE form = 0;
