"""A person who has left traces everywhere is erased: no table, file or log knows the words any more."""

import json
import sqlite3
import urllib.parse
import uuid

import pytest
import requests

import harness
import processor
from browser import Browser
from harness import PASSWORD, SANDBOX, Account, Chat, Server, fresh_key, until
from people import catalog, form, make_key, sign_in
from processor import deliver, event
from programs import OAuth2Session
from receiver import Receiver

NAME, NEED, DEVICE = "Quittenbrotmann", "verschwindibus", "Zanzibarvogel"
WORDS = [NAME, NEED, DEVICE]
CALLBACK = "http://127.0.0.1:51005/cb"

# Where the id of somebody who is gone may stand: it leads to no name any more.
PSEUDONYMOUS = {"account", "audit", "outbox", "outbox_route", "proposal", "purchase", "session"}


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A server with everything switched on: purchases, a program, a provider with a webhook that echoes names."""
    folder = tmp_path_factory.mktemp("erasure")
    data = catalog(folder)
    program = harness.cli(
        "clients", "add", "--data", data, "--name", "Tool", "--redirect-uri", CALLBACK).stdout.split()[0]
    key = harness.add_key(data)
    local = processor.LocalStripe(folder / "localstripe.log")
    till = processor.Processor(local)
    secrets = {"WAYPOST_STRIPE_KEY": processor.KEY, "WAYPOST_STRIPE_WEBHOOK_SECRET": processor.SECRET}
    server = Server(data, "--stripe-url", till.url, "--token-price", "2", env=secrets)
    server.program, server.key, server.till = program, key, till
    try:
        with Receiver((200, {}, f"thank you, {NAME}".encode())) as receiver:
            server.receiver = receiver
            yield server
    finally:
        till.close()
        local.close()


def programs(server, mail, scope="discovery:read sessions:read"):
    """Lets a program act for the person, and leaves a code that is never redeemed."""
    for redeems in (True, False):
        oauth = OAuth2Session(
            server.program, scope=scope, redirect_uri=CALLBACK, code_challenge_method="S256",
            token_endpoint_auth_method="none")
        verifier = uuid.uuid4().hex + uuid.uuid4().hex
        url, _ = oauth.create_authorization_url(server.url + "/oauth/authorize", code_verifier=verifier)
        browser = Browser(server)
        browser.http.headers["User-Agent"] = DEVICE + "/2"
        page = browser.sign_in(browser.open(url), mail, PASSWORD)
        answer = page.send(decision="allow")
        if redeems:
            token = oauth.fetch_token(
                server.url + "/oauth/token", authorization_response=answer.location, code_verifier=verifier)
            headers = {"Authorization": "Bearer " + token["access_token"]}
            found = requests.post(
                server.url + "/v1/providers/search", json={"q": f"{NEED} by a program"}, headers=headers, timeout=30)
            assert found.status_code == 200, found.text


def redeemed(server, account):
    """A session that the sandbox has redeemed, and what the sandbox then knows of the person."""
    confirmed = account.confirm(account.propose("acuity-scheduling")["id"])
    query = urllib.parse.urlsplit(confirmed.json()["redirectUrl"]).query
    launch = urllib.parse.parse_qs(query)["marketplace_session"][0]
    sandbox = Account(server, server.key)
    view = sandbox.post("/v1/sessions/validate", {"token": launch})
    assert view.status_code == 200, view.text
    token = Account(server, view.json()["token"])
    assert token.post("/v1/sso/provision", {}).status_code == 200
    path = f"/v1/me/consents/providers/{SANDBOX}"
    assert account.put(path, {"scopes": ["profile", "email", "session_access"]}).status_code == 200
    assert token.post("/v1/sso/provision", {}).json()["name"] == NAME
    assert token.post(f"/v1/sessions/{confirmed.json()['id']}/heartbeat", {"seq": 1, "active": True}).status_code == 200


def searched(server, account):
    """Searches before the sign-in and after it: the words are the person's in both."""
    need = f"calendar {NEED} booking"
    found = server.post("/v1/providers/search", {"q": need}).json()
    assert found["searchId"] and found["hits"], "learning is on"
    seen = {"kind": "opened", "position": 1}
    for number, caller in enumerate((server, account)):
        events = [{**seen, "serviceId": found["hits"][number]["id"], "position": number + 1}]
        answer = caller.post("/v1/events", {"searchId": found["searchId"], "events": events})
        assert answer.status_code in (200, 202), answer.text
    own = account.post("/v1/providers/search", {"q": need + " please"}).json()
    events = [{**seen, "serviceId": own["hits"][0]["id"]}]
    assert account.post("/v1/events", {"searchId": own["searchId"], "events": events}).status_code in (200, 202)


