"""What happens to a signed-in user, as it happens: GET /v1/me/events."""

import http.client
import json
import queue
import socket
import threading
import time
import uuid

import pytest

import harness
from harness import SANDBOX, Account, Server, problem
from post_office import mailbox

PATH = "/v1/me/events"


class Stream:
    """An open stream and what it has said."""

    def __init__(self, account, last=None):
        headers = {"Authorization": "Bearer " + account.token}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        connection = http.client.HTTPConnection("127.0.0.1", account.server.port, timeout=60)
        connection.connect()
        self.socket = connection.sock
        connection.request("GET", PATH, headers=headers)
        self.answer = connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        self.events = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        fields = {}
        try:
            for raw in iter(self.answer.readline, b""):
                line = raw.decode().rstrip("\n")
                if line.startswith(":"):
                    continue  # a comment keeps the line open
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    self.events.put(fields)
                    fields = {}
        except (http.client.HTTPException, OSError, ValueError):
            pass  # closed by the test
        self.events.put(None)

    def next(self, kind, seconds=15):
        """The data and the id of the next event of a kind; others are passed over."""
        while True:
            fields = self.events.get(timeout=seconds)
            assert fields is not None, "the stream has ended"
            if fields.get("event") == kind:
                return json.loads(fields["data"]), fields.get("id")

    def ended(self, seconds=15):
        while self.events.get(timeout=seconds) is not None:
            pass
        return True

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server was first


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    rows = harness.write_rows(folder / "few.jsonl", harness.read_rows(harness.SERVICES, 60))
    harness.cli("import", rows, "--data", folder / "data", "--no-embed")
    key = harness.add_key(folder / "data")
    harness.add_user(folder / "data", "admin", "admin@example.org")
    with Server(folder / "data") as server:
        server.sandbox = Account(server, key)
        yield server


def start(house, user):
    service = harness.read_rows(harness.SERVICES, 1)[0]["id"]
    session = user.confirm(user.propose(service)["id"]).json()
    token = session["redirectUrl"].split("marketplace_session=")[1].split("&")[0]
    answer = house.post("/v1/sessions/validate", {"token": token}, headers={"Origin": house.url})
    assert answer.status_code == 200, answer.text
    return session["id"]


def act(user, session, name, body=None):
    answer = user.post(f"/v1/sessions/{session}/{name}", body or {}, key=uuid.uuid4().hex)
    assert answer.status_code == 200, answer.text


def test_a_user_hears_of_its_sessions_and_nobody_elses(house):
    user, other = Account.register(house), Account.register(house)
    mine, theirs = Stream(user), Stream(other)
    balance, id = mine.next("balance")
    assert balance == {"balanceMicrotokens": 0, "heldMicrotokens": 0, "availableMicrotokens": 0} and id is None
    theirs.next("balance")
    session = start(house, user)
    started, first = mine.next("session.started")
    about = started["data"].get("sessionId", started["data"].get("id"))
    assert started["type"] == "session.started" and about == session
    act(user, session, "pause")
    paused, second = mine.next("session.paused")
    assert paused["type"] == "session.paused" and int(second) > int(first)
    act(user, session, "complete", {"outcome": "completed"})
    mine.next("session.completed")
    with pytest.raises(queue.Empty):
        theirs.events.get(timeout=1)
    mine.close()
    theirs.close()


def test_the_balance_comes_again_when_the_account_moves(house):
    user, other = Account.register(house), Account.register(house)
    mine, theirs = Stream(user), Stream(other)
    assert mine.next("balance")[0]["availableMicrotokens"] == 0
    theirs.next("balance")
    admin = Account.login(house, "admin@example.org")
    for amount, after in ((5_000_000, 5_000_000), (1, 5_000_001)):
        body = {"userId": user.get("/v1/me").json()["id"], "amountMicrotokens": amount, "reason": "for a test"}
        answer = admin.post("/v1/admin/grants", body, key=uuid.uuid4().hex)
        assert answer.status_code == 201, answer.text
        balance, id = mine.next("balance")
        assert balance == {"balanceMicrotokens": after, "heldMicrotokens": 0, "availableMicrotokens": after}
        assert id is None, "a state, not an event to take up after"
    with pytest.raises(queue.Empty):
        theirs.events.get(timeout=1)
    mine.close()
    theirs.close()


def test_a_stream_takes_up_where_it_was(house):
    user = Account.register(house)
    stream = Stream(user)
    session = start(house, user)
    _, first = stream.next("session.started")
    stream.close()
    act(user, session, "pause")
    act(user, session, "resume")
    again = Stream(user, last=first)
    again.next("session.paused")
    _, last = again.next("session.resumed")
    again.close()
    none = Stream(user, last=last)
    none.next("balance")
    with pytest.raises(queue.Empty):
        none.events.get(timeout=1)
    none.close()


