"""What a start does before it takes writes, and what ends writing: a record that was changed behind the server's back."""

import re
import sqlite3
import uuid

import pytest

import harness
from harness import Account, Server, problem, until

ONE, OTHER = "acuity-scheduling", "adobe-speech-enhancer"
PUBLIC = ["--public-url", "http://127.0.0.1:65000"]
ANNA = "anna@example.org"
SUM = "UPDATE account SET credits_posted = credits_posted {} 1 WHERE kind = 'platform_grants'"
NEWEST = "UPDATE transfer SET amount = amount {} 1 WHERE seq = (SELECT max(seq) FROM transfer)"


def edit(data, statement):
    """What somebody who can write the file does: takes its triggers away, changes it, puts them back."""
    record = sqlite3.connect(data / "record.db", isolation_level=None, timeout=10)
    try:
        # A running server is the only one that moves the log into the file.
        record.execute("PRAGMA wal_autocheckpoint = 0")
        triggers = record.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'transfer'").fetchall()
        record.execute("BEGIN IMMEDIATE")
        for name, _ in triggers:
            record.execute(f"DROP TRIGGER {name}")
        assert record.execute(statement).rowcount > 0
        for _, sql in triggers:
            record.execute(sql)
        record.execute("COMMIT")
    finally:
        record.close()


def transfers(data):
    record = sqlite3.connect(f"file:{data / 'record.db'}?mode=ro", uri=True)
    try:
        return record.execute("SELECT count(*) FROM transfer").fetchone()[0]
    finally:
        record.close()


def metric(server, name):
    found = re.search(rf"^{name} (\d+)$", server.get("/metrics").text, re.M)
    assert found, name
    return int(found[1])


def writes(server):
    """Whether the server says that it takes writes, and why not; readyz and the metrics say the same."""
    ready = server.get("/readyz").json()
    assert ready["status"] == "ready"
    assert ready["writable"] is ("reason" not in ready)
    assert metric(server, "waypost_record_writable") == int(ready["writable"])
    assert metric(server, "waypost_ledger_open") == int(ready["writable"])
    assert metric(server, "waypost_ledger_sound") == int(ready.get("reason") != "ledger_unsound")
    return ready.get("reason")


def register(server):
    body = {"email": f"{uuid.uuid4().hex}@example.org", "password": harness.PASSWORD}
    return server.post("/v1/auth/register", body, headers=harness.fresh_key())


