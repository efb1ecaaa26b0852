"""Own data and its end, and what the operator does to accounts; the audit log."""

import json
import sqlite3
import uuid

import pytest
import requests

import harness
from harness import PASSWORD, SANDBOX, Account, Chat, Server, fresh_key, problem
from people import address, catalog, form, house, make_key, operator, person, sign_in  # noqa: F401


def test_consents_and_retention_are_kept(person):
    assert [row["granted"] for row in person.account.get("/v1/me/consents").json()["consents"]] == [False] * 3
    for granted in (True, True, False):
        answer = person.account.put("/v1/me/consents/marketing", {"granted": granted})
        assert answer.status_code == 200 and answer.json()["granted"] is granted and answer.json()["at"]
    assert [row["granted"] for row in person.account.get("/v1/me/consents").json()["history"]] == [True, False]
    problem(person.account.put("/v1/me/consents/everything", {"granted": True}), 404, "not_found")
    problem(person.account.put("/v1/me/consents/marketing", {"granted": "yes"}), 422, "validation_failed")
    problem(person.account.put("/v1/me/retention", {"conversationDays": 31}), 422, "validation_failed")
    assert person.account.put("/v1/me/retention", {"conversationDays": 90}).status_code == 200
    assert person.account.get("/v1/me").json()["conversationDays"] == 90


WORDS = ["Zanzibarvogel", "Quittenbrotmann", "verschwindibus"]


def lived(server, mail):
    """Somebody who has left traces wherever the server keeps any."""
    made = server.post("/v1/auth/register", form(mail, name=WORDS[1]), headers={**fresh_key(), "User-Agent": "Zanzibarvogel/1"})
    account = Account(server, made.json()["accessToken"])
    chat = Chat(server, account)
    chat.say(f"I need {WORDS[2]} for calendars")
    session = account.confirm(account.propose("acuity-scheduling")["id"]).json()
    need = f"calendar {WORDS[2]} booking"
    found = account.post("/v1/providers/search", {"q": need}).json()
    if found["hits"] and found["searchId"]:
        events = [{"kind": "opened", "serviceId": found["hits"][0]["id"], "position": 1}]
        account.post("/v1/events", {"searchId": found["searchId"], "events": events})
    account.put("/v1/me/consents/analytics", {"granted": True})
    make_key(account, name=f"{WORDS[1]}'s key")
    return account, session, chat


def test_an_export_is_one_document_with_everything(house):
    mail = address()
    account, session, chat = lived(house, mail)
    answer = account.get("/v1/me/export")
    assert answer.status_code == 200 and "attachment" in answer.headers["Content-Disposition"]
    document = answer.json()
    assert document["profile"]["email"] == mail and document["profile"]["name"] == WORDS[1]
    assert [row["id"] for row in document["sessions"]] == [session["id"]]
    assert [row["state"] for row in document["proposals"]] == ["consumed"]
    assert document["purchases"] == []
    assert [row["scopes"] for row in document["consentsToProviders"]] == [["session_access"]]
    assert WORDS[2] in json.dumps(document["conversations"]) and document["conversations"][0]["id"] == chat.id
    assert document["consents"][0]["purpose"] == "analytics" and len(document["devices"]) == 1
    assert document["apiKeys"][0]["name"].startswith(WORDS[1]) and "transfers" in document
    assert isinstance(document["webhookDeliveries"], list)
    assert isinstance(document["webhookEvents"], list) and isinstance(document["searches"], list)
    stranger = Account.register(house)
    assert session["id"] not in stranger.get("/v1/me/export").text


