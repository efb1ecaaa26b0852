-- An owner's notice by e-mail, one for an event, until the mail server has it or it is given up. Whom it goes to and
-- what it says are put together for each attempt, from the account and the event as they are.
CREATE TABLE notice_mail(
  seq INTEGER PRIMARY KEY REFERENCES outbox(seq) ON DELETE CASCADE,
  user_id BLOB NOT NULL REFERENCES user(id) ON DELETE CASCADE,
  state TEXT NOT NULL CHECK(state IN ('due','sent','dead')),
  -- Attempts that have begun.
  tries INTEGER NOT NULL DEFAULT 0 CHECK(tries >= 0),
  next_ms INTEGER,
  created_ms INTEGER NOT NULL,
  CHECK((state = 'due') = (next_ms IS NOT NULL))
) STRICT;
CREATE INDEX notice_mail_by_state ON notice_mail(state, next_ms);
CREATE INDEX notice_mail_by_user ON notice_mail(user_id, created_ms);
