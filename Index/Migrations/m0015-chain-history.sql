-- The movements of an account become a list in the transfers themselves, from the newest to the oldest: an account
-- names its newest one, a transfer the one before it on either side. Two indexes by account told the same, and
-- cost every hold two pages anywhere in the file; the index of hashes, which nobody asked, cost a third.
CREATE TABLE transfer_before(
  seq INTEGER NOT NULL,
  account INTEGER NOT NULL,
  before INTEGER,
  PRIMARY KEY(seq, account)
) STRICT, WITHOUT ROWID;
INSERT INTO transfer_before(seq, account, before)
  SELECT seq, account, lag(seq) OVER (PARTITION BY account ORDER BY seq) FROM
    (SELECT seq, debit AS account FROM transfer UNION ALL SELECT seq, credit FROM transfer);

ALTER TABLE account ADD COLUMN last_transfer INTEGER;
UPDATE account SET last_transfer = newest.seq
  FROM (SELECT account, max(seq) AS seq FROM transfer_before GROUP BY account) AS newest
  WHERE newest.account = account.id;

CREATE TABLE transfer_next(
  seq INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE CHECK(length(id) = 16),
  kind TEXT NOT NULL CHECK(kind IN ('post','hold','capture','void','expire','fee','refund')),
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
  SELECT t.seq, t.id, t.kind, t.debit, t.credit, t.amount, t.hold_id, t.refers_to, t.reason, t.at_ms,
    t.version, t.expires_ms, t.reference, t.released, d.before, c.before, t.prev_hash, t.row_hash
  FROM transfer t JOIN transfer_before d ON d.seq = t.seq AND d.account = t.debit
    JOIN transfer_before c ON c.seq = t.seq AND c.account = t.credit ORDER BY t.seq;
DROP TABLE transfer_before;
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

-- A hold is found by its id alone, which grows with time: one tree, written at its end.
CREATE TABLE hold_next(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  reference BLOB NOT NULL,
  debit INTEGER NOT NULL REFERENCES account(id),
  credit INTEGER NOT NULL REFERENCES account(id),
  amount INTEGER NOT NULL CHECK(amount BETWEEN 1 AND 1000000000000000),
  captured INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK(state IN ('open','captured','voided','expired')),
  expires_ms INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  CHECK(captured BETWEEN 0 AND amount),
  CHECK(debit <> credit)
) STRICT, WITHOUT ROWID;
INSERT INTO hold_next
  SELECT id, reference, debit, credit, amount, captured, state, expires_ms, created_ms FROM hold
  ORDER BY id;
DROP TABLE hold;
ALTER TABLE hold_next RENAME TO hold;
CREATE INDEX hold_due ON hold(expires_ms) WHERE state = 'open';
