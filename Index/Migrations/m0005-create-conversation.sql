-- Conversations: who owns one, its turns, and each event as it was sent.
CREATE TABLE conversation(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  user_id BLOB,
  secret_hash BLOB,
  title TEXT NOT NULL,
  seq INTEGER NOT NULL DEFAULT 0,
  seed INTEGER NOT NULL,
  state TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  CHECK((user_id IS NULL) <> (secret_hash IS NULL))
) STRICT;
CREATE INDEX conversation_by_user ON conversation(user_id, updated_ms);

CREATE TABLE turn(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  conversation_id BLOB NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,
  client_message_id TEXT NOT NULL,
  input TEXT NOT NULL,
  mode TEXT NOT NULL CHECK(mode IN ('guide','agent')),
  state TEXT NOT NULL CHECK(state IN ('running','done','error','aborted')),
  created_ms INTEGER NOT NULL,
  UNIQUE(conversation_id, client_message_id)
) STRICT;

CREATE TABLE turn_event(
  conversation_id BLOB NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  turn_id BLOB NOT NULL REFERENCES turn(id) ON DELETE CASCADE,
  type TEXT NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY(conversation_id, seq)
) STRICT, WITHOUT ROWID;
