-- Badges of the staff (vitrine_store::Account): the same logical schema as server/store-postgres/migrations/0013_badges.sql.

-- JSON list of keyed hashes.
ALTER TABLE account ADD COLUMN badges TEXT NOT NULL DEFAULT '[]';
DROP TRIGGER IF EXISTS account_update_elsewhere;
CREATE TRIGGER account_update_elsewhere
AFTER UPDATE OF display, role, wards, password_phc, pin_phc, disabled, badges ON account WHEN NEW.version = OLD.version
BEGIN
  UPDATE account SET version = version + 1 WHERE no = NEW.no;
END;