def test_after_an_erasure_no_file_has_a_trace(tmp_path):
    data, mail = catalog(tmp_path), f"zanzibarvogel-{uuid.uuid4().hex[:6]}@example.org"
    with Server(data) as server:
        others = [lived(server, address())[0] for _ in range(3)]
        for other in others:
            assert other.call("DELETE", "/v1/me", {"password": PASSWORD}).status_code == 204
        account, session, chat = lived(server, mail)
        problem(account.call("DELETE", "/v1/me", {}), 403, "reauth_required")
        problem(account.call("DELETE", "/v1/me", {"password": "not the password"}), 403, "reauth_required")
        assert account.get("/v1/me").status_code == 200
        answer = account.call("DELETE", "/v1/me", {"password": PASSWORD})
        assert answer.status_code == 204, answer.text
        problem(account.get("/v1/me"), 401, "token_expired")
        problem(account.post("/v1/proposals", {"serviceId": "acuity-scheduling"}), 401, "token_expired")
        assert sign_in(server, mail).status_code == 401
        operator = Account.login(server, "admin@example.org")
        assert operator.get("/v1/admin/users?email=" + mail).json()["users"] == []
        assert operator.get("/v1/sessions/" + session["id"]).json()["state"] == "expired", "revoked and settled"
        assert operator.get("/v1/ledger/verify").json()["sound"] is True
        assert operator.get("/v1/admin/audit/verify").json()["sound"] is True
        assert "user.erased" in [row["action"] for row in operator.get("/v1/admin/audit").json()["entries"]]
        assert server.post("/v1/auth/register", form(mail), headers=fresh_key()).status_code == 201, "the address is free"
        fresh = Account.login(server, mail)
        assert fresh.get("/v1/sessions").json()["sessions"] == []
        assert fresh.call("DELETE", "/v1/me", {"password": PASSWORD}).status_code == 204
        assert traces(data, server, mail) == [], "while the server runs"
    assert traces(data, server, mail) == []


def traces(data, server, mail):
    """Where one of the words stands, in any file and in the log, in any case."""
    found = []
    for path in [*data.rglob("*"), server.log_path]:
        if path.is_file():
            content = path.read_bytes().lower()
            found += [(path.name, word) for word in [*WORDS, mail] if word.lower().encode() in content]
    return found


def test_a_balance_is_not_lost_unsaid(house, operator, person):
    body = {"userId": person.id, "amountMicrotokens": 5_000_000, "reason": "test"}
    answer = operator.post("/v1/admin/grants", body, key=uuid.uuid4().hex)
    assert answer.status_code == 201, answer.text
    problem(person.account.call("DELETE", "/v1/me", {"password": PASSWORD}), 409, "balance_not_empty")
    assert person.account.get("/v1/me").status_code == 200
    answer = person.account.call("DELETE", "/v1/me", {"password": PASSWORD, "forfeitBalance": True})
    assert answer.status_code == 204 and operator.get("/v1/ledger/verify").json()["sound"] is True


# The operator

def test_an_admin_finds_and_freezes_an_account(house, operator, person):
    found = operator.get("/v1/admin/users?email=" + person.mail.upper()).json()["users"]
    assert [row["id"] for row in found] == [person.id] and found[0]["frozenAt"] is None
    assert operator.get("/v1/admin/users?email=" + person.mail[:-1]).json()["users"] == []
    key = make_key(person.account)
    frozen = operator.post(f"/v1/admin/users/{person.id}/freeze", {})
    assert frozen.status_code == 200 and frozen.json()["frozenAt"]
    problem(person.account.get("/v1/me"), 401, "token_expired")
    problem(Account(house, key["secret"]).get("/v1/providers/search"), 401, "token_invalid")
    problem(sign_in(house, person.mail), 403, "forbidden")
    assert operator.post(f"/v1/admin/users/{person.id}/unfreeze", {}).json()["frozenAt"] is None
    assert sign_in(house, person.mail).status_code == 200
    assert operator.get("/v1/admin/users/" + person.id).json()["devices"] == 1
    rows = operator.get("/v1/admin/audit?subject=user:" + person.id).json()["entries"]
    assert [row["action"] for row in rows] == ["user.unfrozen", "user.frozen", "user.made"]
    assert person.mail not in json.dumps(rows) and all(row["requestId"] for row in rows)


