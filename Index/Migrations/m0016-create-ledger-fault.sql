-- A ledger that was found unsound stays so over a restart: the next start verifies the whole before it takes a write.
CREATE TABLE ledger_fault(
  seq INTEGER PRIMARY KEY,
  found_ms INTEGER NOT NULL,
  -- At most ten lines; ids and numbers of the ledger, nothing of a person.
  faults TEXT NOT NULL,
  -- When a verification of the whole found it sound again; null while it is not.
  cleared_ms INTEGER CHECK(cleared_ms >= found_ms)
) STRICT;
