-- What the last heartbeat of a session was answered, sealed: it may hold a session token. Kept until the session ends.
CREATE TABLE heartbeat_reply(session_id BLOB PRIMARY KEY REFERENCES session(id), seq INTEGER NOT NULL CHECK(seq > 0),
  standing TEXT NOT NULL, reply BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER heartbeat_reply_ends AFTER UPDATE OF state ON session
  WHEN NEW.state IN ('completed','failed','expired')
  BEGIN DELETE FROM heartbeat_reply WHERE session_id = NEW.id; END;
