"""Webhooks out: signed, retried, guarded, logged; verified by the reference library of Standard Webhooks."""

import base64
import datetime
import ipaddress
import json
import threading
import time
import uuid

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

import harness
from harness import Account, Server, problem, until
from receiver import Receiver
from test_user_events import Stream

HOOKS = "/v1/provider/webhooks"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A server whose environment names proxies that nothing may use."""
    folder = tmp_path_factory.mktemp("webhooks")
    data = folder / "data"
    rows = harness.write_rows(folder / "few.jsonl", harness.read_rows(harness.SERVICES, 60))
    harness.cli("import", rows, "--data", data, "--no-embed")
    for name in ("alpha", "beta", "gamma"):
        harness.add_user(data, "provider", f"{name}@example.org", name)
    key = harness.add_key(data)
    with Receiver() as proxy:
        address = proxy.url.removesuffix("/hook")
        names = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        with Server(data, env={name: address for name in names}) as server:
            server.sandbox = Account(server, key)
            yield server
        assert proxy.requests == [], "a proxy of the environment was used"


@pytest.fixture
def maker(house):
    """A provider's person with no webhooks."""
    account = Account.login(house, "alpha@example.org")
    yield account
    for hook in account.get(HOOKS).json()["webhooks"]:
        assert account.delete(f"{HOOKS}/{hook['id']}").status_code == 204


def add(account, url, **more):
    answer = account.post(HOOKS, {"url": url, **more}, key=uuid.uuid4().hex)
    assert answer.status_code == 201, answer.text
    return answer.json()


def send_test(account, hook):
    answer = account.post(f"{HOOKS}/{hook['id']}/test", {}, key=uuid.uuid4().hex)
    assert answer.status_code == 202, answer.text
    return answer.json()


