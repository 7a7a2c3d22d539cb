-- Second factors of local accounts (vitrine_store::totp): the same logical schema as
-- shared/store-sqlcipher/migrations/server/0015_totp.sql.

CREATE TABLE totp (
  -- account.name
  holder    text COLLATE "C" PRIMARY KEY,
  -- The secret, sealed by the server.
  sealed    bytea NOT NULL,
  made      bigint NOT NULL,
  -- NULL until its owner gave a code of it.
  confirmed bigint,
  -- The last time step of which a code was used.
  step      bigint NOT NULL DEFAULT 0
);
-- Recovery codes that are left.
CREATE TABLE totp_code (
  holder text COLLATE "C" NOT NULL,
  hash   bytea NOT NULL,
  PRIMARY KEY (holder, hash)
);
