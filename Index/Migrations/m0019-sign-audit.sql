-- What a verification of the audit log found sound, signed by the server's key. The newest also stands in a file
-- beside the record, so that a tail that was cut off, checkpoints and all, is noticed.
CREATE TABLE audit_checkpoint(
  seq INTEGER PRIMARY KEY,
  row_hash BLOB NOT NULL CHECK(length(row_hash) = 32),
  at_ms INTEGER NOT NULL,
  key_id TEXT NOT NULL,
  signature BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_checkpoint_no_update BEFORE UPDATE ON audit_checkpoint
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER audit_checkpoint_no_delete BEFORE DELETE ON audit_checkpoint
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;

-- A fresh sign-in through another service that stands for the password: for one purpose, of one login, once, for five
-- minutes.
CREATE TABLE fresh_sign_in(
  user_id BLOB NOT NULL REFERENCES user(id) ON DELETE CASCADE,
  purpose TEXT NOT NULL CHECK(purpose IN ('erase','password')),
  login_id BLOB NOT NULL CHECK(length(login_id) = 16),
  at_ms INTEGER NOT NULL,
  PRIMARY KEY(user_id, purpose)
) STRICT, WITHOUT ROWID;
CREATE INDEX fresh_sign_in_by_age ON fresh_sign_in(at_ms);

-- What is swept by its age is found by its age: the sweeps run on the one writing connection.
CREATE INDEX refresh_family_by_use ON refresh_family(rotated_ms);
CREATE INDEX refresh_family_by_start ON refresh_family(created_ms);
CREATE INDEX oauth_grant_by_use ON oauth_grant(rotated_ms);
CREATE INDEX oauth_grant_by_start ON oauth_grant(created_ms);
CREATE INDEX revoked_login_by_end ON revoked_login(until_ms);
CREATE INDEX conversation_by_use ON conversation(updated_ms);
CREATE INDEX launch_by_age ON launch(redeemed_ms);
