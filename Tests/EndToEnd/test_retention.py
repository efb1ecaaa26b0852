"""What has had its time is gone an hour later at the latest; what is kept for years stays (specification core, P4)."""

import contextlib
import sqlite3
import time
import uuid

import pytest

from harness import Account, Chat, Server, until
from people import catalog

DAY = 86_400_000
SERVICE = "acuity-scheduling"


@contextlib.contextmanager
def record(data):
    connection = sqlite3.connect(data / "record.db")
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def rows(data, sql):
    with record(data) as connection:
        return connection.execute(sql).fetchall()


def is_marked(data):
    with contextlib.closing(sqlite3.connect(f"file:{data / 'record.db'}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT 1 FROM idempotency WHERE key = 'the mark'").fetchone()


def swept(data):
    """Starts the server, whose first sweep runs at once, and waits for its end."""
    with Server(data) as server:
        until(lambda: not is_marked(data))  # the sweep ends by cutting the log: till then the row is seen
        operator = Account.login(server, "admin@example.org")
        assert operator.get("/v1/ledger/verify").json()["sound"] is True


@pytest.fixture(scope="module")
def aged(tmp_path_factory):
    """A record whose rows are made old by hand, some just within their time and some just past it."""
    data = catalog(tmp_path_factory.mktemp("retention"))
    with Server(data) as server:
        for days in (0, 30, 60, 90):
            account = Account.register(server)
            assert account.put("/v1/me/retention", {"conversationDays": days}).status_code == 200
            for _ in range(2):
                Chat(server, account).say("a calendar")
        for _ in range(2):
            Chat(server).say("a calendar")
        person = Account.register(server)
        person.confirm(person.propose(SERVICE)["id"])
        for _ in range(2):
            person.post("/v1/proposals", {"serviceId": "calendly"}, key=uuid.uuid4().hex)
    return data


def test_conversations_live_as_long_as_their_person_says(aged):
    with record(aged) as connection:
        found = connection.execute(
            "SELECT c.id, coalesce(u.conversation_days, 1) FROM conversation c LEFT JOIN user u ON u.id = c.user_id "
            "ORDER BY 2, 1").fetchall()
        now = int(time.time() * 1_000)
        assert len(found) == 10
        kept = []
        for number, (identity, days) in enumerate(found):
            life = days * DAY if days else 3_600_000
            isOver = number % 2 == 0
            age = life + 60_000 if isOver else life - 600_000
            connection.execute("UPDATE conversation SET updated_ms = ? WHERE id = ?", (now - age, identity))
            kept += [] if isOver else [identity]
        mark(connection)
    swept(aged)
    assert {row[0] for row in rows(aged, "SELECT id FROM conversation")} == set(kept)
    assert rows(aged, "SELECT count(*) FROM turn WHERE conversation_id NOT IN (SELECT id FROM conversation)") == [(0,)]


def mark(connection):
    """A stored answer past its time: the sweep is over when it is gone."""
    connection.execute(
        "INSERT INTO idempotency VALUES (x'01', 'r', 'the mark', x'02', 200, x'', ?)",
        (int(time.time() * 1_000) - 3 * DAY,))


def test_what_nobody_used_goes_and_what_moved_units_stays(aged):
    before = rows(aged, "SELECT seq, row_hash FROM transfer ORDER BY seq")
    assert before
    with record(aged) as connection:
        now = int(time.time() * 1_000)
        open_ones = connection.execute("SELECT id FROM proposal WHERE state <> 'consumed'").fetchall()
        assert len(open_ones) == 2
        for (identity,), age in zip(open_ones, (DAY + 60_000, DAY - 600_000)):
            connection.execute("UPDATE proposal SET expires_ms = ? WHERE id = ?", (now - age, identity))
        connection.execute("UPDATE proposal SET expires_ms = 1 WHERE state = 'consumed'")
        connection.execute("DELETE FROM refresh_family WHERE client = ''")
        families = connection.execute("SELECT id FROM refresh_family ORDER BY id").fetchall()
        assert len(families) > 3
        connection.execute("UPDATE refresh_family SET rotated_ms = ?, created_ms = ?", (now, now))
        connection.execute("UPDATE refresh_family SET created_ms = ? WHERE id = ?", (now - 91 * DAY, *families[0]))
        connection.execute("UPDATE refresh_family SET rotated_ms = ? WHERE id = ?", (now - 8 * DAY, *families[1]))
        mark(connection)
    swept(aged)
    left = {row[0] for row in rows(aged, "SELECT id FROM proposal WHERE state <> 'consumed'")}
    assert left == {open_ones[1][0]}
    assert rows(aged, "SELECT count(*) FROM proposal WHERE state = 'consumed'") == [(1,)]
    alive = {row[0] for row in rows(aged, "SELECT id FROM refresh_family")}
    assert {row[0] for row in families[2:]} <= alive and not {row[0] for row in families[:2]} & alive
    after = rows(aged, "SELECT seq, row_hash FROM transfer ORDER BY seq")
    assert after[:len(before)] == before, "movements stay for seven years: nothing deletes them"
    with record(aged) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("DELETE FROM transfer")
