"""What a refusal is when several things are wrong, how often callers may ask, and the headers of every answer."""

import re
import time
import uuid

import pytest
import requests

import harness
from harness import Account, Chat, Server, fresh_key, problem

METHODS = {"get", "put", "post", "delete", "patch"}
BIG = b'{"serviceId": "' + b"x" * 70_000


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    data = tmp_path_factory.mktemp("refusals") / "data"
    rows = harness.write_rows(data.parent / "few.jsonl", harness.read_rows(harness.SERVICES, 60))
    harness.cli("import", rows, "--data", data, "--no-embed")
    harness.add_user(data, "admin", "admin@example.org")
    harness.add_user(data, "provider", "alpha@example.org", "alpha")
    harness.add_user(data, "provider", "beta@example.org", "beta")
    with Server(data, "--cors-origins", "https://one.example") as server:
        yield server


def raw(server, method, path, data, token=None, **headers):
    headers = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    if token:
        headers["Authorization"] = "Bearer " + token
    return requests.request(method, server.url + path, data=data, headers=headers, timeout=20)


# Two things are wrong at once; the code is that of the first (core specification, 8.1 "Precedence").
ORDER = [
    ("size before syntax", "POST", "/v1/proposals", BIG, "user", 413, "body_too_large"),
    ("size before who asks", "POST", "/v1/proposals", BIG, None, 413, "body_too_large"),
    ("syntax before who asks", "POST", "/v1/proposals", b"{", None, 400, "malformed_json"),
    ("syntax before a bad token", "POST", "/v1/proposals", b"[]", "wrong", 400, "malformed_json"),
    ("syntax before not found", "POST", "/v1/sessions/none/pause", b"{", "user", 400, "malformed_json"),
    ("who asks before not found", "GET", "/v1/sessions/none", None, None, 401, "unauthenticated"),
    ("who asks before the key", "POST", "/v1/sessions", b"{}", None, 401, "unauthenticated"),
    ("who asks before the fields", "POST", "/v1/proposals", b'{"x": 1}', None, 401, "unauthenticated"),
    ("a bad token before the fields", "POST", "/v1/proposals", b'{"x": 1}', "wrong", 401, "token_invalid"),
    ("not found before forbidden", "PUT", "/v1/provider/services/alpha-draft", b"{}", "beta", 404, "not_found"),
    ("not found before the key", "POST", "/v1/sessions/none/pause", b"{}", "user", 404, "not_found"),
    ("forbidden before the key", "POST", "/v1/provider/webhooks", b"{}", "user", 403, "forbidden"),
    ("forbidden before the fields", "POST", "/v1/admin/grants", b'{"x": 1}', "user", 403, "forbidden"),
    ("forbidden before validation", "PUT", "/v1/provider/services/alpha-public", b'{"x": 1}', "beta", 403, "forbidden"),
    ("the key before the fields", "POST", "/v1/sessions", b'{"x": 1}', "user", 400, "idempotency_key_required"),
    ("the fields before the state", "POST", "/v1/provider/webhooks", b'{"x": 1}', "alpha", 422, "validation_failed"),
]


@pytest.fixture(scope="module")
def people(house):
    people = {name: Account.login(house, name + "@example.org") for name in ("alpha", "beta", "admin")}
    people["user"] = Account.register(house)
    listing = {"name": "Heron", "kind": "api", "description": "An invented listing.", "categories": ["Databases"]}
    assert people["alpha"].put("/v1/provider/services/alpha-public", listing).status_code == 201
    assert people["alpha"].put("/v1/provider/services/alpha-draft", {**listing, "status": "draft"}).status_code == 201
    return people


@pytest.mark.parametrize("name, method, path, data, who, status, code", ORDER, ids=[row[0] for row in ORDER])
def test_the_first_of_two_faults_is_told(house, people, name, method, path, data, who, status, code):
    token = "no.such.token" if who == "wrong" else people[who].token if who else None
    more = {"Idempotency_Key": uuid.uuid4().hex} if "before the state" in name else {}
    problem(raw(house, method, path, data, token, **more), status, code)


def test_another_content_type_is_refused_before_who_asks(house):
    problem(raw(house, "POST", "/v1/proposals", b"<a/>", Content_Type="text/xml"), 415, "unsupported_media_type")