def test_an_admin_changes_roles_and_ends_keys(house, operator, person):
    key = make_key(person.account)
    assert key["id"] in {row["id"] for row in operator.get("/v1/admin/keys?user=" + person.id).json()["keys"]}
    assert operator.delete("/v1/admin/keys/" + key["id"]).status_code == 204
    problem(Account(house, key["secret"]).get("/v1/providers/search"), 401, "token_invalid")
    problem(operator.put(f"/v1/admin/users/{person.id}/role", {"role": "provider"}), 422, "validation_failed")
    changed = operator.put(f"/v1/admin/users/{person.id}/role", {"role": "provider", "providerId": SANDBOX})
    assert changed.status_code == 200 and changed.json()["providerId"] == SANDBOX
    problem(person.account.get("/v1/me"), 401, "token_expired")
    again = Account.login(house, person.mail)
    assert again.get("/v1/provider/services").status_code == 200
    own = operator.get("/v1/me").json()["id"]
    problem(operator.put(f"/v1/admin/users/{own}/role", {"role": "user"}), 403, "forbidden")
    problem(operator.post(f"/v1/admin/users/{own}/freeze", {}), 403, "forbidden")


def test_users_and_the_audit_log_are_walked_page_by_page(house, operator):
    for path, name, cursor, field in [("/v1/admin/users", "users", "before", "next"),
                                      ("/v1/admin/audit", "entries", "cursor", "nextCursor")]:
        ids, mark = [], None
        while True:
            page = operator.get(f"{path}?limit=3" + (f"&{cursor}={mark}" if mark else "")).json()
            ids += [row.get("id") or row["sequence"] for row in page[name]]
            mark = page[field]
            if mark is None:
                break
        assert len(ids) == len(set(ids)) > 3 and ids == sorted(ids, reverse=True)
    problem(operator.get("/v1/admin/audit?cursor=x"), 400, "cursor_invalid")


ADMIN = [("GET", "/v1/admin/users"), ("GET", "/v1/admin/users/x"), ("POST", "/v1/admin/users/x/freeze"),
         ("POST", "/v1/admin/users/x/unfreeze"), ("PUT", "/v1/admin/users/x/role"), ("GET", "/v1/admin/keys"),
         ("DELETE", "/v1/admin/keys/x"), ("GET", "/v1/admin/signing-keys"), ("POST", "/v1/admin/signing-keys/rotate"),
         ("POST", "/v1/admin/signing-keys/x/remove"), ("GET", "/v1/admin/audit"), ("GET", "/v1/admin/audit/verify")]


@pytest.mark.parametrize("method, path", ADMIN)
def test_only_admins_do_what_admins_do(house, person, method, path):
    body = None if method == "GET" else {}
    problem(person.account.call(method, path, body), 403, "forbidden")
    problem(requests.request(method, house.url + path, json=body, timeout=10), 401, "unauthenticated")


def test_failed_sign_ins_are_counted_in_the_log(tmp_path):
    data = tmp_path / "data"
    harness.add_user(data, "admin", "admin@example.org")
    with Server(data) as server:
        for _ in range(3):
            assert sign_in(server, "admin@example.org", "not the password").status_code == 401
        assert sign_in(server, "nobody@example.org").status_code == 401
    with Server(data) as server:
        operator = Account.login(server, "admin@example.org")
        rows = [row for row in operator.get("/v1/admin/audit").json()["entries"] if row["action"] == "sign_in.failed"]
        assert {row["detail"] for row in rows} == {"count=3", "count=1"}
        assert operator.get("/v1/admin/audit/verify").json()["sound"] is True


def test_a_log_that_was_changed_is_found_by_the_ledgers_verification(tmp_path):
    data = tmp_path / "data"
    harness.add_user(data, "admin", "admin@example.org")
    assert harness.cli("ledger", "verify", "--data", data).returncode == 0
    with sqlite3.connect(data / "record.db") as record:
        record.execute("DROP TRIGGER audit_no_update")
        assert record.execute("UPDATE audit SET actor = 'system'").rowcount >= 1
    record.close()
    done = harness.cli("ledger", "verify", "--data", data, check=False)
    assert done.returncode == 1 and "audit row 1 was changed" in done.stdout


