-- Identities at the provider (vitrine_store::identities): the same logical schema as
-- shared/store-sqlcipher/migrations/server/0011_identities.sql.

-- What a session rests on when the identity provider vouched for its holder; all three are NULL otherwise.
ALTER TABLE session ADD COLUMN issuer text;
ALTER TABLE session ADD COLUMN subject text;
ALTER TABLE session ADD COLUMN sid text;
-- One identity of an issuer for one account, and the other way round. holder: account.name.
CREATE TABLE identity (
  issuer  text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  holder  text COLLATE "C" NOT NULL,
  at      bigint NOT NULL,
  PRIMARY KEY (issuer, subject),
  UNIQUE (issuer, holder)
);
-- Hashes of what counts once, until it would be refused anyway.
CREATE TABLE used_once (hash bytea PRIMARY KEY, until bigint NOT NULL);
CREATE INDEX used_once_until ON used_once (until);
