-- The ledger: accounts, holds, and the append-only, hash-chained transfers (specification core, 2).
CREATE TABLE account(
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK(kind IN ('user_available','provider_earned','platform_fees',
    'platform_grants','platform_promo_expense','platform_chargebacks','external_payments',
    'external_payouts')),
  owner BLOB NOT NULL DEFAULT x'',
  closed INTEGER NOT NULL DEFAULT 0 CHECK(closed IN (0,1)),
  may_go_negative INTEGER NOT NULL DEFAULT 0 CHECK(may_go_negative IN (0,1)),
  debits_pending INTEGER NOT NULL DEFAULT 0 CHECK(debits_pending >= 0),
  debits_posted INTEGER NOT NULL DEFAULT 0 CHECK(debits_posted >= 0),
  credits_pending INTEGER NOT NULL DEFAULT 0 CHECK(credits_pending >= 0),
  credits_posted INTEGER NOT NULL DEFAULT 0 CHECK(credits_posted >= 0),
  UNIQUE(kind, owner),
  CHECK(may_go_negative = 1 OR credits_posted - debits_posted - debits_pending >= 0)
) STRICT;

CREATE TABLE hold(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  reference BLOB NOT NULL,
  debit INTEGER NOT NULL REFERENCES account(id),
  credit INTEGER NOT NULL REFERENCES account(id),
  amount INTEGER NOT NULL CHECK(amount BETWEEN 1 AND 1000000000000000),
  captured INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK(state IN ('open','captured','voided','expired')),
  expires_ms INTEGER NOT NULL,
  CHECK(captured BETWEEN 0 AND amount),
  CHECK(debit <> credit)
) STRICT;
CREATE INDEX hold_due ON hold(expires_ms) WHERE state = 'open';

CREATE TABLE transfer(
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
  prev_hash BLOB NOT NULL CHECK(length(prev_hash) = 32),
  row_hash BLOB NOT NULL UNIQUE CHECK(length(row_hash) = 32),
  CHECK(debit <> credit)
) STRICT;
CREATE INDEX transfer_by_debit ON transfer(debit, seq);
CREATE INDEX transfer_by_credit ON transfer(credit, seq);
CREATE INDEX transfer_by_reference ON transfer(refers_to) WHERE refers_to IS NOT NULL;
CREATE TRIGGER transfer_no_update BEFORE UPDATE ON transfer
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER transfer_no_delete BEFORE DELETE ON transfer
  BEGIN SELECT RAISE(ABORT, 'append-only'); END;

-- Ids that failed stay failed: a retry can never succeed later by surprise (L7).
CREATE TABLE failed_transfer(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  code TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
