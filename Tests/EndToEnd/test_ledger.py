"""The ledger from outside: statements, the past, orders of admins, limits, the command, and a file that was changed."""

import csv
import io
import json
import shutil
import sqlite3
import time
import types
import uuid

import pytest

import harness
from harness import SANDBOX, Account, Server, cli, problem

TOKEN = 1_000_000


def add_user(data, role, email):
    """Makes an account before the server runs, and gives its id."""
    done = cli("user", "add", "--role", role, "--email", email, "--json", "--data", data,
               stdin=harness.PASSWORD + "\n")
    return json.loads(done.stdout.strip().splitlines()[-1])["id"]


def trial(server, account, provider, service):
    """A trial from the proposal to its end, with a moment of use."""
    session = account.confirm(account.propose(service)["id"]).json()
    launch = session["redirectUrl"].split("marketplace_session=")[1].split("&")[0]
    token = provider.post("/v1/sessions/validate", {"token": launch}).json()["token"]
    live = Account(server, token)
    time.sleep(0.05)
    beat = live.post(f"/v1/sessions/{session['id']}/heartbeat", {"seq": 1, "active": True})
    assert beat.status_code == 200, beat.text
    end = live.post(f"/v1/sessions/{session['id']}/complete", {"outcome": "completed"}, key=uuid.uuid4().hex)
    assert end.status_code == 200 and end.json()["chargedMicrotokens"] > 0, end.text
    return end.json()


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """A server of its own: an admin, a user with 100 tokens from the command line, one finished trial."""
    folder = tmp_path_factory.mktemp("ledger")
    data = folder / "data"
    few = [row for row in harness.read_rows(harness.SERVICES) if row["id"] == "sellerpic"]
    rows = harness.write_rows(folder / "few.jsonl", few)
    cli("import", rows, "--data", data, "--no-embed")
    add_user(data, "admin", "admin@example.org")
    user = add_user(data, "user", "anna@example.org")
    key = harness.add_key(data)
    granted = cli("ledger", "grant", "--account", "user:" + user, "--tokens", "100", "--reason", "a welcome",
                  "--data", data)
    assert "granted 100 tokens" in granted.stdout
    with Server(data) as server:
        books = types.SimpleNamespace(
            server=server, data=data, user=user, admin=Account.login(server, "admin@example.org"),
            anna=Account.login(server, "anna@example.org"), provider=Account(server, key))
        books.session = trial(server, books.anna, books.provider, "sellerpic")
        yield books


def order(books, path, key=None, **body):
    return books.admin.post(path, {"reason": "a test", **body}, key=key or uuid.uuid4().hex)


