-- Paid sessions, usage reports, and what a repeated redemption answers (specification core, 3 to 5).
ALTER TABLE session ADD COLUMN plan TEXT NOT NULL DEFAULT 'trial'
  CHECK(plan IN ('trial','hourly','usage'));
-- Microtokens a reported unit; 0 where time is paid for.
ALTER TABLE session ADD COLUMN unit_price INTEGER NOT NULL DEFAULT 0 CHECK(unit_price >= 0);
ALTER TABLE session ADD COLUMN units INTEGER NOT NULL DEFAULT 0 CHECK(units >= 0);
-- The platform's share of captures as it was agreed to, and what it has come to.
ALTER TABLE session ADD COLUMN fee_bps INTEGER NOT NULL DEFAULT 0 CHECK(fee_bps BETWEEN 0 AND 10000);
ALTER TABLE session ADD COLUMN fee INTEGER NOT NULL DEFAULT 0 CHECK(fee >= 0);
-- The origin of a browser-only app that may redeem by itself.
ALTER TABLE session ADD COLUMN app_origin TEXT;
-- How many events it has put in the outbox: they are named by it.
ALTER TABLE session ADD COLUMN events INTEGER NOT NULL DEFAULT 0 CHECK(events >= 0);

-- The terms as the user saw them, and where the session goes.
ALTER TABLE proposal ADD COLUMN document TEXT;
ALTER TABLE proposal ADD COLUMN redirect_url TEXT;

-- The sealed answer to a redemption, for the repeat that is allowed.
ALTER TABLE launch ADD COLUMN reply BLOB;
CREATE INDEX launch_replied ON launch(redeemed_ms) WHERE reply IS NOT NULL;

CREATE TABLE usage_report(
  session_id BLOB NOT NULL REFERENCES session(id),
  report_no INTEGER NOT NULL CHECK(report_no >= 1),
  units INTEGER NOT NULL CHECK(units >= 1),
  -- What it was charged with: less than units x price only where the holds were used up.
  amount INTEGER NOT NULL CHECK(amount >= 0),
  reported_ms INTEGER NOT NULL,
  PRIMARY KEY(session_id, report_no)
) STRICT, WITHOUT ROWID;

-- The public keys that a provider's programs sign their assertions with, and the assertions seen (RFC 7523).
CREATE TABLE provider_key_set(
  provider_id TEXT PRIMARY KEY,
  key_set TEXT NOT NULL,
  changed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE provider_assertion(
  provider_id TEXT NOT NULL,
  jti TEXT NOT NULL,
  expires_ms INTEGER NOT NULL,
  PRIMARY KEY(provider_id, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX provider_assertion_due ON provider_assertion(expires_ms);
