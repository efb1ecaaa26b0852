-- Clients that prove who they are by tokens that they sign (RFC 7523): a JSON Web Key Set of public keys.
ALTER TABLE oauth_client ADD COLUMN key_set TEXT;

-- Those tokens, until nobody would take them any more: each counts once.
CREATE TABLE oauth_assertion(
  client_id TEXT NOT NULL REFERENCES oauth_client(id) ON DELETE CASCADE,
  jti TEXT NOT NULL,
  expires_ms INTEGER NOT NULL,
  PRIMARY KEY(client_id, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_assertion_by_end ON oauth_assertion(expires_ms);
