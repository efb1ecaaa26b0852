-- Purchases of tokens, what the payment processor said of them, and refunds asked of it (specification core, 2.1
-- and 9.2). No personal data: the processor's ids, amounts and states only.
CREATE TABLE purchase(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  user_id BLOB NOT NULL CHECK(length(user_id) = 16),
  token_amount INTEGER NOT NULL CHECK(token_amount BETWEEN 100 AND 100000),
  amount_minor INTEGER NOT NULL CHECK(amount_minor BETWEEN 1 AND 99999999),
  currency TEXT NOT NULL CHECK(length(currency) = 3),
  state TEXT NOT NULL CHECK(state IN ('created','open','processing','paid','failed','expired',
    'partially_refunded','refunded','disputed','charged_back')),
  -- The Idempotency-Key in its scope, so that a retry goes on with the same purchase; null when it is forgotten.
  request_key BLOB UNIQUE CHECK(length(request_key) = 32),
  body_hash BLOB NOT NULL CHECK(length(body_hash) = 32),
  -- How often the processor failed for good: each time spends the key that it was sent with.
  attempt INTEGER NOT NULL DEFAULT 0 CHECK(attempt >= 0),
  checkout_session TEXT,
  checkout_url TEXT,
  payment_intent TEXT,
  refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK(refunded_minor >= 0),
  disputed_minor INTEGER NOT NULL DEFAULT 0 CHECK(disputed_minor >= 0),
  -- In microtokens: given to the user; taken back in all; of that, what the platform paid in the user's place and
  -- the user owes; and what the platform bears for good.
  credited INTEGER NOT NULL DEFAULT 0 CHECK(credited >= 0),
  clawed INTEGER NOT NULL DEFAULT 0 CHECK(clawed BETWEEN 0 AND credited),
  owed INTEGER NOT NULL DEFAULT 0 CHECK(owed >= 0),
  forgiven INTEGER NOT NULL DEFAULT 0 CHECK(forgiven >= 0),
  flag TEXT,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  CHECK(owed + forgiven <= clawed)
) STRICT;
CREATE INDEX purchase_by_user ON purchase(user_id, id);
CREATE INDEX purchase_by_state ON purchase(state, id);
CREATE INDEX purchase_by_intent ON purchase(payment_intent) WHERE payment_intent IS NOT NULL;
CREATE INDEX purchase_by_checkout ON purchase(checkout_session) WHERE checkout_session IS NOT NULL;
CREATE INDEX purchase_owing ON purchase(user_id) WHERE owed > 0 OR disputed_minor > 0;
CREATE INDEX purchase_keyed ON purchase(created_ms) WHERE request_key IS NOT NULL;
CREATE INDEX purchase_flagged ON purchase(id) WHERE flag IS NOT NULL;

-- Signed events by their id: the row commits with what the event moves, so that an event counts once.
CREATE TABLE payment_event(
  id TEXT PRIMARY KEY CHECK(length(id) BETWEEN 1 AND 255),
  type TEXT NOT NULL,
  -- The checkout session, charge or dispute that it is about.
  object TEXT NOT NULL,
  purchase_id BLOB REFERENCES purchase(id),
  payment_intent TEXT,
  amount_minor INTEGER,
  refunded_minor INTEGER,
  currency TEXT,
  status TEXT,
  -- waiting: its purchase is not known yet; mismatch: it contradicts its purchase; unknown: it names a purchase
  -- that is not there. Only an applied one is a fact.
  outcome TEXT NOT NULL CHECK(outcome IN ('applied','waiting','mismatch','unknown')),
  note TEXT,
  body_hash BLOB NOT NULL CHECK(length(body_hash) = 32),
  occurred_ms INTEGER NOT NULL,
  received_ms INTEGER NOT NULL,
  CHECK((outcome IN ('applied','mismatch')) = (purchase_id IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX payment_event_by_purchase ON payment_event(purchase_id) WHERE purchase_id IS NOT NULL;
CREATE INDEX payment_event_waiting ON payment_event(payment_intent) WHERE outcome = 'waiting';
CREATE INDEX payment_event_by_outcome ON payment_event(outcome, received_ms);

CREATE TABLE purchase_refund(
  id BLOB PRIMARY KEY CHECK(length(id) = 16),
  purchase_id BLOB NOT NULL REFERENCES purchase(id),
  amount_minor INTEGER NOT NULL CHECK(amount_minor >= 1),
  reason TEXT NOT NULL,
  admin_id BLOB NOT NULL CHECK(length(admin_id) = 16),
  state TEXT NOT NULL CHECK(state IN ('requested','accepted','refused')),
  request_key BLOB UNIQUE CHECK(length(request_key) = 32),
  body_hash BLOB NOT NULL CHECK(length(body_hash) = 32),
  processor_id TEXT,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX purchase_refund_keyed ON purchase_refund(created_ms) WHERE request_key IS NOT NULL;
CREATE INDEX purchase_refund_by_purchase ON purchase_refund(purchase_id);