def refused(answer):
    """The refusal of a write: when to come again, and nothing of what is wrong with the ledger."""
    body = problem(answer, 503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert not re.search(r"I\d|transfer|account \d", body["detail"]), body
    return body


@pytest.fixture
def used(small):
    """A stopped server's folder with an admin, a user and her open trial, whose id it gives."""
    harness.add_user(small, "admin", "admin@example.org")
    with Server(small, *PUBLIC) as server:
        assert writes(server) is None
        anna = Account.register(server, ANNA)
        answer = anna.confirm(anna.propose(ONE)["id"])
        assert answer.status_code == 201, answer.text
        # It writes a checkpoint over all of it.
        report = Account.login(server, "admin@example.org").get("/v1/ledger/verify").json()
        assert report["sound"] is True and report["transfers"] >= 2
        later = anna.confirm(anna.propose(OTHER)["id"])
        assert later.status_code == 201, later.text
    return answer.json()["id"]


def test_a_start_says_when_it_takes_writes(small):
    with Server(small) as server:
        assert writes(server) is None
        assert re.search(r"the ledger is sound: 0 transfers \(all\) verified in \d+ ms; writes are taken", server.log())
        assert register(server).status_code == 201


@pytest.mark.parametrize("forgery", [SUM, NEWEST], ids=["balance", "transfer"])
def test_a_start_over_a_forged_ledger_answers_reads_and_refuses_writes(small, used, forgery):
    edit(small, forgery.format("+"))
    before = transfers(small)
    for _ in range(2):
        with Server(small, *PUBLIC) as server:
            assert writes(server) == "ledger_unsound"
            assert "THE LEDGER IS NOT SOUND: I" in server.log()

            assert server.search(q="appointments")["total"] > 0
            assert server.get("/v1/providers/search?q=appointments").json()["total"] > 0
            for path in ("/healthz", "/v1/services/" + ONE, "/v1/providers", "/v1/meta/schema"):
                assert server.get(path).status_code == 200, path

            refused(register(server))
            refused(server.post("/v1/chat/discovery", {"clientMessageId": uuid.uuid4().hex, "text": "invoices"}))
            anna = Account.login(server, ANNA)
            assert anna.get("/v1/tokens/balance").status_code == 200
            assert anna.get("/v1/tokens/transactions").status_code == 200
            assert used in [row["id"] for row in anna.get("/v1/sessions").json()["sessions"]]
            assert anna.get("/v1/sessions/" + used).json()["id"] == used
            refused(anna.post("/v1/proposals", {"serviceId": ONE}, key=uuid.uuid4().hex))
            refused(anna.delete("/v1/sessions/" + used))
            refused(anna.put("/v1/tokens/limits", {}))
            admin = Account.login(server, "admin@example.org")
            report = admin.get("/v1/ledger/verify").json()
            assert report["sound"] is False and report["faults"]
            answer = admin.post("/v1/admin/backups", {})
            assert answer.status_code == 201, "what is there can be put aside: " + answer.text
            assert admin.get("/v1/admin/audit").json()["entries"][0]["action"] == "backup.made"
    assert transfers(small) == before
    edit(small, forgery.format("-"))
    with Server(small, *PUBLIC) as server:
        assert writes(server) is None
        anna = Account.login(server, ANNA)
        assert anna.delete("/v1/sessions/" + used).status_code in (200, 204)
        assert Account.login(server, "admin@example.org").get("/v1/ledger/verify").json()["sound"] is True


def test_a_fault_before_the_checkpoint_is_found_in_the_background_and_not_forgotten(small, used):
    sound = "the ledger is sound: "
    edit(small, "UPDATE transfer SET reason = reason || '!' WHERE seq = 1")
    with Server(small, *PUBLIC) as server:
        until(lambda: not server.get("/readyz").json()["writable"], 30)
        assert writes(server) == "ledger_unsound"
        refused(register(server))
    opened = server.log().count(sound)
    with Server(small, *PUBLIC) as server:
        assert writes(server) == "ledger_unsound"
        assert server.log().count(sound) == opened, "this start verified the whole before it took a write"
    edit(small, "UPDATE transfer SET reason = rtrim(reason, '!') WHERE seq = 1")
    with Server(small, *PUBLIC) as server:
        assert writes(server) is None
        assert re.search(r"transfers \(all\) verified", server.log()[server.log().rindex(sound):])
        assert register(server).status_code == 201
    with Server(small, *PUBLIC) as server:
        assert writes(server) is None


def test_only_an_admins_order_takes_writes_again_while_the_server_runs(small, used):
    with Server(small, *PUBLIC) as server:
        admin, anna = Account.login(server, "admin@example.org"), Account.login(server, ANNA)
        assert admin.post("/v1/admin/ledger/reopen").json()["open"] is True, "it was open"
        edit(small, SUM.format("+"))
        assert register(server).status_code == 201, "nobody has looked yet"
        report = admin.get("/v1/ledger/verify").json()
        assert report["sound"] is False
        assert writes(server) == "ledger_unsound"
        refused(register(server))

        problem(server.post("/v1/admin/ledger/reopen"), 401, "unauthenticated")
        problem(anna.post("/v1/admin/ledger/reopen"), 403, "forbidden")
        answer = admin.post("/v1/admin/ledger/reopen").json()
        assert (answer["sound"], answer["open"]) == (False, False) and answer["faults"]
        refused(register(server))

        edit(small, SUM.format("-"))
        assert admin.get("/v1/ledger/verify").json()["sound"] is True
        assert writes(server) == "ledger_unsound", "a look alone opens nothing"
        refused(register(server))
        answer = admin.post("/v1/admin/ledger/reopen").json()
        assert (answer["sound"], answer["open"], answer["faults"]) == (True, True, [])
        assert writes(server) is None
        assert register(server).status_code == 201
        assert "ledger.reopened" in [row["action"] for row in admin.get("/v1/admin/audit").json()["entries"]]
    with Server(small, *PUBLIC) as server:
        assert writes(server) is None
