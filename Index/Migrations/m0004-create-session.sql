-- Sessions, the proposals they come from, launch tokens and the outbox (specification core, 3 to 5).
CREATE TABLE session(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  user_id BLOB NOT NULL,
  provider_id TEXT NOT NULL,
  service_id TEXT NOT NULL,
  service_revision INTEGER NOT NULL,
  offer_id TEXT NOT NULL,
  app_id TEXT NOT NULL,
  launch_jti BLOB UNIQUE CHECK(length(launch_jti) = 16),
  kind TEXT NOT NULL CHECK(kind IN ('trial','paid')),
  state TEXT NOT NULL
    CHECK(state IN ('pending','active','paused','completed','failed','expired')),
  reason TEXT,
  rate_per_hour INTEGER NOT NULL CHECK(rate_per_hour BETWEEN 0 AND 1000000000000000),
  duration_ms INTEGER NOT NULL CHECK(duration_ms BETWEEN 300000 AND 10800000),
  held INTEGER NOT NULL CHECK(held >= 0),
  charged INTEGER NOT NULL DEFAULT 0 CHECK(charged BETWEEN 0 AND held),
  created_ms INTEGER NOT NULL,
  started_ms INTEGER,
  last_activity_ms INTEGER,
  metered_ms INTEGER,
  paused_at_ms INTEGER,
  paused_ms INTEGER NOT NULL DEFAULT 0 CHECK(paused_ms >= 0),
  active_ms INTEGER NOT NULL DEFAULT 0 CHECK(active_ms BETWEEN 0 AND duration_ms),
  ended_ms INTEGER,
  deadline_ms INTEGER,
  last_seq INTEGER NOT NULL DEFAULT 0,
  warned INTEGER NOT NULL DEFAULT 0,
  flagged INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX one_open_trial ON session(user_id, service_id)
  WHERE kind = 'trial' AND state IN ('pending','active','paused');
CREATE INDEX session_due ON session(deadline_ms) WHERE deadline_ms IS NOT NULL;
CREATE INDEX session_by_user ON session(user_id, created_ms);
CREATE INDEX session_by_provider ON session(provider_id, created_ms);

CREATE TABLE session_hold(
  session_id BLOB NOT NULL REFERENCES session(id),
  hold_id BLOB NOT NULL UNIQUE REFERENCES hold(id),
  PRIMARY KEY(session_id, hold_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE proposal(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  user_id BLOB NOT NULL,
  service_id TEXT NOT NULL,
  service_revision INTEGER NOT NULL,
  offer_id TEXT NOT NULL,
  signature BLOB NOT NULL,
  terms_hash BLOB NOT NULL CHECK(length(terms_hash) = 32),
  kind TEXT NOT NULL CHECK(kind IN ('trial','paid')),
  rate_per_hour INTEGER NOT NULL CHECK(rate_per_hour >= 0),
  max_amount INTEGER NOT NULL CHECK(max_amount >= 0),
  duration_ms INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('proposed','consumed','declined','expired')),
  session_id BLOB UNIQUE REFERENCES session(id),
  CHECK((state = 'consumed') = (session_id IS NOT NULL))
) STRICT;

CREATE TABLE launch(
  jti BLOB PRIMARY KEY CHECK(length(jti) = 16),
  session_id BLOB NOT NULL REFERENCES session(id),
  redeemed_ms INTEGER NOT NULL,
  client BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox(
  seq INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL UNIQUE,
  type TEXT NOT NULL,
  occurred_ms INTEGER NOT NULL,
  payload TEXT NOT NULL
) STRICT;
