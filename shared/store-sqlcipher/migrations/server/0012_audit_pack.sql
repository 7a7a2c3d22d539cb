-- Audit rows in few bytes (vitrine_store::audit_pack). Rows of older programs lie as they lay and read as they did.

-- What occurs in many rows, by number: people, workstations, acts, rules. A word is never changed or removed: rows name
-- it by its number, and their chain's hashes are over the text.
CREATE TABLE audit_word (no INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TRIGGER audit_word_no_update BEFORE UPDATE ON audit_word
BEGIN SELECT raise(ABORT, 'words of audit rows are never changed'); END;
CREATE TRIGGER audit_word_no_delete BEFORE DELETE ON audit_word
BEGIN SELECT raise(ABORT, 'words of audit rows are never deleted'); END;

-- The chains of workstations by the number of the word that names the device. Bodies and hashes are moved as they are.
CREATE TABLE device_row (
  device INTEGER NOT NULL,  -- audit_word.no
  seq    INTEGER NOT NULL,
  hash   BLOB NOT NULL,
  body   BLOB NOT NULL,
  PRIMARY KEY (device, seq)
) WITHOUT ROWID;
INSERT INTO audit_word (text) SELECT DISTINCT device FROM device_audit ORDER BY 1;
INSERT INTO device_row SELECT w.no, d.seq, d.hash, d.body FROM audit_word w JOIN device_audit d ON d.device = w.text ORDER BY 1, 2;
DROP TABLE device_audit;
ALTER TABLE device_row RENAME TO device_audit;
CREATE TRIGGER device_audit_no_update BEFORE UPDATE ON device_audit
BEGIN SELECT raise(ABORT, 'audit rows are never changed'); END;
CREATE TRIGGER device_audit_no_delete BEFORE DELETE ON device_audit
BEGIN SELECT raise(ABORT, 'audit rows are never deleted'); END;

-- Patients and resources are named by their numbers in the record.
CREATE TRIGGER resource_keeps_its_number BEFORE UPDATE OF rid, kind, id ON resource
WHEN NEW.rid <> OLD.rid OR NEW.kind <> OLD.kind OR NEW.id <> OLD.id
BEGIN SELECT raise(ABORT, 'audit rows name a resource by its number'); END;
CREATE TRIGGER patient_keeps_its_number BEFORE UPDATE OF pid, id ON patient
WHEN NEW.pid <> OLD.pid OR NEW.id <> OLD.id
BEGIN SELECT raise(ABORT, 'audit rows name a patient by a number'); END;
CREATE TRIGGER patient_no_delete BEFORE DELETE ON patient
BEGIN SELECT raise(ABORT, 'audit rows name a patient by a number'); END;

-- An entry of the index and those that follow it in the list of its term, by what each differs from the one before
-- (src/server/audit_find.rs); NULL: it stands alone, as an older program wrote it.
ALTER TABLE audit_find ADD COLUMN more BLOB;
