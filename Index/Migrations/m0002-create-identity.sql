-- Accounts of people and of providers' programs. Secrets are stored as hashes only.
CREATE TABLE user(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  email TEXT NOT NULL UNIQUE,
  name TEXT,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL CHECK(role IN ('user','provider','admin')),
  provider_id TEXT REFERENCES provider(id),
  created_ms INTEGER NOT NULL,
  CHECK((role = 'provider') = (provider_id IS NOT NULL))
) STRICT;

-- A family is one login on one device; generation counts its rotations.
CREATE TABLE refresh_family(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  user_id BLOB NOT NULL REFERENCES user(id),
  seed BLOB NOT NULL CHECK(length(seed) = 32),
  generation INTEGER NOT NULL,
  rotated_ms INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  revoked_ms INTEGER,
  client TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX refresh_family_by_user ON refresh_family(user_id);

CREATE TABLE api_key(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  secret_hash BLOB NOT NULL UNIQUE CHECK(length(secret_hash) = 32),
  provider_id TEXT NOT NULL REFERENCES provider(id),
  name TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  revoked_ms INTEGER
) STRICT;

-- Idempotency: a key's row commits in the same transaction as its effect (specification core, 8.2).
CREATE TABLE idempotency(
  principal BLOB NOT NULL,
  route TEXT NOT NULL,
  key TEXT NOT NULL CHECK(length(key) BETWEEN 1 AND 255),
  body_hash BLOB NOT NULL,
  status INTEGER NOT NULL,
  response BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  PRIMARY KEY(principal, route, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency(created_ms);
