-- Programs that prove themselves by a key, or that people sign in through (vitrine_store::ClientRow): the same logical schema
-- as shared/store-sqlcipher/migrations/server/0014_clients.sql.

-- SHA-256; NULL for who has none.
ALTER TABLE client ALTER COLUMN secret DROP NOT NULL;
-- A JWK Set as JSON; NULL for who has none.
ALTER TABLE client ADD COLUMN keys text;
-- JSON list of addresses.
ALTER TABLE client ADD COLUMN redirects text NOT NULL DEFAULT '[]';
