-- The ledger's second form (specification core, 2): the chain covers a hold's terms and what a closing capture
-- releases; accounts freeze; signed checkpoints; spending limits; orders of operators.
ALTER TABLE transfer ADD COLUMN version INTEGER NOT NULL DEFAULT 1 CHECK(version IN (1,2));
-- Of a hold: its time-out and what it is for.
ALTER TABLE transfer ADD COLUMN expires_ms INTEGER;
ALTER TABLE transfer ADD COLUMN reference BLOB;
-- Of a capture that closes its hold: what it releases beside. NULL where the hold stays open.
ALTER TABLE transfer ADD COLUMN released INTEGER CHECK(released >= 0);
CREATE INDEX transfer_history ON transfer(hold_id, seq) WHERE hold_id IS NOT NULL;
-- A hold ends once (L4), whatever a program does.
CREATE UNIQUE INDEX transfer_ending ON transfer(hold_id) WHERE kind IN ('void','expire');

ALTER TABLE hold ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0;
UPDATE hold SET created_ms =
  coalesce((SELECT t.at_ms FROM transfer t WHERE t.id = hold.id), 0);
CREATE INDEX hold_by_debit ON hold(debit, created_ms);

-- Since when a user may not spend: after a dispute, until an admin settles it.
ALTER TABLE account ADD COLUMN frozen_ms INTEGER;

-- What a verification found sound, signed by the server's key: the next one starts there (D5).
CREATE TABLE ledger_checkpoint(
  seq INTEGER PRIMARY KEY,
  row_hash BLOB NOT NULL CHECK(length(row_hash) = 32),
  accounts_hash BLOB NOT NULL CHECK(length(accounts_hash) = 32),
  account_max INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  key_id TEXT NOT NULL,
  signature BLOB NOT NULL
) STRICT;

-- The user's own bounds on paid use, and when to be told that little is left.
CREATE TABLE spending_limit(
  account INTEGER PRIMARY KEY REFERENCES account(id),
  day_max INTEGER CHECK(day_max BETWEEN 0 AND 1000000000000000),
  month_max INTEGER CHECK(month_max BETWEEN 0 AND 1000000000000000),
  low_balance INTEGER CHECK(low_balance BETWEEN 1 AND 1000000000000000),
  is_low INTEGER NOT NULL DEFAULT 0 CHECK(is_low IN (0,1)),
  changed_ms INTEGER NOT NULL
) STRICT;

-- Who ordered what, in the same transaction as its transfer.
CREATE TABLE ledger_order(
  seq INTEGER PRIMARY KEY,
  actor BLOB NOT NULL,
  action TEXT NOT NULL
    CHECK(action IN ('grant','payout','refund','chargeback','freeze','unfreeze','close')),
  account INTEGER NOT NULL REFERENCES account(id),
  transfer_id BLOB REFERENCES transfer(id),
  reason TEXT NOT NULL CHECK(length(reason) BETWEEN 1 AND 200),
  at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_order_by_account ON ledger_order(account, seq);
CREATE INDEX ledger_order_by_transfer ON ledger_order(transfer_id) WHERE transfer_id IS NOT NULL;
CREATE TRIGGER ledger_order_no_update BEFORE UPDATE ON ledger_order
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER ledger_order_no_delete BEFORE DELETE ON ledger_order
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER ledger_checkpoint_no_update BEFORE UPDATE ON ledger_checkpoint
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER ledger_checkpoint_no_delete BEFORE DELETE ON ledger_checkpoint
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;