def test_every_route_with_a_key_asks_for_it_before_it_looks_at_the_fields(house, people):
    document = house.get("/openapi.json").json()
    tried = 0
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method not in METHODS or operation.get("x-repeats") != "Idempotency-Key" or "{" in path:
                continue
            callers = operation["x-callers"]
            who = people["admin" if callers == ["admin"] else "alpha" if callers == ["provider"] else "user"]
            problem(who.call(method.upper(), path, {"x-unknown": 1}), 400, "idempotency_key_required")
            tried += 1
    assert tried >= 8


def test_who_asks_goes_before_how_often_and_that_before_what_is_there(small):
    with Server(small, "--rate-limit", "3", "--login-limit", "9", limits=False) as server:
        user = Account.register(server)
        assert [user.get("/v1/me").status_code for _ in range(4)] == [200, 200, 200, 429]
        problem(user.get("/v1/sessions/none"), 429, "rate_limited")
        assert [server.get("/nowhere").status_code for _ in range(4)] == [404, 404, 404, 429]
        problem(server.get("/v1/me"), 401, "unauthenticated")
        problem(requests.delete(server.url + "/v1/providers", timeout=5), 429, "rate_limited")


# MARK: limits


def limit(answer):
    policy = re.fullmatch(r'"([\w-]+)";q=(\d+);w=(\d+)', answer.headers["RateLimit-Policy"])
    state = re.fullmatch(r'"([\w-]+)";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    assert policy.group(1) == state.group(1)
    return policy.group(1), int(policy.group(2)), int(policy.group(3)), int(state.group(2)), int(state.group(3))


def test_each_kind_of_request_has_a_policy_of_its_own(small):
    flags = ["--rate-limit", "50", "--search-limit", "7", "--login-limit", "4", "--register-limit", "3", "--chat-limit", "2"]
    with Server(small, *flags, limits=False) as server:
        account = {"email": "p@example.org", "password": harness.PASSWORD}
        answers = {
            "default": server.get("/v1/providers"), "search": server.get("/v1/suggest?q=a"),
            "login": server.post("/v1/auth/login", account), "chat": Chat(server).send({"text": "images"}),
            "register": server.post("/v1/auth/register", account, headers=fresh_key()),
        }
        quotas = {"default": (50, 60), "search": (7, 1), "login": (4, 60), "register": (3, 60), "chat": (2, 60)}
        for name, answer in answers.items():
            assert limit(answer)[:4] == (name, *quotas[name], quotas[name][0] - 1), name
        for _ in range(3):
            server.post("/v1/auth/register", account, headers=fresh_key())
        assert server.post("/v1/auth/register", account, headers=fresh_key()).status_code == 429
        assert server.post("/v1/auth/login", account).status_code == 200, "a sign-in is no registration"


def test_refusals_say_the_allowance_too(small):
    with Server(small, "--rate-limit", "5", "--login-limit", "9", limits=False) as server:
        user = Account.register(server)
        for answer, left in [(user.get("/v1/sessions/none"), 4), (user.put("/v1/tokens/limits", {"x": 1}), 3),
                             (user.get("/v1/ledger/verify"), 2)]:
            assert answer.status_code >= 400 and limit(answer)[3] == left
        assert limit(server.get("/nowhere"))[3] == 4 and limit(server.get("/v1/me"))[3] == 3
        assert limit(Account(server, "a.b.c").get("/v1/me"))[3] == 3, "what names nobody is not counted here"
        [user.get("/v1/me") for _ in range(3)]
        refused = user.get("/v1/me")
        problem(refused, 429, "rate_limited")
        assert limit(refused)[3] == 0 and limit(refused)[4] == int(refused.headers["Retry-After"]) <= 12
        assert "RateLimit" not in server.get("/healthz").headers


def test_an_address_with_many_accounts_is_bounded(small):
    flags = ["--rate-limit", "5", "--address-limit", "8", "--login-limit", "0"]
    with Server(small, *flags, limits=False) as server:
        one, two = Account.register(server), Account.register(server)
        said = [limit(one.get("/v1/me")) for _ in range(4)]
        assert [(name, left) for name, _, _, left, _ in said] == [("address", 5), ("address", 4), ("address", 3), ("default", 1)]
        assert [two.get("/v1/me").status_code for _ in range(3)] == [200, 200, 429]
        refused = two.get("/v1/me")
        problem(refused, 429, "rate_limited")
        name, quota, window, left, seconds = limit(refused)
        assert (name, quota, window, left) == ("address", 8, 60, 0) and seconds == int(refused.headers["Retry-After"]) <= 8
        problem(server.get("/v1/providers"), 429, "rate_limited")
        assert limit(server.get("/nowhere"))[0] == "address"
        assert server.get("/healthz").status_code == 200


def test_the_policy_nearest_to_its_end_is_said(small):
    with Server(small, "--rate-limit", "50", "--address-limit", "60", "--login-limit", "0", limits=False) as server:
        first, second = Account.register(server), Account.register(server)
        assert limit(first.get("/v1/me"))[:2] == ("address", 60), "three of its sixty are gone, one of the user's fifty"
        for _ in range(20):
            last = first.get("/v1/me")
        assert limit(last)[:2] == ("default", 50), "21 of 50 are more than 23 of 60"
        assert limit(second.get("/v1/me"))[:2] == ("address", 60)
        key = first.post("/v1/me/keys", {"name": "slow", "scopes": ["discovery:read"], "maxPerMinute": 2}, key=uuid.uuid4().hex)
        program = Account(server, key.json()["secret"])
        assert limit(program.get("/v1/providers"))[:4] == ("key", 2, 60, 1)
        program.get("/v1/providers")
        refused = program.get("/v1/providers")
        problem(refused, 429, "rate_limited")
        assert limit(refused)[:4] == ("key", 2, 60, 0)


def test_a_search_that_waits_as_told_is_let_in(small):
    with Server(small, "--search-limit", "2", limits=False) as server:
        http = requests.Session()
        codes = [http.get(server.url + "/v1/suggest?q=a", timeout=5) for _ in range(6)]
        refused = [answer for answer in codes if answer.status_code == 429]
        assert refused and {answer.status_code for answer in codes} == {200, 429}
        time.sleep(int(refused[-1].headers["Retry-After"]))
        assert http.get(server.url + "/v1/suggest?q=a", timeout=5).status_code == 200
        assert http.get(server.url + "/v1/providers", timeout=5).status_code == 200, "the other allowance is untouched"


# MARK: headers

HEADERS = {
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
                               "base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'",
}


@pytest.mark.parametrize("path", ["/healthz", "/v1/providers", "/v1/me", "/nowhere", "/docs", "/openapi.json", "/demo/app"])
def test_every_answer_has_the_headers_that_keep_it_safe(house, path):
    answer = house.get(path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.headers["X-Request-Id"] and answer.headers["Cache-Control"]
    assert "Strict-Transport-Security" not in answer.headers, "plain loopback has no TLS to hold to"


def test_what_never_becomes_a_request_is_refused_safely_too(house):
    answer = house.get("/healthz?a=" + "a" * 9_000)
    assert answer.status_code == 414 and answer.headers["Content-Type"] == "application/problem+json"
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_https_is_held_to_for_a_year(small):
    with Server(small, "--public-url", "https://waypost.example", "--trusted-proxies", "127.0.0.1") as server:
        for path in ("/healthz", "/nowhere", "/v1/me"):
            value = server.get(path).headers["Strict-Transport-Security"]
            assert int(re.match(r"max-age=(\d+); includeSubDomains$", value).group(1)) >= 31_536_000


@pytest.mark.parametrize("origin", ["https://two.example", "https://one.example.evil", "http://one.example", "https://one.example:444", "null"])
def test_an_origin_that_is_not_listed_gets_no_permission(house, origin):
    answer = house.get("/v1/providers", headers={"Origin": origin})
    assert answer.status_code == 200 and not [name for name in answer.headers if name.startswith("Access-Control")]
    assert "Origin" in answer.headers["Vary"]
    assert requests.options(house.url + "/v1/sessions", headers={"Origin": origin}, timeout=5).status_code == 403


def test_a_listed_origin_is_named_and_never_the_star(house):
    origin = {"Origin": "https://one.example"}
    for answer in (house.get("/v1/providers", headers=origin), house.get("/v1/me", headers=origin), house.get("/nowhere", headers=origin)):
        assert answer.headers["Access-Control-Allow-Origin"] == "https://one.example" and "Origin" in answer.headers["Vary"]
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    ahead = requests.options(house.url + "/v1/sessions", headers=origin, timeout=5)
    assert ahead.status_code == 204 and int(ahead.headers["Access-Control-Max-Age"]) <= 600
    assert set(ahead.headers["Access-Control-Allow-Methods"].split(", ")) == {"GET", "POST"}
    assert "*" not in {value for name, value in ahead.headers.items() if name.startswith("Access-Control")}
