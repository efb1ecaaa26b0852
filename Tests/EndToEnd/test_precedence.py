"""Every route that takes an Idempotency-Key: a request with two faults gets the earlier code, and a running first holds its repeats.

The order is core specification 8.1. What is held against it comes from /openapi.json, so a new keyed route fails here
until its row is written down.
"""

import concurrent.futures
import hashlib
import http.server
import json
import sqlite3
import threading
import time
import types
import uuid

import pytest
import requests

import harness
from faults import Faults
from harness import Account, Server, problem, until
from test_sessions import launch_token, listing

NOBODY = "0" * 26
UNKNOWN = {"x-unknown": 1}
BIG = b'{"x": "' + b"x" * 70_000
GRANTED = 500_000_000


class Till:
    """A payment processor that makes checkouts, when it is let."""

    def __init__(self):
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()
        till = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                till.asked.set()
                till.open.wait(20)
                body = json.dumps({"id": "cs_" + uuid.uuid4().hex, "url": "https://pay.example/1"}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def close(self):
        self.open.set()
        self.http.shutdown()
        self.http.server_close()


# Who may ask, who may not (for lack of a role: 403), and whether the address names what may not be there.
ROUTES = {
    "/v1/auth/register": (None, None),
    "/v1/me/keys": ("user", "key"),
    "/v1/tokens/purchase": ("user", "key"),
    "/v1/proposals": ("user", "key"),
    "/v1/sessions": ("user", "key"),
    "/v1/sessions/{id}/pause": ("user", None),
    "/v1/sessions/{id}/resume": ("user", None),
    "/v1/sessions/{id}/complete": ("user", None),
    "/v1/sessions/{id}/extend": ("user", "key"),
    "/v1/provider/tokens/report": ("alpha", "user"),
    "/v1/provider/webhooks": ("alpha", "user"),
    "/v1/provider/webhooks/{id}/rotate": ("alpha", "user"),
    "/v1/provider/webhooks/{id}/test": ("alpha", "user"),
    "/v1/provider/webhooks/{id}/deliveries/{deliveryId}/replay": ("alpha", "user"),
    "/v1/admin/grants": ("admin", "user"),
    "/v1/admin/payouts": ("admin", "user"),
    "/v1/admin/refunds": ("admin", "user"),
    "/v1/admin/purchases/{id}/refund": ("admin", "user"),
    "/v1/admin/chargebacks/{id}/settle": ("admin", "user"),
    "/v1/admin/oauth-clients": ("admin", "user"),
}
KNOWN = [route for route, (who, _) in ROUTES.items() if who]
# A debt that was settled is gone, and the user stays: what the address names is looked up by the order itself.
NAMED = [route for route in KNOWN if "{" in route and "chargebacks" not in route]
CLOSED = [route for route, (_, other) in ROUTES.items() if other]


def send(place, route, who, data, key=None, ids=None, token=None):
    headers = {"Content-Type": "application/json"}
    token = token or (place.people[who].token if who else None)
    if token:
        headers["Authorization"] = "Bearer " + token
    if key:
        headers["Idempotency-Key"] = key
    path = route
    for name, value in (ids or place.ids.get(route, {})).items():
        path = path.replace("{" + name + "}", value)
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return requests.post(place.server.url + path, data=body, headers=headers, timeout=30)


def answered(answer, *codes):
    assert answer.status_code in codes, answer.text
    return answer.json()


def world(folder):
    rows = [
        listing("alpha-trial", {"plan": "time", "tokenRatePerHour": 3600}, "https://alpha.example/start", trial={"offered": True}),
        listing("alpha-calls", {"plan": "usage", "unitPriceMicrotokens": 500_000, "unit": "call"}, "https://alpha.example/start")]
    data = folder / "data"
    harness.cli("import", harness.write_rows(folder / "rows.jsonl", rows), "--data", data, "--no-embed")
    harness.add_user(data, "admin", "admin@example.org")
    harness.add_user(data, "provider", "alpha@example.org", "alpha")
    return data


def once(place):
    """Carries out each route once, under the key `used`; keeps the answers by route."""
    people, ids, answers = place.people, place.ids, place.answers
    user = people["user"].get("/v1/me").json()["id"]
    place.user = user

    def do(route, body, *codes):
        answers[route] = send(place, route, ROUTES[route][0], body, key="used")
        return answered(answers[route], *(codes or (200, 201, 202)))

    do("/v1/auth/register", {"email": "first@example.org", "password": harness.PASSWORD})
    do("/v1/me/keys", {"name": "one", "scopes": ["discovery:read"]})
    purchase = do("/v1/tokens/purchase", {"tokenAmount": 100})
    do("/v1/admin/grants", {"userId": user, "amountMicrotokens": GRANTED, "reason": "test"})
    do("/v1/admin/payouts", {"providerId": "alpha", "amountMicrotokens": 1, "reference": "one", "reason": "test"}, 402, 409, 422)
    do("/v1/admin/refunds", {"captureId": NOBODY, "amountMicrotokens": 1, "reason": "test"}, 404)
    ids["/v1/admin/purchases/{id}/refund"] = {"id": purchase["purchaseId"]}
    do("/v1/admin/purchases/{id}/refund", {}, 409)
    ids["/v1/admin/chargebacks/{id}/settle"] = {"id": user}
    do("/v1/admin/chargebacks/{id}/settle", {}, 404)
    do("/v1/admin/oauth-clients", {"name": "One", "redirectUris": ["https://one.example/back"]})
    proposal = do("/v1/proposals", {"serviceId": "alpha-trial"})
    session = do("/v1/sessions", {"proposalId": proposal["id"]})
    for event in ("pause", "resume", "complete", "extend"):
        ids["/v1/sessions/{id}/" + event] = {"id": session["id"]}
    provider = Account(place.server, place.key)
    answered(provider.post("/v1/sessions/validate", {"token": launch_token(session)}), 200)
    do("/v1/sessions/{id}/extend", {"minutes": 5}, 409)
    for event in ("pause", "resume", "complete"):
        do("/v1/sessions/{id}/" + event, {})
    wish = {"serviceId": "alpha-calls", "kind": "paid", "durationMinutes": 10, "maxTokens": 10}
    wanted = answered(people["user"].post("/v1/proposals", wish, key=uuid.uuid4().hex), 201)
    used = answered(people["user"].confirm(wanted["id"]), 201)
    answered(provider.post("/v1/sessions/validate", {"token": launch_token(used)}), 200)
    place.reported = used["id"]
    do("/v1/provider/tokens/report", {"sessionId": used["id"], "reportNo": 1, "units": 2})
    webhook = do("/v1/provider/webhooks", {"url": "https://hooks.example/in"})
    hook = {"id": webhook["id"]}
    ids["/v1/provider/webhooks/{id}/rotate"] = ids["/v1/provider/webhooks/{id}/test"] = hook
    do("/v1/provider/webhooks/{id}/rotate", {})
    delivery = do("/v1/provider/webhooks/{id}/test", {})
    ids["/v1/provider/webhooks/{id}/deliveries/{deliveryId}/replay"] = {**hook, "deliveryId": delivery["id"]}
    do("/v1/provider/webhooks/{id}/deliveries/{deliveryId}/replay", {})


def change_the_rules(data):
    """The answers of the key `used` stand under `changed` too, for a body that no route takes any more."""
    digest = hashlib.sha256(json.dumps(UNKNOWN, separators=(",", ":")).encode()).digest()
    record = sqlite3.connect(data / "record.db")
    with record:
        record.execute(
            "INSERT INTO idempotency(principal, route, key, body_hash, status, response, created_ms) "
            "SELECT principal, route, 'changed', ?, status, response, created_ms FROM idempotency WHERE key = 'used'",
            [digest])
    record.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    data = world(tmp_path_factory.mktemp("precedence"))
    till = Till()
    place = types.SimpleNamespace(till=till, key=harness.add_key(data, "alpha"), ids={}, answers={})
    secrets = {"WAYPOST_STRIPE_KEY": "sk_test_1", "WAYPOST_STRIPE_WEBHOOK_SECRET": "whsec_1"}
    # The port is in the issuer of tokens, which are to hold after the restart.
    server = Server(data, "--port", str(harness.free_port()), "--stripe-url", till.url, env=secrets)
    try:
        with server:
            place.server = server
            place.people = {name: Account.login(server, name + "@example.org") for name in ("alpha", "admin")}
            place.people["user"] = Account.register(server)
            place.people["key"] = Account(server, place.key)
            once(place)
        change_the_rules(data)
        with server:
            yield place
    finally:
        till.close()


def test_every_route_that_takes_a_key_is_held_to_the_order(place):
    paths = place.server.get("/openapi.json").json()["paths"]
    keyed = {path for path, item in paths.items() for operation in item.values()
             if isinstance(operation, dict) and operation.get("x-repeats") == "Idempotency-Key"}
    assert keyed == set(ROUTES), "write down who may ask, and carry it out once"


@pytest.mark.parametrize("route", ROUTES)
def test_size_goes_before_syntax(place, route):
    problem(send(place, route, ROUTES[route][0], BIG), 413, "body_too_large")


@pytest.mark.parametrize("route", ROUTES)
def test_syntax_goes_before_who_asks_and_before_the_key(place, route):
    token = "no.such.token" if ROUTES[route][0] else None
    problem(send(place, route, None, b"{", token=token), 400, "malformed_json")


@pytest.mark.parametrize("route", KNOWN)
def test_who_asks_goes_before_what_is_there(place, route):
    nobody = {name: NOBODY for name in place.ids.get(route, {})}
    problem(send(place, route, None, UNKNOWN, ids=nobody), 401, "unauthenticated")


@pytest.fixture(scope="module")
def tight(tmp_path_factory):
    """A server whose callers have all used up their one request a minute."""
    data = world(tmp_path_factory.mktemp("tight"))
    flags = ["--rate-limit", "1", "--address-limit", "0", "--login-limit", "0"]
    with Server(data, *flags, limits=False) as server:
        people = {name: Account.login(server, name + "@example.org") for name in ("alpha", "admin")}
        people["user"] = Account.register(server)
        for person in people.values():
            assert person.get("/v1/me").status_code == 200
        assert server.get("/nowhere").status_code == 404
        yield types.SimpleNamespace(server=server, people=people, ids={})


def test_who_asks_goes_before_how_often_and_that_before_all_the_rest(tight):
    for route in KNOWN:
        nobody = {"id": NOBODY, "deliveryId": NOBODY}
        problem(send(tight, route, None, UNKNOWN, ids=nobody), 401, "unauthenticated")
        refused = send(tight, route, "alpha" if route in CLOSED and ROUTES[route][1] == "user" else "user", UNKNOWN, ids=nobody)
        problem(refused, 429, "rate_limited")
        assert int(refused.headers["Retry-After"]) > 0 and refused.headers["RateLimit"].startswith('"default";r=0;')


@pytest.mark.parametrize("route", NAMED)
def test_not_found_goes_before_the_key(place, route):
    nobody = {name: NOBODY for name in place.ids[route]}
    problem(send(place, route, ROUTES[route][0], UNKNOWN, ids=nobody), 404, "not_found")
    problem(send(place, route, ROUTES[route][0], UNKNOWN, ids=nobody, key="used"), 404, "not_found")


@pytest.mark.parametrize("route", CLOSED)
def test_forbidden_goes_before_the_key(place, route):
    problem(send(place, route, ROUTES[route][1], UNKNOWN), 403, "forbidden")
    problem(send(place, route, ROUTES[route][1], UNKNOWN, key="used"), 403, "forbidden")


@pytest.mark.parametrize("route", ROUTES)
def test_a_missing_key_goes_before_the_fields(place, route):
    problem(send(place, route, ROUTES[route][0], UNKNOWN), 400, "idempotency_key_required")
    problem(send(place, route, ROUTES[route][0], UNKNOWN, key="k" * 256), 400, "idempotency_key_required")


@pytest.mark.parametrize("route", ROUTES)
def test_a_conflict_goes_before_the_fields(place, route):
    problem(send(place, route, ROUTES[route][0], {"x-other": 1}, key="used"), 422, "idempotency_conflict")


@pytest.mark.parametrize("route", KNOWN)
def test_a_stored_answer_goes_before_the_fields(place, route):
    first = place.answers[route]
    again = send(place, route, ROUTES[route][0], UNKNOWN, key="changed")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first.headers


@pytest.mark.parametrize("route", ROUTES)
def test_the_fields_go_before_the_state(place, route):
    """Everything was carried out once: whatever state forbids it now, the fields are told first."""
    problem(send(place, route, ROUTES[route][0], UNKNOWN, key=uuid.uuid4().hex), 422, "validation_failed")


@pytest.mark.parametrize("route, who, body", [
    ("/v1/proposals", "user", {"serviceId": "nobody-lists-this", "x-unknown": 1}),
    ("/v1/proposals", "user", {"serviceId": "nobody-lists-this", "kind": "trial", "maxTokens": 1}),
    ("/v1/sessions", "user", {"proposalId": NOBODY, "x-unknown": 1}),
    ("/v1/sessions", "user", {"serviceId": "nobody-lists-this", "offerId": "main", "kind": "paid"}),
    ("/v1/provider/tokens/report", "alpha", {"sessionId": NOBODY, "reportNo": 0, "units": 0}),
    ("/v1/admin/grants", "admin", {"userId": NOBODY, "x-unknown": 1}),
    ("/v1/admin/payouts", "admin", {"providerId": "nobody", "amountMicrotokens": 1}),
    ("/v1/admin/refunds", "admin", {"captureId": NOBODY, "x-unknown": 1}),
])
def test_what_the_body_names_and_is_not_there_goes_before_the_fields(place, route, who, body):
    problem(send(place, route, who, body, key=uuid.uuid4().hex), 404, "not_found")


@pytest.mark.parametrize("method, path, who, status", [
    ("POST", f"/v1/admin/users/{NOBODY}/freeze", "admin", 404), ("PUT", f"/v1/admin/users/{NOBODY}/role", "admin", 404),
    ("PUT", "/v1/admin/users/own/role", "admin", 403), ("POST", f"/v1/admin/accounts/{NOBODY}/freeze", "admin", 404),
    ("POST", f"/v1/admin/purchases/{NOBODY}/unflag", "admin", 404), ("PATCH", f"/v1/provider/webhooks/{NOBODY}", "alpha", 404),
    ("GET", f"/v1/provider/webhooks/{NOBODY}/deliveries?limit=0", "alpha", 404), ("POST", f"/v1/sessions/{NOBODY}/heartbeat", "user", 404),
    ("POST", "/v1/sessions/own/heartbeat", "user", 403),
])
def test_without_a_key_too_what_is_there_goes_before_the_fields(place, method, path, who, status):
    own = place.reported if "sessions" in path else place.people["admin"].get("/v1/me").json()["id"]
    answer = place.people[who].call(method, path.replace("own", own), UNKNOWN)
    problem(answer, status, "not_found" if status == 404 else "forbidden")


def test_after_the_fields_come_the_id_the_state_and_the_amount(place):
    def report(**body):
        return send(place, "/v1/provider/tokens/report", "alpha", {"sessionId": place.reported, **body}, key=uuid.uuid4().hex)

    most = 1_000_000_000_000  # units; times the price it is more than one movement may be
    problem(report(reportNo=2, units=most), 422, "amount_out_of_range")
    answered(place.people["user"].post(f"/v1/sessions/{place.reported}/complete", {}, key=uuid.uuid4().hex), 200)
    problem(report(reportNo=1, units=3), 422, "id_exists_different")
    problem(report(reportNo=3, units=most), 409, "invalid_transition")
    problem(report(reportNo=3, units=most + 1), 422, "validation_failed")


# MARK: in flight

def test_a_purchase_that_waits_for_its_processor_keeps_nobody_waiting(place):
    user, key = place.people["user"], uuid.uuid4().hex
    place.till.open.clear()
    place.till.asked.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(Account(place.server, user.token).post, "/v1/tokens/purchase", {"tokenAmount": 200}, key)
        try:
            assert place.till.asked.wait(10)
            start = time.monotonic()
            refused = user.post("/v1/tokens/purchase", {"tokenAmount": 200}, key)
            problem(refused, 409, "idempotency_in_flight")
            assert int(refused.headers["Retry-After"]) >= 1 and time.monotonic() - start < 1.5
            problem(user.post("/v1/tokens/purchase", {"tokenAmount": 300}, key), 409, "idempotency_in_flight")
        finally:
            place.till.open.set()
        made = first.result(20)
    assert made.status_code == 201, made.text
    again = user.post("/v1/tokens/purchase", {"tokenAmount": 200}, key)
    assert again.content == made.content and again.headers["Idempotent-Replayed"] == "true"
    problem(user.post("/v1/tokens/purchase", {"tokenAmount": 300}, key), 422, "idempotency_conflict")


@pytest.fixture
def slow(tmp_path):
    """A disk whose syncs can be made to take three seconds, and a data folder on it."""
    data = world(tmp_path)
    return data, Faults(tmp_path)


def at_once(server, user, proposal, key, faults):
    """A confirmation that the disk holds up, and its repeat once it does, with the seconds that took."""
    syncs = faults.syncs
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(Account(server, user.token).confirm, proposal, key)
        until(lambda: faults.syncs > syncs)
        start = time.monotonic()
        repeat = user.confirm(proposal, key)
        seconds = time.monotonic() - start
        return first.result(30), repeat, seconds


def test_a_repeat_waits_for_a_short_first_and_gets_its_answer(slow):
    data, faults = slow
    with Server(data, "--in-flight-ms", "20000", env=faults.environment) as server:
        user = Account.register(server)
        proposal = user.propose("alpha-trial")["id"]
        faults.set(b"d")
        first, repeat, seconds = at_once(server, user, proposal, "one", faults)
        faults.set(b"n")
        assert first.status_code == 201 and seconds > 1, "it waited"
        assert repeat.content == first.content and repeat.headers["Idempotent-Replayed"] == "true"


def test_a_repeat_of_a_first_that_takes_too_long_is_in_flight(slow):
    data, faults = slow
    with Server(data, "--in-flight-ms", "300", env=faults.environment) as server:
        user = Account.register(server)
        proposal = user.propose("alpha-trial")["id"]
        faults.set(b"d")
        first, repeat, seconds = at_once(server, user, proposal, "one", faults)
        faults.set(b"n")
        problem(repeat, 409, "idempotency_in_flight")
        assert int(repeat.headers["Retry-After"]) >= 1 and seconds < 2.5
        assert first.status_code == 201
        again = user.confirm(proposal, "one")
        assert again.content == first.content and again.headers["Idempotent-Replayed"] == "true"
        assert len(user.get("/v1/sessions").json()["sessions"]) == 1


def test_a_hundred_confirmations_at_once_with_one_key_are_one_session(place):
    user = Account.register(place.server)
    proposal = user.propose("alpha-trial")["id"]
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: Account(place.server, user.token).confirm(proposal, "same"), range(100)))
    assert {answer.status_code for answer in answers} == {201} and len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 99
    assert len(user.get("/v1/sessions").json()["sessions"]) == 1
