-- Identities at the provider (vitrine_store::identities): the same logical schema as
-- server/store-postgres/migrations/0011_identities.sql.

-- What a session rests on when the identity provider vouched for its holder; all three are NULL otherwise.
ALTER TABLE session ADD COLUMN issuer TEXT;
ALTER TABLE session ADD COLUMN subject TEXT;
ALTER TABLE session ADD COLUMN sid TEXT;
-- One identity of an issuer for one account, and the other way round. holder: account.user.
CREATE TABLE identity (
  issuer  TEXT NOT NULL,
  subject TEXT NOT NULL,
  holder  TEXT NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (issuer, subject),
  UNIQUE (issuer, holder)
) WITHOUT ROWID;
-- Hashes of what counts once, until it would be refused anyway.
CREATE TABLE used_once (hash BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX used_once_until ON used_once (until);
