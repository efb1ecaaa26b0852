-- Programs of third parties that people let act for them. Secrets are made from the id, and are not stored.
CREATE TABLE oauth_client(
  id TEXT PRIMARY KEY CHECK(length(id) BETWEEN 1 AND 64),
  name TEXT NOT NULL,
  -- A JSON list of texts.
  redirect_uris TEXT NOT NULL,
  -- Words separated by spaces: the most that it may ask for.
  scopes TEXT NOT NULL,
  confidential INTEGER NOT NULL CHECK(confidential IN (0,1)),
  created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a person has let a client do. Its refresh tokens rotate like those of a login: generation counts them.
CREATE TABLE oauth_grant(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  user_id BLOB NOT NULL REFERENCES user(id) ON DELETE CASCADE,
  client_id TEXT NOT NULL,
  client_name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  resource TEXT NOT NULL,
  seed BLOB NOT NULL CHECK(length(seed) = 32),
  generation INTEGER NOT NULL,
  rotated_ms INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  revoked_ms INTEGER
) STRICT;
CREATE INDEX oauth_grant_by_user ON oauth_grant(user_id, created_ms);
CREATE INDEX oauth_grant_by_client ON oauth_grant(client_id);

-- Authorization codes, as hashes. A used one is kept as long as its grant: used again, it ends the grant.
CREATE TABLE oauth_code(
  hash BLOB PRIMARY KEY CHECK(length(hash) = 32),
  user_id BLOB NOT NULL REFERENCES user(id) ON DELETE CASCADE,
  client_id TEXT NOT NULL,
  client_name TEXT NOT NULL,
  redirect_uri TEXT NOT NULL,
  challenge TEXT NOT NULL CHECK(length(challenge) = 43),
  scopes TEXT NOT NULL,
  resource TEXT NOT NULL,
  expires_ms INTEGER NOT NULL,
  grant_id BLOB REFERENCES oauth_grant(id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_code_unused ON oauth_code(expires_ms) WHERE grant_id IS NULL;
CREATE INDEX oauth_code_by_grant ON oauth_code(grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX oauth_code_by_user ON oauth_code(user_id);

-- Who a person is elsewhere: tenant (empty for the platform itself), source (such as an OpenID issuer) and the id
-- there. An enterprise's directory will write here too.
CREATE TABLE external_identity(
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  external_id TEXT NOT NULL,
  user_id BLOB NOT NULL REFERENCES user(id) ON DELETE CASCADE,
  linked_ms INTEGER NOT NULL,
  used_ms INTEGER NOT NULL,
  PRIMARY KEY(tenant, source, external_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX external_identity_by_user ON external_identity(user_id);

-- Who a person is at a provider, made when the provider first asks; no provider sees another's ids.
CREATE TABLE provider_identity(
  provider_id TEXT NOT NULL REFERENCES provider(id),
  user_id BLOB NOT NULL REFERENCES user(id) ON DELETE CASCADE,
  pairwise_id TEXT NOT NULL,
  first_seen_ms INTEGER NOT NULL,
  last_seen_ms INTEGER NOT NULL,
  PRIMARY KEY(provider_id, user_id),
  UNIQUE(provider_id, pairwise_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX provider_identity_by_user ON provider_identity(user_id);

-- What a person lets a provider know; one row for each, the newest word of the person.
CREATE TABLE provider_consent(
  user_id BLOB NOT NULL REFERENCES user(id) ON DELETE CASCADE,
  provider_id TEXT NOT NULL REFERENCES provider(id),
  -- Of profile, email, session_access, separated by spaces.
  scopes TEXT NOT NULL,
  given_ms INTEGER NOT NULL,
  withdrawn_ms INTEGER,
  PRIMARY KEY(user_id, provider_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX provider_consent_by_provider ON provider_consent(provider_id);
