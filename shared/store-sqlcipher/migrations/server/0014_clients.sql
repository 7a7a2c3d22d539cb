-- Programs that prove themselves by a key, or that people sign in through (vitrine_store::ClientRow): the same logical schema
-- as server/store-postgres/migrations/0014_clients.sql.

CREATE TABLE client_of_14 (
  id TEXT PRIMARY KEY,
  -- SHA-256; NULL for who has none.
  secret BLOB,
  scopes TEXT NOT NULL,
  -- A JWK Set as JSON; NULL for who has none.
  keys TEXT,
  -- JSON list of addresses.
  redirects TEXT NOT NULL DEFAULT '[]'
) WITHOUT ROWID;
INSERT INTO client_of_14 (id, secret, scopes) SELECT id, secret, scopes FROM client;
DROP TABLE client;
ALTER TABLE client_of_14 RENAME TO client;
