-- Placements: services that an operator puts at a place of the results, always labelled.
CREATE TABLE placement(
  id TEXT PRIMARY KEY CHECK(length(id) BETWEEN 1 AND 128),
  kind TEXT NOT NULL CHECK(kind IN ('pin','sponsored')),
  service_id TEXT NOT NULL REFERENCES service(id),
  -- What it belongs to: words as a JSON array, or a filter, or neither for every search.
  terms TEXT,
  filter TEXT,
  position INTEGER NOT NULL CHECK(position BETWEEN 1 AND 10),
  starts_ms INTEGER NOT NULL,
  ends_ms INTEGER CHECK(ends_ms > starts_ms),
  -- Paid by the provider: then it can only be called sponsored.
  paid INTEGER NOT NULL CHECK(paid IN (0, 1)),
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  CHECK(terms IS NULL OR filter IS NULL),
  CHECK(paid = 0 OR kind = 'sponsored')
) STRICT;