def bought(server, account):
    purchase = account.post("/v1/tokens/purchase", {"tokenAmount": 100}, key=uuid.uuid4().hex).json()["purchaseId"]
    session = server.till.pay(purchase)
    session["customer_details"] = {"email": f"{DEVICE}@example.org", "name": NAME}
    assert deliver(server, event("checkout.session.completed", session)).json()["result"] == "applied"
    open_one = account.post("/v1/tokens/purchase", {"tokenAmount": 200}, key=uuid.uuid4().hex)
    assert open_one.status_code == 201
    return open_one.json()["checkoutUrl"]


def lived(server, mail):
    """Traces wherever the server keeps any; gives the account and words that only it has left."""
    agent = {"User-Agent": DEVICE + "/1"}
    made = server.post("/v1/auth/register", form(mail, name=NAME), headers={**fresh_key(), **agent})
    assert made.status_code == 201, made.text
    account = Account(server, made.json()["accessToken"])
    assert sign_in(server, mail, **{"User-Agent": DEVICE + "/3"}).status_code == 200
    assert sign_in(server, mail, f"my password is {NEED}").status_code == 401
    chat = Chat(server, account)
    chat.say(f"I need {NEED} for calendars")
    chat.say("cheaper than 20 euros, says " + NAME)
    redeemed(server, account)
    searched(server, account)
    account.put("/v1/me/consents/analytics", {"granted": True})
    account.put("/v1/tokens/limits", {"dayMicrotokens": 7_000_000})
    make_key(account, name=f"{NAME}'s key")
    programs(server, mail)
    page = bought(server, account)
    return account, page


def found(data, server, words):
    """Where one of the words stands, in any case: files byte by byte, and every value of every table."""
    traces = []
    for path in [*data.rglob("*"), server.log_path]:
        if path.is_file():
            content = path.read_bytes().lower()
            traces += [(path.name, word) for word in words if word.lower().encode() in content]
    for path in data.rglob("*.db"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as record:
            record.text_factory = bytes
            for (table,) in record.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
                for row in record.execute(f'SELECT * FROM "{table.decode()}"'):
                    text = b" ".join(value.lower() for value in row if isinstance(value, bytes))
                    traces += [(table.decode(), word) for word in words if word.lower().encode() in text]
        record.close()
    return traces


def tables_with(data, identity):
    """The tables of the record that hold an id, as bytes or as text."""
    tables = set()
    with sqlite3.connect(f"file:{data / 'record.db'}?mode=ro", uri=True) as record:
        raw = record.execute("SELECT owner FROM account WHERE kind = 'user_available' AND owner <> x''").fetchall()
        own = next(bytes(owner) for (owner,) in raw if text_of(bytes(owner)) == identity)
        for (table,) in record.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            for row in record.execute(f'SELECT * FROM "{table}"'):
                if any((isinstance(value, bytes) and own in value) or
                       (isinstance(value, str) and identity in value) for value in row):
                    tables.add(table)
    record.close()
    return tables


def text_of(raw):
    """An id as the API writes it: Crockford's base 32, 26 characters."""
    number, digits = int.from_bytes(raw, "big"), ""
    for _ in range(26):
        number, digit = divmod(number, 32)
        digits = "0123456789abcdefghjkmnpqrstvwxyz"[digit] + digits
    return digits


def test_after_an_erasure_no_table_file_or_log_has_a_trace(town):
    mail = f"{DEVICE.lower()}-{uuid.uuid4().hex[:6]}@example.org"
    with town as server:
        hook = Account(server, server.key).post(
            "/v1/provider/webhooks", {"url": server.receiver.url}, key=uuid.uuid4().hex)
        assert hook.status_code == 201, hook.text
        account, page = lived(server, mail)
        identity = account.get("/v1/me").json()["id"]
        server.receiver.wait(1, type="session.started")
        export = account.get("/v1/me/export").text
        assert NAME in export and NEED in export and mail in export
    words = [*WORDS, mail, page]
    before = {word for _, word in found(town.data, town, words)}
    assert {NAME.lower(), NEED.lower(), mail} <= {word.lower() for word in before}, "the scan sees what is there"
    with town as server:
        account = Account.login(server, mail)
        body = {"password": PASSWORD, "forfeitBalance": True}
        answer = account.call("DELETE", "/v1/me", body)
        assert answer.status_code == 204, answer.text
        server.receiver.wait(1, type="user.deprovisioned")
        due = f"/v1/provider/webhooks/{hook.json()['id']}/deliveries?state=due"
        provider = Account(server, server.key)
        until(lambda: not provider.get(due).json()["deliveries"])  # what the receiver answered is noted
        operator = Account.login(server, "admin@example.org")
        assert operator.get("/v1/ledger/verify").json() | {"transfers": 0} == {
            "sound": True, "transfers": 0, "faults": [], "wrongMarks": []}
        assert found(town.data, town, words) == [], "while the server runs"
    assert found(town.data, town, words) == []
    assert tables_with(town.data, identity) <= PSEUDONYMOUS
    report = harness.cli("ledger", "verify", "--data", town.data, "--json")
    assert json.loads(report.stdout)["sound"] is True
