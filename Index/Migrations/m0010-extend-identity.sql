-- What an account says of itself beside its password, and what the operator has said of it.
ALTER TABLE user ADD COLUMN verified_ms INTEGER;
ALTER TABLE user ADD COLUMN frozen_ms INTEGER;
ALTER TABLE user ADD COLUMN conversation_days INTEGER NOT NULL DEFAULT 30
  CHECK(conversation_days IN (0,30,60,90));

-- API keys of people too, with scopes, an end, limits and what scoped tokens are checked with.
CREATE TABLE api_key_next(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  secret_hash BLOB NOT NULL UNIQUE CHECK(length(secret_hash) = 32),
  provider_id TEXT REFERENCES provider(id),
  user_id BLOB REFERENCES user(id),
  name TEXT NOT NULL,
  -- Words separated by spaces; '*' for keys that were made before there were scopes.
  scopes TEXT NOT NULL,
  filter TEXT,
  per_minute INTEGER CHECK(per_minute BETWEEN 1 AND 1000000),
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  used_ms INTEGER,
  revoked_ms INTEGER,
  CHECK((provider_id IS NULL) <> (user_id IS NULL))
) STRICT;
INSERT INTO api_key_next(id, secret_hash, provider_id, name, scopes, created_ms, revoked_ms)
  SELECT id, secret_hash, provider_id, name, '*', created_ms, revoked_ms FROM api_key;
DROP TABLE api_key;
ALTER TABLE api_key_next RENAME TO api_key;
CREATE INDEX api_key_by_provider ON api_key(provider_id, id) WHERE provider_id IS NOT NULL;
CREATE INDEX api_key_by_user ON api_key(user_id, id) WHERE user_id IS NOT NULL;

-- Logins that ended while an access token of theirs may still live. No foreign key: it outlives the account.
CREATE TABLE revoked_login(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Single-use tokens sent by e-mail, as hashes. A registration waits here and is no account before its address
-- is proved, so that nobody can prepare an account for somebody else's address.
CREATE TABLE mail_token(
  hash BLOB PRIMARY KEY CHECK(length(hash) = 32),
  purpose TEXT NOT NULL CHECK(purpose IN ('register','reset','verify')),
  user_id BLOB REFERENCES user(id) ON DELETE CASCADE,
  email TEXT,
  name TEXT,
  password_hash TEXT,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  CHECK((purpose = 'register') = (user_id IS NULL)),
  CHECK((purpose = 'register') = (email IS NOT NULL AND password_hash IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_token_by_end ON mail_token(expires_ms);
CREATE INDEX mail_token_by_user ON mail_token(user_id) WHERE user_id IS NOT NULL;

-- Every change of a consent; the newest of a purpose is in force.
CREATE TABLE consent(
  seq INTEGER PRIMARY KEY,
  user_id BLOB NOT NULL REFERENCES user(id) ON DELETE CASCADE,
  purpose TEXT NOT NULL CHECK(purpose IN ('analytics','marketing','sharing')),
  granted INTEGER NOT NULL CHECK(granted IN (0,1)),
  at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX consent_by_user ON consent(user_id, purpose, seq);

-- What launch tokens of a provider's services are signed with, where it is not ES256.
CREATE TABLE provider_signing(
  provider_id TEXT PRIMARY KEY REFERENCES provider(id),
  algorithm TEXT NOT NULL CHECK(algorithm IN ('ES256','EdDSA','RS256')),
  updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who did what to what, and when: ids and stable words only, chained by hash (specification core, P3).
CREATE TABLE audit(
  seq INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  request_id TEXT NOT NULL,
  prev_hash BLOB NOT NULL CHECK(length(prev_hash) = 32),
  row_hash BLOB NOT NULL UNIQUE CHECK(length(row_hash) = 32)
) STRICT;
CREATE INDEX audit_by_subject ON audit(subject, seq);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;
