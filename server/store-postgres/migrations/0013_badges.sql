-- Badges of the staff (vitrine_store::Account): the same logical schema as
-- shared/store-sqlcipher/migrations/server/0013_badges.sql.

-- JSON list of keyed hashes.
ALTER TABLE account ADD COLUMN badges text NOT NULL DEFAULT '[]';
