-- The catalog: providers, services with their whole document, offers, and the log of changes.
CREATE TABLE provider(
  id TEXT PRIMARY KEY CHECK(length(id) BETWEEN 1 AND 128),
  name TEXT NOT NULL CHECK(length(name) BETWEEN 1 AND 200),
  verified INTEGER NOT NULL DEFAULT 0 CHECK(verified IN (0,1)),
  unclaimed INTEGER NOT NULL DEFAULT 0 CHECK(unclaimed IN (0,1)),
  document TEXT NOT NULL DEFAULT '{}',
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE service(
  id TEXT PRIMARY KEY CHECK(length(id) BETWEEN 1 AND 128),
  provider_id TEXT NOT NULL REFERENCES provider(id),
  status TEXT NOT NULL CHECK(status IN ('draft','active','maintenance','deprecated','removed')),
  revision INTEGER NOT NULL,
  document TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX service_by_provider ON service(provider_id, id);

CREATE TABLE offer(
  service_id TEXT NOT NULL REFERENCES service(id),
  id TEXT NOT NULL CHECK(length(id) BETWEEN 1 AND 128),
  position INTEGER NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY(service_id, id)
) STRICT, WITHOUT ROWID;

-- One row a change; the revision is the catalog's counter, and `document` the service as it was then.
CREATE TABLE change_log(
  revision INTEGER PRIMARY KEY AUTOINCREMENT,
  service_id TEXT NOT NULL REFERENCES service(id),
  kind TEXT NOT NULL CHECK(kind IN ('put','remove')),
  document TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX change_by_service ON change_log(service_id, revision);
