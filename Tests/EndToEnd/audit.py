"""Looks into a record from outside, as an auditor would: read-only, in short transactions, with Python's own SQLite."""

import contextlib
import pathlib
import shutil
import sqlite3

CHAIN = bytes(32)


@contextlib.contextmanager
def reading(path):
    """A read-only connection in one snapshot; it can neither write nor checkpoint."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=10)
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def one(connection, sql):
    return connection.execute(sql).fetchone()


def snapshot(connection):
    """Checks what must hold in every snapshot, and gives the number of transfers."""
    balance, pending = one(connection, """SELECT sum(credits_posted - debits_posted), sum(debits_pending - credits_pending)
                                          FROM account""")
    assert (balance or 0, pending or 0) == (0, 0), "I1: units are conserved"
    held, = one(connection, "SELECT coalesce(sum(debits_pending), 0) FROM account")
    open_holds, = one(connection, "SELECT coalesce(sum(amount - captured), 0) FROM hold WHERE state = 'open'")
    assert held == open_holds, "I3: what is pending is what open holds have"
    below, = one(connection, """SELECT count(*) FROM account WHERE may_go_negative = 0
                                AND credits_posted - debits_posted - debits_pending < 0""")
    assert below == 0, "I2: nothing below zero"
    over, = one(connection, "SELECT count(*) FROM hold WHERE captured > amount")
    assert over == 0, "I5: nothing captured beyond its hold"
    newest, count = one(connection, "SELECT coalesce(max(seq), 0), count(*) FROM transfer")
    assert newest == count, "I12: no gap in the sequence"
    orphans, = one(connection, """SELECT count(*) FROM session_hold h LEFT JOIN session s ON s.id = h.session_id
                                  WHERE s.id IS NULL""")
    assert orphans == 0, "a hold without its session"
    doubles, = one(connection, """SELECT count(*) FROM (SELECT user_id, service_id FROM session WHERE kind = 'trial'
                                  AND state IN ('pending', 'active', 'paused') GROUP BY 1, 2 HAVING count(*) > 1)""")
    assert doubles == 0, "T2: two open trials of a user and a service"
    return count


def chain(connection):
    """Each row names the hash of the one before."""
    before = CHAIN
    for seq, prev, row in connection.execute("SELECT seq, prev_hash, row_hash FROM transfer ORDER BY seq"):
        assert prev == before, f"I12: the chain breaks at {seq}"
        before = row


def dead(data, room):
    """Checks the record of a server that was killed: on a copy, for opening it recovers it."""
    data, room = pathlib.Path(data), pathlib.Path(room)
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(parents=True)
    for file in data.glob("record.db*"):
        if not file.name.endswith((".lock", "-shm")) and ".before-" not in file.name:
            shutil.copy(file, room / file.name)
    if not (room / "record.db").exists():
        return 0
    connection = sqlite3.connect(room / "record.db", isolation_level=None)
    try:
        assert one(connection, "PRAGMA integrity_check") == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        if not one(connection, "SELECT count(*) FROM sqlite_schema WHERE name = 'session_hold'")[0]:
            return 0
        chain(connection)
        return snapshot(connection)
    finally:
        connection.close()
