-- What a row may be, without lists: SQLite builds a table of its own for each row that a list of more than two is asked
-- of, which took a sixth of a hold. And a hold's accounts are those of its transfer: to keep them twice is to look both
-- up twice, and to have two that may differ.
CREATE TABLE transfer_next(
  seq INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK(length(id) = 16),
  kind TEXT NOT NULL CHECK(kind = 'hold' OR kind = 'capture' OR kind = 'fee' OR kind = 'post' OR kind = 'void'
    OR kind = 'expire' OR kind = 'refund'),
  debit INTEGER NOT NULL REFERENCES account(id),
  credit INTEGER NOT NULL REFERENCES account(id),
  amount INTEGER NOT NULL CHECK(amount BETWEEN 1 AND 1000000000000000),
  hold_id BLOB REFERENCES hold(id),
  refers_to BLOB REFERENCES transfer(id),
  reason TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  version INTEGER NOT NULL CHECK(version IN (1,2)),
  -- Of a hold: its time-out and what it is for.
  expires_ms INTEGER,
  reference BLOB,
  -- Of a capture that closes its hold: what it releases beside. NULL where the hold stays open.
  released INTEGER CHECK(released >= 0),
  -- The movement before this one of the account that is debited, and of the one that is credited.
  debit_before INTEGER CHECK(debit_before < seq),
  credit_before INTEGER CHECK(credit_before < seq),
  prev_hash BLOB NOT NULL CHECK(length(prev_hash) = 32),
  row_hash BLOB NOT NULL CHECK(length(row_hash) = 32),
  CHECK(debit <> credit)
) STRICT;
INSERT INTO transfer_next
  SELECT seq, id, kind, debit, credit, amount, hold_id, refers_to, reason, at_ms, version, expires_ms, reference,
    released, debit_before, credit_before, prev_hash, row_hash FROM transfer ORDER BY seq;
DROP TABLE transfer;
ALTER TABLE transfer_next RENAME TO transfer;
CREATE INDEX transfer_by_reference ON transfer(refers_to) WHERE refers_to IS NOT NULL;
-- What became of a hold; a hold's own row has its id. Ask with `kind <> 'hold'`, or it is not used.
CREATE INDEX transfer_history ON transfer(hold_id, seq) WHERE hold_id IS NOT NULL AND kind <> 'hold';
-- A hold ends once (L4), whatever a program does.
CREATE UNIQUE INDEX transfer_ending ON transfer(hold_id) WHERE kind IN ('void','expire');
-- Who may be below zero: a provider after a refund.
CREATE INDEX transfer_refund ON transfer(debit) WHERE kind = 'refund';
CREATE TRIGGER transfer_no_update BEFORE UPDATE ON transfer
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER transfer_no_delete BEFORE DELETE ON transfer
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;

-- Holds whose accounts are not their transfer's must not become sound by that: what was found stays on record, and the
-- next start verifies the whole.
INSERT INTO ledger_fault(found_ms, faults)
  SELECT (SELECT coalesce(max(at_ms), 0) FROM transfer), 'I3: ' || count(*) || ' holds differ from their transfers, as ' || min(hex(h.id))
  FROM hold h LEFT JOIN transfer t ON t.id = h.id AND t.kind = 'hold'
  WHERE t.id IS NULL OR t.debit <> h.debit OR t.credit <> h.credit HAVING count(*) > 0;

CREATE TABLE hold_next(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  reference BLOB NOT NULL,
  amount INTEGER NOT NULL CHECK(amount BETWEEN 1 AND 1000000000000000),
  captured INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK(state = 'open' OR state = 'captured' OR state = 'voided' OR state = 'expired'),
  expires_ms INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  CHECK(captured BETWEEN 0 AND amount)
) STRICT, WITHOUT ROWID;
INSERT INTO hold_next
  SELECT id, reference, amount, captured, state, expires_ms, created_ms FROM hold
  ORDER BY id;
DROP TABLE hold;
ALTER TABLE hold_next RENAME TO hold;
CREATE INDEX hold_due ON hold(expires_ms) WHERE state = 'open';