def rows_of_audit(data, sql):
    """Does to the record what the triggers forbid."""
    with sqlite3.connect(data / "record.db") as record:
        for name in ("audit", "audit_checkpoint"):
            for kind in ("update", "delete"):
                record.execute(f"DROP TRIGGER {name}_no_{kind}")
        record.executescript(sql)
    record.close()


def test_a_tail_that_was_cut_off_with_its_checkpoints_is_found_everywhere(tmp_path):
    data = tmp_path / "data"
    harness.add_user(data, "admin", "admin@example.org")
    with Server(data) as server:
        operator = Account.login(server, "admin@example.org")
        Account.register(server)
        Account.register(server)
        sound = operator.get("/v1/admin/audit/verify").json()
        last = sound["rows"]
        assert sound["sound"] and sound["head"]["sequence"] == last >= 3
    head = data / "audit-head.json"
    assert head.stat().st_mode & 0o777 == 0o600
    assert json.loads(head.read_text())["seq"] == last, "brought up to date by the end"
    assert f"sound up to row {last}, {sound['head']['rowHash']}" in server.log()
    harness.cli("backup", tmp_path / "good.db", "--data", data)
    rows_of_audit(data, "DELETE FROM audit WHERE seq > 1; DELETE FROM audit_checkpoint;")
    done = harness.cli("ledger", "verify", "--data", data, check=False)
    assert done.returncode == 1 and "is gone: audit-head.json names it" in done.stdout
    with Server(data) as server:
        operator = Account.login(server, "admin@example.org")
        for _ in range(last):
            Account.register(server)
        cut = operator.get("/v1/admin/audit/verify").json()
        assert cut["sound"] is False and "is not the one that audit-head.json names" in cut["faults"][0]
        assert operator.get("/v1/ledger/verify").json()["sound"] is False
        assert "waypost_audit_sound 0" in server.get("/metrics").text
    assert "THE AUDIT LOG IS NOT SOUND: audit row " in server.log()
    harness.cli("restore", tmp_path / "good.db", "--data", data)
    with Server(data) as server:
        operator = Account.login(server, "admin@example.org")
        assert operator.get("/v1/admin/audit/verify").json()["sound"] is True
        assert operator.get("/v1/admin/audit").json()["entries"][0]["action"] == "record.restored"
        assert "waypost_audit_sound 1" in server.get("/metrics").text


def test_work_on_files_is_noted_before_and_after(tmp_path):
    data = catalog(tmp_path)
    with Server(data) as server:
        operator = Account.login(server, "admin@example.org")
        assert operator.post("/v1/admin/signing-keys/rotate", {}).status_code == 200
        assert operator.post("/v1/admin/backups", {}).status_code == 201
        assert operator.post("/v1/admin/index/rebuild", {}).status_code == 200
        problem(operator.post("/v1/admin/signing-keys/none/remove", {}), 404, "not_found")
        lines = "".join(json.dumps({"id": f"zz-{n}", "name": "Z"}) + "\n" for n in range(70))
        taken = requests.post(
            server.url + "/v1/admin/import", data=lines, timeout=60,
            headers={"Authorization": "Bearer " + operator.token, "Content-Type": "application/x-ndjson"})
        assert taken.status_code == 200, taken.text
        rows = [(row["action"], row["detail"]) for row in reversed(operator.get("/v1/admin/audit").json()["entries"])]
    rows = rows[[action for action, _ in rows].index("signing_key.rotate"):]
    created = taken.json()["created"]
    assert rows == [
        ("signing_key.rotate", "begun"), ("signing_key.rotated", "ES256"), ("backup.make", "begun"),
        ("backup.made", ""), ("index.rebuild", "begun"), ("index.rebuilt", ""), ("catalog.import", "begun"),
        ("catalog.imported", f"created={created} changed=0 same=0 refused={70 - created}")]
