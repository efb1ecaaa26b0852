-- What a provider asks people to let it know, of profile, email, session_access, separated by spaces. Where a provider
-- has no row it asks for all three.
CREATE TABLE provider_consent_request(
  provider_id TEXT PRIMARY KEY REFERENCES provider(id),
  scopes TEXT NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who is told what concerns a provider.
CREATE INDEX user_by_provider ON user(provider_id) WHERE provider_id IS NOT NULL;