def balance(account, query=""):
    answer = account.get("/v1/tokens/balance" + query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def sound(books):
    assert books.admin.get("/v1/ledger/verify").json()["faults"] == []


def test_what_the_command_granted_is_there(books):
    assert balance(books.anna)["balanceMicrotokens"] >= 100 * TOKEN
    first = books.anna.get("/v1/tokens/transactions").json()["transactions"][-1]
    assert (first["kind"], first["amountMicrotokens"], first["reason"]) == ("post", 100 * TOKEN, "grant")
    assert first["counterparty"] == "platform_promo_expense"


def test_a_grant_has_one_effect_for_its_key(books):
    before = balance(books.anna)["balanceMicrotokens"]
    key = uuid.uuid4().hex
    one = order(books, "/v1/admin/grants", key, userId=books.user, amountMicrotokens=5)
    two = order(books, "/v1/admin/grants", key, userId=books.user, amountMicrotokens=5)
    assert one.status_code == two.status_code == 201 and one.content == two.content
    assert two.headers["Idempotent-Replayed"] == "true"
    problem(order(books, "/v1/admin/grants", key, userId=books.user, amountMicrotokens=6), 422, "idempotency_conflict")
    assert balance(books.anna)["balanceMicrotokens"] == before + 5 == one.json()["balance"]["balanceMicrotokens"]
    grants = books.admin.get("/v1/admin/ledger/balance?account=platform_grants").json()
    through = order(books, "/v1/admin/grants", userId=books.user, amountMicrotokens=7, via="grants")
    assert through.status_code == 201
    assert books.admin.get("/v1/admin/ledger/balance?account=platform_grants").json() == grants
    sound(books)


def test_orders_are_checked(books):
    known = {"userId": books.user, "amountMicrotokens": 5}
    problem(books.admin.post("/v1/admin/grants", {**known, "reason": "x"}), 400, "idempotency_key_required")
    problem(order(books, "/v1/admin/grants", **{**known, "userId": "0" * 26}), 404, "not_found")
    problem(order(books, "/v1/admin/grants", **{**known, "amountMicrotokens": 0}), 422, "amount_out_of_range")
    problem(order(books, "/v1/admin/grants", **{**known, "amountMicrotokens": "5"}), 422, "validation_failed")
    problem(order(books, "/v1/admin/grants", **{**known, "reason": ""}), 422, "validation_failed")
    problem(order(books, "/v1/admin/grants", **known, extra=1), 422, "validation_failed")
    problem(order(books, "/v1/admin/payouts", providerId="nobody", amountMicrotokens=5, reference="a"), 404, "not_found")
    for path in ("/v1/admin/grants", "/v1/admin/payouts", "/v1/admin/refunds"):
        problem(books.anna.post(path, {}, key="k"), 403, "forbidden")
        problem(books.server.post(path, {}), 401, "unauthenticated")


def test_the_provider_is_paid_out_at_most_what_it_earned_and_refunded_by_its_capture(books):
    earned = balance(books.provider)["availableMicrotokens"]
    assert earned == books.session["chargedMicrotokens"]
    capture = books.provider.get("/v1/tokens/transactions?kind=capture").json()["transactions"][0]
    assert capture["amountMicrotokens"] == earned
    body = {"providerId": SANDBOX, "amountMicrotokens": earned - 10, "reference": "bank-1"}
    problem(order(books, "/v1/admin/payouts", **{**body, "amountMicrotokens": earned + 1, "reference": "b-0"}),
            402, "insufficient_funds")
    assert order(books, "/v1/admin/payouts", **body).status_code == 201
    assert order(books, "/v1/admin/payouts", **body).status_code == 200, "another key, the same payment"
    problem(order(books, "/v1/admin/payouts", **{**body, "amountMicrotokens": 1}), 422, "id_exists_different")
    assert balance(books.provider)["balanceMicrotokens"] == 10
    refund = {"captureId": capture["id"], "amountMicrotokens": earned - 5}
    assert order(books, "/v1/admin/refunds", **refund).status_code == 201
    problem(order(books, "/v1/admin/refunds", **{**refund, "amountMicrotokens": 6}), 422, "exceeds_capture")
    assert balance(books.provider)["balanceMicrotokens"] == 15 - earned, "below zero: it was paid out before"
    lines = books.provider.get("/v1/tokens/statement").json()
    kinds = [(row["kind"], row["counterparty"]) for row in lines["movements"] if row["balanceChangeMicrotokens"]]
    assert kinds == [("capture", "platform_grants"), ("post", "external_payouts"), ("refund", "platform_grants")]
    total = sum(row["balanceChangeMicrotokens"] for row in lines["movements"])
    assert lines["closing"]["balanceMicrotokens"] == lines["opening"]["balanceMicrotokens"] + total
    sound(books)


def test_the_past_is_told_by_time_and_by_sequence(books):
    now = balance(books.anna)
    rows = books.anna.get("/v1/tokens/transactions?limit=100").json()["transactions"]
    assert balance(books.anna, f"?at={rows[0]['sequence']}") == now
    assert balance(books.anna, "?at=0")["balanceMicrotokens"] == 0
    assert balance(books.anna, "?at=2001-01-01T00:00:00Z")["balanceMicrotokens"] == 0
    assert balance(books.anna, "?at=2101-01-01")["balanceMicrotokens"] == now["balanceMicrotokens"]
    total = 0
    for row in reversed(rows):
        total += row["balanceChangeMicrotokens"]
        assert balance(books.anna, f"?at={row['sequence']}")["balanceMicrotokens"] == total
    problem(books.anna.get("/v1/tokens/balance?at=yesterday"), 422, "validation_failed")


def test_movements_are_paged_picked_and_written_as_csv(books):
    seen, cursor = [], ""
    while True:
        page = books.anna.get(f"/v1/tokens/transactions?limit=1{cursor}").json()
        seen += page["transactions"]
        if page["nextCursor"] is None:
            break
        cursor = "&cursor=" + page["nextCursor"]
    assert seen == books.anna.get("/v1/tokens/transactions?limit=100").json()["transactions"]
    assert books.anna.get("/v1/tokens/transactions?from=2101-01-01").json()["transactions"] == []
    assert books.anna.get("/v1/tokens/transactions?to=2001-01-01").json()["transactions"] == []
    assert books.anna.get("/v1/tokens/transactions?kind=post").json()["transactions"] == seen
    for bad in ("kind=gift", "from=soon", "limit=101", "format=xml"):
        problem(books.anna.get("/v1/tokens/transactions?" + bad), 422, "validation_failed")
    problem(books.anna.get("/v1/tokens/transactions?cursor=x"), 400, "cursor_invalid")
    for answer in (books.anna.get("/v1/tokens/transactions?limit=1&format=csv"),
                   books.anna.get("/v1/tokens/transactions?limit=1", Accept="text/csv")):
        assert answer.headers["Content-Type"].startswith("text/csv")
        assert "attachment" in answer.headers["Content-Disposition"]
        rows = list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
        assert [row["id"] for row in rows] == [seen[0]["id"]]
        assert int(rows[0]["amountMicrotokens"]) == seen[0]["amountMicrotokens"]
        assert answer.headers["Waypost-Next-Cursor"] == str(seen[0]["sequence"])
        assert answer.content.endswith(b"\r\n")
    table = books.anna.get("/v1/tokens/statement?format=csv").content.decode()
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert rows[0]["kind"] == "opening" and rows[-1]["kind"] == "closing"
    assert int(rows[-1]["balanceMicrotokens"]) == balance(books.anna)["balanceMicrotokens"]
    problem(books.anna.get("/v1/tokens/statement?from=2026-01-02&to=2026-01-02"), 422, "validation_failed")


def test_limits_are_set_and_shown(books):
    empty = books.anna.get("/v1/tokens/limits").json()
    assert empty["dayMicrotokens"] is None and empty["day"]["usedMicrotokens"] == 0
    body = {"dayMicrotokens": 5 * TOKEN, "monthMicrotokens": 50 * TOKEN, "lowBalanceMicrotokens": TOKEN}
    answer = books.anna.put("/v1/tokens/limits", body)
    assert answer.status_code == 200 and {key: answer.json()[key] for key in body} == body
    assert books.anna.get("/v1/tokens/limits").json() == answer.json()
    assert answer.json()["day"]["resetsAt"].endswith("T00:00:00Z")
    problem(books.anna.put("/v1/tokens/limits", {"dayMicrotokens": -1}), 422, "amount_out_of_range")
    problem(books.anna.put("/v1/tokens/limits", {"dayMicrotokens": "1"}), 422, "validation_failed")
    problem(books.anna.put("/v1/tokens/limits", {"weekMicrotokens": 1}), 422, "validation_failed")
    problem(books.provider.get("/v1/tokens/limits"), 403, "forbidden")
    assert books.anna.put("/v1/tokens/limits", {}).json()["dayMicrotokens"] is None


def test_an_admin_freezes_and_unfreezes(books):
    path = f"/v1/admin/accounts/{books.user}/"
    frozen = books.admin.post(path + "freeze", {"reason": "a dispute"})
    assert frozen.status_code == 200 and frozen.json()["frozenAt"]
    again = books.admin.post(path + "freeze", {"reason": "a dispute"})
    assert again.json() == frozen.json()
    assert books.admin.post(path + "unfreeze", {"reason": "settled"}).json()["frozenAt"] is None
    problem(books.admin.post(path + "unfreeze", {}), 422, "validation_failed")
    problem(books.admin.post(f"/v1/admin/accounts/{'0' * 26}/freeze", {"reason": "x"}), 404, "not_found")
    problem(books.anna.post(path + "unfreeze", {"reason": "please"}), 403, "forbidden")


def test_the_command_goes_through_the_server(books):
    env = {"WAYPOST_TOKEN": books.admin.token}
    verify = cli("ledger", "verify", "--data", books.data, env=env)
    assert verify.stdout.startswith("sound: ")
    name = "user:" + books.user
    shown = cli("ledger", "balance", "--account", name, "--json", "--data", books.data, env=env)
    assert json.loads(shown.stdout) == balance(books.anna)
    table = cli("ledger", "statement", "--account", name, "--csv", "--data", books.data, env=env)
    assert table.stdout.splitlines()[0].startswith("sequence,id,at,kind")
    granted = cli("ledger", "grant", "--account", name, "--tokens", "0.5", "--reason", "more", "--data", books.data,
                  env=env)
    assert json.loads(granted.stdout)["amountMicrotokens"] == TOKEN // 2
    refused = cli("ledger", "payout", "--account", "provider:" + SANDBOX, "--tokens", "1000", "--reference", "c-1",
                  "--reason", "x", "--data", books.data, env=env, check=False)
    assert refused.returncode == 1 and "insufficient_funds" in refused.stderr
    alone = cli("ledger", "verify", "--data", books.data, check=False)
    assert alone.returncode == 1 and "unauthenticated" in alone.stderr
    assert cli("ledger", "dance", "--data", books.data, check=False).returncode == 2
    bad = cli("ledger", "balance", "--account", "nobody", "--data", books.data, env=env, check=False)
    assert bad.returncode == 1 and "--account" in bad.stderr


def test_the_past_is_read_by_marks_as_it_was_without(books):
    """Both accounts of the 1,009th transfer get a mark, some seconds behind it."""
    def newest():
        return books.anna.get("/v1/tokens/transactions?limit=1").json()["transactions"][0]["sequence"]

    def past():
        account = "?account=user:" + books.user
        moments = [balance(books.anna, f"?at={number}") for number in range(0, 1_000, 50)]
        pages = [books.anna.get(f"/v1/tokens/transactions?limit=100&kind={kind}").json() for kind in ("post", "hold")]
        period = books.admin.get(f"/v1/admin/ledger/statement{account}&to={instant}")
        assert period.status_code == 200, period.text
        return moments, pages, period.json()

    while newest() < 1_009:
        for _ in range(50):
            assert order(books, "/v1/admin/grants", userId=books.user, amountMicrotokens=1,
                         via="grants").status_code == 201
    instant = books.anna.get("/v1/tokens/transactions?limit=1").json()["transactions"][0]["at"]
    before = past()
    record = sqlite3.connect(f"file:{books.data}/record.db?mode=ro", uri=True)
    end = time.monotonic() + 30
    while record.execute("SELECT count(*) FROM ledger_mark").fetchone()[0] < 2:
        assert time.monotonic() < end, "no marks were written"
        time.sleep(0.2)
    record.close()
    assert past() == before
    sound(books)


def test_the_metric_says_that_the_ledger_is_sound(books):
    assert "\nwaypost_ledger_sound 1\n" in books.server.get("/metrics").text


def test_a_file_that_was_changed_takes_no_writes(books, tmp_path):
    """Last: it ends the server, copies its folder, and goes on with the copy."""
    assert books.server.stop() == 0
    copy = tmp_path / "copy"
    shutil.copytree(books.data, copy)
    verify = cli("ledger", "verify", "--data", copy, "--json")
    assert json.loads(verify.stdout)["sound"] is True
    record = sqlite3.connect(copy / "record.db")
    marks = record.execute("SELECT count(*) FROM ledger_checkpoint").fetchone()[0]
    assert marks > 0, "signed at the start and by the verification"
    record.execute("INSERT INTO ledger_mark SELECT debit, seq, amount + 5, 0, at_ms, at_ms, 1 FROM transfer WHERE seq = 1")
    record.commit()
    verify = cli("ledger", "verify", "--data", copy, check=False)
    assert verify.returncode == 1 and verify.stdout.startswith("sound:") and "WRONG MARKS" in verify.stdout
    assert record.execute("SELECT count(*) FROM ledger_mark WHERE seq = 1").fetchone()[0] == 0, "written again"
    verify = cli("ledger", "verify", "--data", copy, "--json")
    assert json.loads(verify.stdout)["wrongMarks"] == []
    record.execute("UPDATE account SET credits_posted = credits_posted + 1 WHERE kind = 'user_available'")
    record.commit()
    record.close()
    verify = cli("ledger", "verify", "--data", copy, check=False)
    assert verify.returncode == 1 and "NOT SOUND" in verify.stdout and "I7" in verify.stdout
    name = "user:" + books.user
    granted = cli("ledger", "grant", "--account", name, "--tokens", "1", "--reason", "x", "--data", copy, check=False)
    assert granted.returncode == 1 and "the ledger is not sound: I7" in granted.stderr
    with Server(copy) as changed:
        assert changed.get("/readyz").json()["reason"] == "ledger_unsound"
        body = {"email": "late@example.org", "password": harness.PASSWORD}
        problem(changed.post("/v1/auth/register", body, headers=harness.fresh_key()), 503, "storage_unavailable")
        assert "THE LEDGER IS NOT SOUND: I7" in changed.log()
    books.server.start()