@pytest.mark.parametrize("last", ["999999999", "x", "-1", "1.2", "9" * 40])
def test_an_id_that_was_never_given_has_expired(house, last):
    user = Account.register(house)
    problem(user.get(PATH, Last_Event_ID=last), 410, "stream_expired")


def test_five_streams_a_user_are_all(house):
    user = Account.register(house)
    streams = [Stream(user) for _ in range(5)]
    refused = user.get(PATH)
    problem(refused, 429, "rate_limited")
    assert refused.headers["Retry-After"]
    Stream(Account.register(house)).close()
    for stream in streams:
        stream.close()
    end = time.monotonic() + 10
    while True:
        try:
            return Stream(user).close()
        except AssertionError:
            assert time.monotonic() < end, "a client that left still counts"
            time.sleep(0.2)


@pytest.mark.parametrize("how", ["signed out", "frozen"])
def test_a_stream_ends_with_its_login(house, how):
    mail = f"{uuid.uuid4().hex}@example.org"
    user = Account.register(house, mail)
    stream, other = Stream(user), Account.login(house, mail)
    stream.next("balance")
    if how == "frozen":
        admin = Account.login(house, "admin@example.org")
        answer = admin.post(f"/v1/admin/users/{user.get('/v1/me').json()['id']}/freeze")
        assert answer.status_code == 200, answer.text
    else:
        assert other.delete("/v1/auth/sessions").json() == {"ended": 1}
    end, _ = stream.next("end", seconds=5)
    assert end == {"reason": "signed_out"} and stream.ended()


def test_only_people_have_streams(house):
    problem(house.get(PATH), 401, "unauthenticated")
    problem(house.sandbox.get(PATH), 403, "forbidden")
    assert Account.register(house).call("HEAD", PATH).status_code == 200


def test_a_server_that_ends_ends_its_streams_first(small):
    server = Server(small).start()
    stream = Stream(Account.register(server))
    stream.next("balance")
    assert server.stop(9) == 0, "it did not wait for the stream"
    assert stream.ended()


@pytest.mark.parametrize("has_mail", [True, False])
def test_a_providers_people_hear_of_a_payout(tmp_path, has_mail):
    data = tmp_path / "data"
    harness.cli("import", harness.write_rows(tmp_path / "few.jsonl", harness.read_rows(harness.SERVICES, 5)), "--data", data,
                "--no-embed")
    key = harness.add_key(data)
    harness.add_user(data, "admin", "admin@example.org")
    harness.add_user(data, "provider", "owner@example.org", SANDBOX)
    harness.add_user(data, "provider", "other@example.org", "other")
    with mailbox() as (post, flags), Server(data, *(flags if has_mail else [])) as server:
        owner, other, admin = (Account.login(server, name + "@example.org") for name in ("owner", "other", "admin"))
        mine, theirs = Stream(owner), Stream(other)
        theirs.next("balance")
        earn(admin, Account(server, key))
        earned = owner.get("/v1/tokens/balance").json()["availableMicrotokens"]
        body = {"providerId": SANDBOX, "amountMicrotokens": earned, "reference": "bank-7", "reason": "a test"}
        booked = admin.post("/v1/admin/payouts", body, key=uuid.uuid4().hex)
        assert booked.status_code == 201, booked.text
        notice, id = mine.next("notice.payout")
        assert id and notice["data"]["reference"] == "bank-7" and notice["data"]["amountMicrotokens"] == earned
        assert notice["data"]["transferId"] == booked.json()["transferId"]
        assert admin.post("/v1/admin/payouts", body, key=uuid.uuid4().hex).status_code == 200, "booked before"
        if has_mail:
            sender, recipients, message = post.wait(1)
            assert recipients == ["owner@example.org"] and "payout" in message["Subject"]
            assert "bank-7" in message.get_payload()
        with pytest.raises(queue.Empty):
            theirs.events.get(timeout=1)
        with pytest.raises(queue.Empty):
            mine.next("notice.payout", seconds=1)
        assert has_mail == (len(post.mails) == 1) and "notice.payout" in server.log()
        events = owner.get("/v1/provider/events").json()["events"]
        assert "notice.payout" not in [event["type"] for event in events], "no webhook carries it"
        mine.close()
        theirs.close()


def earn(person, provider):
    """A trial in the sandbox with a moment of use."""
    session = person.confirm(person.propose(harness.read_rows(harness.SERVICES, 1)[0]["id"])["id"]).json()
    launch = session["redirectUrl"].split("marketplace_session=")[1].split("&")[0]
    token = provider.post("/v1/sessions/validate", {"token": launch}).json()["token"]
    live = Account(person.server, token)
    time.sleep(0.05)
    path = "/v1/sessions/" + session["id"]
    assert live.post(path + "/heartbeat", {"seq": 1, "active": True}).status_code == 200
    done = live.post(path + "/complete", {"outcome": "completed"}, key=uuid.uuid4().hex)
    assert done.status_code == 200 and done.json()["chargedMicrotokens"] > 0, done.text
