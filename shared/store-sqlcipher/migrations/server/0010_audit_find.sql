-- Finding rows of the audit log (vitrine_store::audit_find): the same logical schema as
-- server/store-postgres/migrations/0010_audit_find.sql.

-- Chains by number, so that an entry of the index is short. upto: every row of the chain up to here is in the index; what
-- an older program wrote is taken in by catch_up.
CREATE TABLE audit_chain (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, upto INTEGER NOT NULL);
INSERT INTO audit_chain VALUES (0, 'server', 0);
-- The acts that occur: every row has exactly one, so that the lists of all of them are all rows.
CREATE TABLE audit_action (term INTEGER PRIMARY KEY);
-- For each row one entry for each thing it is found by. term: 32 bits of a hash of patient, actor, workstation or act;
-- place: chain * 2^40 + seq. It leads to rows; what they say is read in the row itself.
CREATE TABLE audit_find (
  term  INTEGER NOT NULL,
  at    INTEGER NOT NULL,
  place INTEGER NOT NULL,
  PRIMARY KEY (term, at, place)
) WITHOUT ROWID;
