-- Whom an event of the outbox concerns, found out once when it is read: the user's stream and the provider's
-- webhooks read by it.
CREATE TABLE outbox_route(
  seq INTEGER PRIMARY KEY REFERENCES outbox(seq) ON DELETE CASCADE,
  user_id BLOB CHECK(length(user_id) = 16),
  provider_id TEXT
) STRICT;
CREATE INDEX outbox_route_by_user ON outbox_route(user_id, seq) WHERE user_id IS NOT NULL;
CREATE INDEX outbox_route_by_provider ON outbox_route(provider_id, seq)
  WHERE provider_id IS NOT NULL;

-- The highest number that was routed, and the highest that was pruned.
CREATE TABLE outbox_mark(
  name TEXT PRIMARY KEY CHECK(name IN ('routed','pruned')),
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO outbox_mark(name, seq) VALUES ('routed', 0), ('pruned', 0);

-- Where a provider wants its events. `types` is a JSON array; an empty one is every type. Secrets are sealed.
CREATE TABLE webhook_endpoint(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  provider_id TEXT NOT NULL REFERENCES provider(id),
  url TEXT NOT NULL CHECK(length(url) BETWEEN 1 AND 2000),
  description TEXT NOT NULL DEFAULT '' CHECK(length(description) <= 200),
  types TEXT NOT NULL,
  algorithm TEXT NOT NULL CHECK(algorithm IN ('hmac-sha256','ed25519')),
  secret BLOB NOT NULL,
  previous_secret BLOB,
  previous_until_ms INTEGER,
  state TEXT NOT NULL CHECK(state IN ('enabled','disabled','deleted')),
  reason TEXT CHECK(reason IN ('owner','gone','dead_letter','overflow')),
  disabled_ms INTEGER,
  -- Failures and requests to slow down, each in a row.
  failures INTEGER NOT NULL DEFAULT 0 CHECK(failures >= 0),
  slowdowns INTEGER NOT NULL DEFAULT 0 CHECK(slowdowns >= 0),
  slow_until_ms INTEGER NOT NULL DEFAULT 0,
  -- Deliveries that are due now or later, and when the first of them is.
  pending INTEGER NOT NULL DEFAULT 0 CHECK(pending >= 0),
  due_ms INTEGER,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  CHECK((previous_secret IS NULL) = (previous_until_ms IS NULL)),
  CHECK((state = 'disabled') = (reason IS NOT NULL)),
  CHECK((state = 'disabled') = (disabled_ms IS NOT NULL))
) STRICT;
CREATE INDEX webhook_endpoint_by_provider ON webhook_endpoint(provider_id, id);
CREATE INDEX webhook_endpoint_due ON webhook_endpoint(due_ms)
  WHERE state = 'enabled' AND due_ms IS NOT NULL;

-- One event on its way to one endpoint. `tries` counts the attempts since it was made or replayed.
CREATE TABLE webhook_delivery(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  endpoint_id BLOB NOT NULL REFERENCES webhook_endpoint(id) ON DELETE CASCADE,
  seq INTEGER NOT NULL REFERENCES outbox(seq) ON DELETE CASCADE,
  state TEXT NOT NULL CHECK(state IN ('due','delivered','dead')),
  tries INTEGER NOT NULL DEFAULT 0 CHECK(tries >= 0),
  next_ms INTEGER,
  created_ms INTEGER NOT NULL,
  finished_ms INTEGER,
  UNIQUE(endpoint_id, seq),
  CHECK((state = 'due') = (next_ms IS NOT NULL)),
  CHECK((state = 'due') = (finished_ms IS NULL))
) STRICT;
CREATE INDEX webhook_delivery_due ON webhook_delivery(endpoint_id, next_ms) WHERE state = 'due';
CREATE INDEX webhook_delivery_by_endpoint ON webhook_delivery(endpoint_id, id);
CREATE INDEX webhook_delivery_by_event ON webhook_delivery(seq);
CREATE INDEX webhook_delivery_by_age ON webhook_delivery(created_ms);

-- What became of each attempt: a status, or a word for why there is none, and how the answer began.
CREATE TABLE webhook_attempt(
  delivery_id BLOB NOT NULL REFERENCES webhook_delivery(id) ON DELETE CASCADE,
  number INTEGER NOT NULL CHECK(number >= 1),
  at_ms INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  status INTEGER,
  error TEXT,
  answer TEXT NOT NULL DEFAULT '',
  PRIMARY KEY(delivery_id, number)
) STRICT, WITHOUT ROWID;

-- A listing that can be used, and one that cannot any more: told in the transaction of the change itself. The
-- text is put together by hand (with an untrusted schema a trigger has no JSON functions): ids are slugs, which
-- hold nothing that JSON would escape.
CREATE TRIGGER service_availability AFTER UPDATE OF status ON service
WHEN (OLD.status IN ('active','deprecated')) <> (NEW.status IN ('active','deprecated'))
BEGIN
  INSERT INTO outbox(event_id, type, occurred_ms, payload)
  SELECT 'evt_' || lower(hex(randomblob(16))), kind, NEW.updated_ms,
    '{"type":"' || kind || '","timestamp":"'
      || strftime('%Y-%m-%dT%H:%M:%SZ', NEW.updated_ms / 1000, 'unixepoch')
      || '","data":{"providerId":"' || NEW.provider_id || '","serviceId":"' || NEW.id
      || '","status":"' || NEW.status || '","revision":' || NEW.revision || '}}'
  FROM (SELECT CASE WHEN NEW.status IN ('active','deprecated') THEN 'provider.available'
    ELSE 'provider.unavailable' END AS kind);
END;
