-- Second factors of local accounts (vitrine_store::totp): the same logical schema as
-- server/store-postgres/migrations/0015_totp.sql.

CREATE TABLE totp (
  -- account.user
  holder    TEXT PRIMARY KEY,
  -- The secret, sealed by the server.
  sealed    BLOB NOT NULL,
  made      INTEGER NOT NULL,
  -- NULL until its owner gave a code of it.
  confirmed INTEGER,
  -- The last time step of which a code was used.
  step      INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
-- Recovery codes that are left.
CREATE TABLE totp_code (
  holder TEXT NOT NULL,
  hash   BLOB NOT NULL,
  PRIMARY KEY (holder, hash)
) WITHOUT ROWID;
