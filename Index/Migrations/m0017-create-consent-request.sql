-- What a provider asks people to let it know, of profile, email, session_access, separated by spaces. Where a provider
-- has no row it asks for all three.
CREATE TABLE provider_consent_request(
  provider_id TEXT PRIMARY KEY REFERENCES provider(id),
  scopes TEXT NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