def log(account, hook, query=""):
    answer = account.get(f"{HOOKS}/{hook['id']}/deliveries{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["deliveries"]


def verified(request, hook):
    """What the reference library says."""
    return Webhook(hook["secret"]).verify(request.body, request.headers)


def named(body):
    """The session that an event is about."""
    return body["data"].get("sessionId", body["data"].get("id"))


def trial(house, number=0):
    """A trial in the sandbox from start to end; its user and its id."""
    user = Account.register(house)
    service = harness.read_rows(harness.SERVICES, 60)[number]["id"]
    session = user.confirm(user.propose(service)["id"]).json()
    token = session["redirectUrl"].split("marketplace_session=")[1].split("&")[0]
    started = house.post("/v1/sessions/validate", {"token": token}, headers={"Origin": house.url})
    assert started.status_code == 200, started.text
    return user, session["id"]


def complete(user, session):
    path = f"/v1/sessions/{session}/complete"
    assert user.post(path, {"outcome": "completed"}, key=uuid.uuid4().hex).status_code == 200


def test_a_session_is_told_and_the_reference_library_verifies(house):
    with Receiver() as shared, Receiver() as keyed:
        first = add(house.sandbox, shared.url)
        second = add(house.sandbox, keyed.url, algorithm="ed25519", types=["session.completed"])
        assert first["secret"].startswith("whsec_") and "publicKey" not in first
        assert second["publicKey"].startswith("whpk_") and "secret" not in second
        user, session = trial(house)
        complete(user, session)
        for kind in ("session.started", "session.completed"):
            request = shared.wait(type=kind)[0]
            body = verified(request, first)
            assert list(body) == ["type", "timestamp", "data"] and named(body) == session
            assert request.headers["content-type"] == "application/json"
            assert len(request.body) < 20_000 and "." not in request.id
        request = keyed.wait()[0]
        assert request.json["type"] == "session.completed" and len(keyed.requests) == 1
        version, signature = request.headers["webhook-signature"].split(",")
        assert version == "v1a"
        point = Ed25519PublicKey.from_public_bytes(base64.b64decode(second["publicKey"][5:]))
        signed = f"{request.id}.{request.headers['webhook-timestamp']}.".encode() + request.body
        point.verify(base64.b64decode(signature), signed)
        with pytest.raises(InvalidSignature):
            point.verify(base64.b64decode(signature), signed + b" ")
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(
                shared.requests[0].body, shared.requests[0].headers)
        for hook in (first, second):
            assert house.sandbox.delete(f"{HOOKS}/{hook['id']}").status_code == 204
        user, session = trial(house, 1)
        time.sleep(0.6)
        assert len(keyed.requests) == 1, "a removed webhook gets nothing"


def test_a_failure_is_tried_again_after_five_seconds_under_the_same_id(maker):
    with Receiver((500, {}, b"not today"), (200, {}, b"thanks")) as receiver:
        hook = add(maker, receiver.url)
        event = send_test(maker, hook)
        first, second = receiver.wait(2, seconds=40)
        assert first.id == second.id == event["eventId"] and first.body == second.body
        assert 4.9 <= second.at - first.at <= 30, "and not with the next try, minutes later"
        assert first.headers["webhook-timestamp"] < second.headers["webhook-timestamp"]
        assert verified(first, hook) == verified(second, hook)
        delivery = until(lambda: [d for d in log(maker, hook) if d["state"] == "delivered"])[0]
        assert [(a["status"], a["answer"]) for a in delivery["attempts"]] == [(500, "not today"), (200, "thanks")]
        assert all(0 <= a["durationMs"] < 15_000 for a in delivery["attempts"])
        assert maker.get(f"{HOOKS}/{hook['id']}").json()["consecutiveFailures"] == 0


def test_a_redirect_is_a_failure_and_is_not_followed(maker):
    with Receiver() as goal, Receiver((302, {"Location": "x"}, b"")) as receiver:
        receiver.replies = [(302, {"Location": goal.url}, b"")]
        hook = add(maker, receiver.url)
        send_test(maker, hook)
        attempt = until(lambda: log(maker, hook)[0]["attempts"])[0]
        assert attempt["status"] == 302
        assert goal.requests == []


def test_410_disables_and_the_owner_is_told(maker):
    with Receiver((410, {}, b"")) as receiver, Receiver() as other:
        hook = add(maker, receiver.url)
        add(maker, other.url, types=["webhook.disabled"])
        stream = Stream(maker)
        send_test(maker, hook)
        path = f"{HOOKS}/{hook['id']}"
        view = until(lambda: (lambda v: v if not v["enabled"] else None)(maker.get(path).json()))
        assert view["disabledReason"] == "gone" and view["disabledAt"]
        told = other.wait(type="webhook.disabled")[0]
        assert told.json["data"]["webhookId"] == hook["id"]
        notice = stream.next("notice.webhook_disabled")[0]["data"]
        stream.close()
        assert (notice["webhookId"], notice["reason"], notice["provider"]) == (hook["id"], "gone", "alpha")
        newest = maker.get("/v1/provider/events?limit=1").json()
        assert newest["events"][0]["type"] == "webhook.disabled" and newest["events"][0]["id"] == told.id
        older = maker.get("/v1/provider/events?limit=1&before=" + newest["next"]).json()["events"]
        assert older[0]["type"] == "webhook.test"
        problem(maker.post(path + "/test", {}, key="again"), 409, "invalid_transition")
        assert maker.call("PATCH", path, {"enabled": True}).json()["enabled"] is True


def test_a_receiver_that_asks_to_slow_down_gets_a_rest(maker):
    with Receiver((429, {"Retry-After": "7"}, b""), (200, {}, b"")) as receiver:
        hook = add(maker, receiver.url)
        send_test(maker, hook)
        receiver.wait(1)
        until(lambda: log(maker, hook)[0]["attempts"])  # the answer is noted: before, nobody knows that it asked
        send_test(maker, hook)
        one, two, three = receiver.wait(3)
        assert two.at - one.at >= 6.9, "the event after it waits too"
        assert {two.id, three.id} > {one.id}


def test_receivers_that_never_answer_delay_nobody(house, maker):
    hold = threading.Event()
    with Receiver(hold=hold) as slow, Receiver() as quick:
        slow_hooks = [add(maker, slow.url + f"/{number}") for number in range(9)]
        for hook in slow_hooks:
            send_test(maker, hook)
            send_test(maker, hook)
        slow.wait(8)
        other = Account.login(house, "beta@example.org")
        hook = add(other, quick.url)
        started = time.monotonic()
        send_test(other, hook)
        quick.wait(1)
        assert time.monotonic() - started < 12, "before the first of the slow ones is given up, after 15 seconds"
        assert other.delete(f"{HOOKS}/{hook['id']}").status_code == 204
        attempt = until(lambda: [a for h in slow_hooks for d in log(maker, h) for a in d["attempts"]], 25)[0]
        assert attempt["error"] == "timed_out" and attempt["status"] is None
        assert 14_500 <= attempt["durationMs"] <= 25_000


def test_after_a_rotation_both_secrets_verify(maker):
    with Receiver() as receiver:
        hook = add(maker, receiver.url)
        path = f"{HOOKS}/{hook['id']}/rotate"
        key = uuid.uuid4().hex
        rotated = maker.post(path, {}, key=key)
        assert rotated.status_code == 200, rotated.text
        again = maker.post(path, {}, key=key)
        assert again.content == rotated.content and again.headers["Idempotent-Replayed"] == "true"
        fresh = rotated.json()
        assert fresh["secret"] != hook["secret"] and fresh["previousSecretUntil"]
        send_test(maker, hook)
        request = receiver.wait()[0]
        assert len(request.headers["webhook-signature"].split(" ")) == 2
        for one in (hook, fresh):
            assert verified(request, one)["type"] == "webhook.test"
        # Ours and theirs, signature by signature.
        seconds = int(request.headers["webhook-timestamp"])
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
        theirs = [Webhook(one["secret"]).sign(request.id, moment, request.body.decode()) for one in (fresh, hook)]
        assert request.headers["webhook-signature"].split(" ") == theirs


def test_a_replay_sends_it_again_under_the_same_id(maker):
    with Receiver() as receiver:
        hook = add(maker, receiver.url)
        delivery = send_test(maker, hook)
        receiver.wait(1)
        until(lambda: log(maker, hook, "?state=delivered"))
        path = f"{HOOKS}/{hook['id']}/deliveries/{delivery['id']}"
        for key, count in (("one", 2), ("one", 2), ("two", 3)):
            assert maker.post(path + "/replay", {}, key=key + delivery["id"]).status_code == 202
            until(lambda: len(maker.get(path).json()["attempts"]) == count)
        requests = receiver.wait(3)
        assert len({request.id for request in requests}) == 1
        seen = until(lambda: (lambda d: d if len(d["attempts"]) == 3 else None)(maker.get(path).json()))
        assert [a["number"] for a in seen["attempts"]] == [1, 2, 3] and seen["tries"] == 1
        time.sleep(0.5)
        assert len(receiver.requests) == 3


def test_the_log_has_pages(maker):
    with Receiver() as receiver:
        hook = add(maker, receiver.url)
        sent = [send_test(maker, hook)["id"] for _ in range(5)]
        receiver.wait(5)
        path = f"{HOOKS}/{hook['id']}/deliveries"
        first = maker.get(path + "?limit=2").json()
        second = maker.get(path + "?limit=3&before=" + first["next"]).json()
        ids = [d["id"] for d in first["deliveries"] + second["deliveries"]]
        assert sorted(ids) == sorted(sent) and ids == sorted(ids, reverse=True)
        problem(maker.get(path + "?before=x"), 400, "cursor_invalid")
        problem(maker.get(path + "?state=lost"), 422, "validation_failed")
        problem(maker.get(path + "?limit=0"), 422, "validation_failed")


REFUSED = [
    "http://example.com/", "https://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://0/",
    "https://[fd00:ec2::254]/", "https://[64:ff9b::7f00:1]/", "https://[::ffff:127.0.0.1]/", "https://2852039166/",
    "https://0xa9fea9fe/", "https://example.com:22/", "https://user@example.com/", "https://localhost./",
    "https://intranet/", "https://metadata.google.internal/", "ftp://example.com/", "", 7, None,
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_receiver_inside_is_refused_when_it_is_named(maker, url):
    body = problem(maker.post(HOOKS, {"url": url}, key=uuid.uuid4().hex), 422, "validation_failed")
    assert [error["pointer"] for error in body["errors"]] == ["/url"]


def test_without_the_demo_loopback_is_refused_too_and_old_receivers_get_nothing(small):
    harness.add_user(small, "provider", "alpha@example.org", "alpha")
    with Receiver() as receiver:
        with Server(small) as server:
            hook = add(Account.login(server, "alpha@example.org"), receiver.url)
        with Server(small, demo=False) as server:
            maker = Account.login(server, "alpha@example.org")
            for url in (receiver.url, "https://127.0.0.1/", "https://[::1]/", "https://0177.1/", "http://localhost/"):
                problem(maker.post(HOOKS, {"url": url}, key=uuid.uuid4().hex), 422, "validation_failed")
            send_test(maker, hook)
            attempt = until(lambda: log(maker, hook)[0]["attempts"])[0]
            assert attempt["error"] == "address_refused" and receiver.requests == []


def test_a_certificate_that_nobody_vouches_for_is_not_taken(maker, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(address, critical=False).sign(key, hashes.SHA256()))
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    with Receiver(tls=(tmp_path / "cert.pem", tmp_path / "key.pem")) as receiver:
        hook = add(maker, receiver.url)
        send_test(maker, hook)
        attempt = until(lambda: log(maker, hook)[0]["attempts"])[0]
        assert attempt["error"] == "connection" and receiver.requests == []


def test_a_webhook_belongs_to_its_provider(house, maker):
    with Receiver() as receiver:
        hook = add(maker, receiver.url)
        path = f"{HOOKS}/{hook['id']}"
        stranger = Account.login(house, "beta@example.org")
        delivery = send_test(maker, hook)["id"]
        for method, rest, body in (
                ("GET", "", None), ("PATCH", "", {"enabled": False}), ("DELETE", "", None),
                ("POST", "/rotate", {}), ("POST", "/test", {}), ("GET", "/deliveries", None),
                ("GET", f"/deliveries/{delivery}", None), ("POST", f"/deliveries/{delivery}/replay", {})):
            problem(stranger.call(method, path + rest, body, key=uuid.uuid4().hex), 404, "not_found")
        problem(house.get(path), 401, "unauthenticated")
        problem(Account.register(house).get(path), 403, "forbidden")
        assert stranger.get(HOOKS).json() == {"webhooks": []}
        assert maker.get(path).json()["enabled"] is True


def test_a_key_makes_one_webhook_and_ten_are_all(house):
    maker = Account.login(house, "gamma@example.org")
    body = {"url": "https://hooks.example.com/in", "types": ["session.failed"], "description": "ours"}
    problem(maker.post(HOOKS, body), 400, "idempotency_key_required")
    first = maker.post(HOOKS, body, key="one")
    again = maker.post(HOOKS, {"description": "ours", "types": ["session.failed"], "url": body["url"]}, key="one")
    assert first.status_code == again.status_code == 201 and again.content == first.content
    problem(maker.post(HOOKS, {**body, "types": []}, key="one"), 422, "idempotency_conflict")
    problem(maker.post(HOOKS, {**body, "color": "red"}, key="two"), 422, "validation_failed")
    problem(maker.post(HOOKS, {**body, "types": ["nothing"]}, key="two"), 422, "validation_failed")
    for number in range(9):
        add(maker, f"https://hooks.example.com/{number}")
    problem(maker.post(HOOKS, body, key="eleventh"), 422, "validation_failed")
    hooks = maker.get(HOOKS).json()["webhooks"]
    assert len(hooks) == 10 and all("secret" not in hook for hook in hooks)
    for hook in hooks:
        assert maker.delete(f"{HOOKS}/{hook['id']}").status_code == 204


def test_a_secret_is_in_no_file_and_no_log(house, maker):
    with Receiver((500, {}, b"")) as receiver:
        hook = add(maker, receiver.url)
        receiver.replies = [(500, {}, b"your secret is " + hook["secret"].encode())]
        send_test(maker, hook)
        attempt = until(lambda: log(maker, hook)[0]["attempts"])[0]
        assert attempt["answer"] == "your secret is whsec_[masked]"
        raw = base64.b64decode(hook["secret"][6:])
        needles = [hook["secret"][6:].encode(), raw, raw.hex().encode()]
        for file in [*house.data.rglob("*"), house.log_path]:
            if file.is_file():
                content = file.read_bytes()
                assert not any(needle in content for needle in needles), file


def test_what_was_sent_when_the_server_died_is_sent_again_under_the_same_id(small):
    harness.add_user(small, "provider", "alpha@example.org", "alpha")
    hold = threading.Event()
    with Receiver(hold=hold) as receiver:
        server = Server(small).start()
        maker = Account.login(server, "alpha@example.org")
        hook = add(maker, receiver.url)
        event = send_test(maker, hook)
        receiver.wait(1)
        server.kill()
        hold.set()
        with Server(small) as server:
            first, second = receiver.wait(2)[:2]
            assert first.id == second.id == event["eventId"] and first.body == second.body
            assert verified(second, hook)["type"] == "webhook.test"
            maker = Account.login(server, "alpha@example.org")
            done = until(lambda: log(maker, hook, "?state=delivered"))
            assert [a["number"] for a in done[0]["attempts"]] == [1]


def test_a_listing_that_goes_out_of_use_is_told(maker):
    with Receiver() as receiver:
        add(maker, receiver.url, types=["provider.available", "provider.unavailable"])
        listing = {"name": "Scribe", "kind": "tool", "description": "Writes down what is said."}
        path = "/v1/provider/services/webhook-scribe"
        for status in ("active", "maintenance", "active"):
            assert maker.put(path, {**listing, "status": status}).status_code in (200, 201)
        assert maker.delete(path).status_code in (200, 204)
        came = receiver.wait(3)
        # No order is promised.
        assert sorted((r.json["type"], r.json["data"]["status"]) for r in came) == [
            ("provider.available", "active"), ("provider.unavailable", "maintenance"),
            ("provider.unavailable", "removed")]
        assert all(r.json["data"]["serviceId"] == "webhook-scribe" for r in came)
        assert json.dumps(came[0].json, separators=(",", ":")).encode() == came[0].body
