-- Marks in the lists of movements: what an account's movements since its mark before have come to, up to and with the
-- one that the mark names. A reading of the past passes over what it does not need, where it would walk the list from
-- its newest movement down. They follow from the transfers and are written behind them, so that no hold pays for them:
-- whoever deletes all of them gets them again.
CREATE TABLE ledger_mark(
  account INTEGER NOT NULL REFERENCES account(id),
  seq INTEGER NOT NULL,
  balance_change INTEGER NOT NULL,
  held_change INTEGER NOT NULL,
  -- The earliest and the latest moment: the sequence does not quite follow time.
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL CHECK(last_ms >= first_ms),
  -- A bit for each kind that there is: 1 post, 2 hold, 4 capture, 8 void, 16 expire, 32 fee, 64 refund.
  kinds INTEGER NOT NULL CHECK(kinds BETWEEN 1 AND 127),
  PRIMARY KEY(account, seq)
) STRICT, WITHOUT ROWID;
-- Where the marks end, and which stand at some transfers.
CREATE INDEX ledger_mark_by_sequence ON ledger_mark(seq);
