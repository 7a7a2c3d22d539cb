-- Audit rows in few bytes (vitrine_store::audit_pack). Nothing of the tables changes here: rows are sealed, so that what
-- they name lies in them, and neither words nor the index can be shared between rows as in
-- shared/store-sqlcipher/migrations/server/0012_audit_pack.sql. The number keeps programs away that cannot read such rows.
SELECT 1;
