-- What searches led to. A search is written with its first event; its token is all that the server gave away.
CREATE TABLE feedback_search(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  need TEXT NOT NULL CHECK(length(need) BETWEEN 1 AND 1000),
  searched_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX feedback_search_by_age ON feedback_search(searched_ms);

-- One event a search, service and kind: repeating it changes nothing. Who it was is a user's id or the keyed
-- hash of an address and a day, never both and never more.
CREATE TABLE feedback_event(
  seq INTEGER PRIMARY KEY,
  search_id BLOB NOT NULL REFERENCES feedback_search(id) ON DELETE CASCADE,
  service_id TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK(kind IN ('shown','opened','tried','kept')),
  origin TEXT NOT NULL CHECK(origin IN ('client','server')),
  position INTEGER NOT NULL CHECK(position BETWEEN 1 AND 20000),
  user_id BLOB CHECK(length(user_id) = 16),
  visitor BLOB CHECK(length(visitor) = 16),
  session_id BLOB CHECK(length(session_id) = 16),
  at_ms INTEGER NOT NULL,
  CHECK((user_id IS NULL) <> (visitor IS NULL)),
  CHECK(session_id IS NULL OR origin = 'server'),
  UNIQUE(search_id, service_id, kind)
) STRICT;
CREATE INDEX feedback_event_by_user ON feedback_event(user_id, at_ms) WHERE user_id IS NOT NULL;
CREATE INDEX feedback_event_by_visitor ON feedback_event(visitor, at_ms) WHERE visitor IS NOT NULL;
CREATE UNIQUE INDEX feedback_event_by_session ON feedback_event(session_id, kind)
  WHERE session_id IS NOT NULL;
