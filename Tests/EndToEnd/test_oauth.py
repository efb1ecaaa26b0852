"""Third parties' programs, as Authlib drives them; sign-in through a real OpenID provider; pairwise ids."""

import base64
import contextlib
import hashlib
import http.server
import json
import logging
import os
import re
import secrets
import threading
import types
import urllib.parse
import uuid

import jwt
import pytest
import requests

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback has no TLS
from authlib.integrations.requests_client import OAuth2Session  # noqa: E402

import harness
from browser import Browser
from harness import Account, Server, problem

EMAIL = "ann@example.org"
CALLBACK = "http://127.0.0.1/cb"
SITE = "https://app.example/cb"
SCOPES = "discovery:read sessions:end sessions:read trials:start"


def prepare(folder, *flags, env=None):
    rows = harness.write_rows(folder / "few.jsonl", harness.read_rows(harness.SERVICES, 60))
    harness.cli("import", rows, "--data", folder / "data", "--no-embed")
    harness.add_user(folder / "data", "admin", "admin@example.org")
    harness.add_user(folder / "data", "user", EMAIL)
    return Server(folder / "data", *flags, env=env)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A small server with two registered programs: one on people's machines, one that keeps a secret."""
    folder = tmp_path_factory.mktemp("oauth")
    server = prepare(folder)
    data = folder / "data"
    native = harness.cli(
        "clients", "add", "--data", data, "--name", "Native <b>tool</b>", "--redirect-uri", CALLBACK,
        "--redirect-uri", SITE).stdout.split()
    closed = harness.cli(
        "clients", "add", "--data", data, "--name", "Site", "--redirect-uri", SITE,
        "--confidential", "--scopes", "discovery:read").stdout.split()
    key = harness.add_key(data)
    with server:
        yield types.SimpleNamespace(
            server=server, native=native[0], closed=closed[0], secret=closed[1],
            provider=Account(server, key))


def session(place, scope=SCOPES, redirect="http://127.0.0.1:51004/cb", client=None, **more):
    return OAuth2Session(
        client or place.native, scope=scope, redirect_uri=redirect, code_challenge_method="S256",
        token_endpoint_auth_method=more.pop("method", "none"), **more)


def address(place, oauth, verifier=None, **more):
    verifier = verifier or secrets.token_urlsafe(48)
    url, state = oauth.create_authorization_url(
        place.server.url + "/oauth/authorize", code_verifier=verifier, **more)
    return url, state, verifier


def consent(place, url, browser=None, decision="allow"):
    """Signs in where that is asked for, and decides; gives the page that leads to the program."""
    browser = browser or Browser(place.server)
    page = browser.open(url)
    if 'name="password"' in page.text:
        page = browser.sign_in(page, EMAIL, harness.PASSWORD)
    assert page.status == 200 and 'value="allow"' in page.text, page.text
    return page.send(decision=decision)


def granted(place, scope=SCOPES, **more):
    """A whole flow: the session with its token."""
    oauth = session(place, scope)
    url, _, verifier = address(place, oauth, **more)
    answer = consent(place, url)
    token = oauth.fetch_token(
        place.server.url + "/oauth/token", authorization_response=answer.location,
        code_verifier=verifier)
    return oauth, token


def exchange(place, code, verifier, redirect="http://127.0.0.1:51004/cb", client=None, **more):
    fields = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier,
              "redirect_uri": redirect, "client_id": client or place.native, **more}
    return requests.post(place.server.url + "/oauth/token", data=fields, timeout=60)


def renew(place, token, **more):
    fields = {"grant_type": "refresh_token", "refresh_token": token, "client_id": place.native,
              **more}
    return requests.post(place.server.url + "/oauth/token", data=fields, timeout=60)


def refused(answer, code, status=400):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["error"] == code, answer.text


def bearer(place, token, method, path, **more):
    headers = {"Authorization": "Bearer " + token, "Idempotency-Key": uuid.uuid4().hex}
    return requests.request(method, place.server.url + path, headers=headers, timeout=60, **more)


# The descriptions.


def test_the_server_describes_itself(place):
    url = place.server.url
    answer = requests.get(url + "/.well-known/oauth-authorization-server", timeout=60)
    about = answer.json()
    assert about["issuer"] == url
    assert about["code_challenge_methods_supported"] == ["S256"]
    assert about["response_types_supported"] == ["code"]
    assert set(about["grant_types_supported"]) == {"authorization_code", "refresh_token"}
    assert about["authorization_response_iss_parameter_supported"] is True
    assert about["client_id_metadata_document_supported"] is True
    for part in ["", "/mcp"]:
        resource = requests.get(url + "/.well-known/oauth-protected-resource" + part, timeout=60)
        assert resource.json()["resource"] == url + part
        assert resource.json()["authorization_servers"] == [url]


def test_a_401_says_where_to_ask(place):
    answer = requests.get(place.server.url + "/v1/sessions", timeout=60)
    assert answer.status_code == 401
    where = re.search(r'resource_metadata="([^"]+)"', answer.headers["WWW-Authenticate"]).group(1)
    assert requests.get(where, timeout=60).json()["resource"] == place.server.url


# The whole flow.


def test_authlib_gets_uses_renews_and_revokes_a_token(place):
    oauth, token = granted(place)
    assert token["scope"] == SCOPES and token["expires_in"] == 900
    keys = jwt.PyJWKClient(place.server.url + "/.well-known/jwks.json")
    claims = jwt.decode(
        token["access_token"], keys.get_signing_key_from_jwt(token["access_token"]).key,
        algorithms=["ES256"], audience=place.server.url, issuer=place.server.url)
    assert claims["client_id"] == place.native and claims["scope"] == SCOPES
    assert jwt.get_unverified_header(token["access_token"])["typ"] == "at+jwt"
    assert EMAIL not in json.dumps(claims)
    assert oauth.get(place.server.url + "/v1/sessions").status_code == 200
    fresh = oauth.refresh_token(place.server.url + "/oauth/token", token["refresh_token"])
    assert fresh["refresh_token"] != token["refresh_token"]
    assert oauth.get(place.server.url + "/v1/providers/search?q=image").status_code == 200
    gone = oauth.revoke_token(
        place.server.url + "/oauth/revoke", fresh["refresh_token"], "refresh_token")
    assert gone.status_code == 200
    for used in (token["access_token"], fresh["access_token"]):
        assert bearer(place, used, "GET", "/v1/sessions").status_code == 401
    refused(renew(place, fresh["refresh_token"]), "invalid_grant")


def test_a_confidential_program_needs_its_secret(place):
    oauth = session(
        place, "discovery:read", SITE, place.closed, client_secret=place.secret,
        method="client_secret_basic")
    url, _, verifier = address(place, oauth)
    answer = consent(place, url)
    code = answer.parameters()["code"]
    refused(exchange(place, code, verifier, SITE, place.closed), "invalid_client", 401)
    refused(exchange(place, code, verifier, SITE, place.closed, client_secret="wrong"),
            "invalid_client", 401)
    token = oauth.fetch_token(
        place.server.url + "/oauth/token", authorization_response=answer.location,
        code_verifier=verifier)
    assert token["scope"] == "discovery:read"


def test_the_answer_has_state_and_issuer(place):
    oauth = session(place)
    url, state, _ = address(place, oauth)
    answer = consent(place, url)
    assert answer.status == 303
    assert answer.location.startswith("http://127.0.0.1:51004/cb?")
    parameters = answer.parameters()
    assert parameters["state"] == state and parameters["iss"] == place.server.url


def test_a_no_goes_back_as_access_denied(place):
    url, state, _ = address(place, session(place))
    parameters = consent(place, url, decision="deny").parameters()
    assert parameters["error"] == "access_denied" and parameters["state"] == state
    assert parameters["iss"] == place.server.url and "code" not in parameters


def test_a_program_that_is_let_in_is_listed_and_can_be_put_out(place):
    oauth, token = granted(place)
    person = Account.login(place.server, EMAIL)
    newest = person.get("/v1/me/apps").json()["apps"][0]
    assert newest["clientId"] == place.native and newest["scopes"] == SCOPES.split()
    other = Account.register(place.server)
    problem(other.delete("/v1/me/apps/" + newest["id"]), 404, "not_found")
    assert person.delete("/v1/me/apps/" + newest["id"]).status_code == 204
    assert oauth.get(place.server.url + "/v1/sessions").status_code == 401
    refused(renew(place, token["refresh_token"]), "invalid_grant")


# The page.


def test_the_page_is_safe_and_says_who_asks(place):
    browser = Browser(place.server)
    url, _, _ = address(place, session(place))
    page = browser.open(url)
    assert "Native &lt;b&gt;tool&lt;/b&gt;" in page.text and "<b>" not in page.text
    assert "<script" not in page.text and "style=" not in page.text
    policy = page.answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert policy.endswith("form-action 'self'")
    page = browser.sign_in(page, EMAIL, harness.PASSWORD)
    assert EMAIL in page.text and "start them" in page.text
    policy = page.answer.headers["Content-Security-Policy"]
    assert policy.endswith("form-action 'self' http://127.0.0.1:51004")
    css = requests.get(place.server.url + "/oauth/page.css", timeout=60)
    assert css.headers["Content-Type"].startswith("text/css")


def test_a_link_from_another_site_is_looked_at_twice(place):
    browser = Browser(place.server)
    url, _, _ = address(place, session(place))
    page = browser.open(url, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    target = re.search(r'url=([^"]+)"', page.text).group(1).replace("&amp;", "&")
    assert target.startswith("/oauth/authorize?") and 'http-equiv="refresh"' in page.text
    page = browser.open(target, Sec_Fetch_Site="cross-site")
    assert 'name="password"' in page.text


def test_a_wrong_password_signs_nobody_in(place):
    browser = Browser(place.server)
    url, _, _ = address(place, session(place))
    page = browser.open(url).send(email=EMAIL, password="not the right one")
    assert page.status == 401 and 'role="alert"' in page.text
    assert "waypost_refresh" not in browser.http.cookies
    assert 'name="password"' in browser.open(url).text


def test_forms_are_taken_from_our_own_page_and_browser_only(place):
    browser = Browser(place.server)
    url, _, _ = address(place, session(place))
    page = browser.sign_in(browser.open(url), EMAIL, harness.PASSWORD)
    fields = {**page.fields(), "decision": "allow"}
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"},
                    {"Sec_Fetch_Site": "cross-site"}):
        problem(browser.post("/oauth/authorize", fields, **headers).answer, 403,
                "origin_not_allowed")
    # Another person's form in this browser, and this form in another's.
    other = Browser(place.server)
    theirs = other.sign_in(other.open(url), EMAIL, harness.PASSWORD)
    problem(browser.post("/oauth/authorize", {**theirs.fields(), "decision": "allow"}).answer,
            403, "forbidden")
    problem(Browser(place.server).post("/oauth/authorize", fields).answer, 401, "unauthenticated")
    changed = {**fields, "request": fields["request"][:-4] + "AAAA"}
    problem(browser.post("/oauth/authorize", changed).answer, 403, "forbidden")
    assert browser.post("/oauth/authorize", fields).status == 303


# Refusals.


@pytest.mark.parametrize("redirect", [
    "https://evil.example/cb", "https://app.example/cb/", "https://app.example/cb?x=1",
    "https://app.example.evil.example/cb", "https://app.example@evil.example/cb",
    "https://app.example/cb#x", "http://app.example/cb", "http://127.0.0.1:51004/other",
    "http://127.0.0.1:51004@evil.example/cb", "http://localhost:51004/cb", "javascript:alert(1)",
    "http://127.0.0.1:51004/cb\r\nX: y", "//evil.example/cb", "",
])
def test_an_address_that_is_not_the_programs_is_never_gone_to(place, redirect):
    url, _, _ = address(place, session(place, redirect="http://127.0.0.1:51004/cb"))
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query))
    query["redirect_uri"] = redirect
    page = Browser(place.server).open("/oauth/authorize?" + urllib.parse.urlencode(query))
    assert page.status == 400 and page.location is None
    assert "evil.example" not in page.text


@pytest.mark.parametrize("change, error", [
    ({"state": None}, "invalid_request"), ({"response_type": "token"}, "unsupported_response_type"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"scope": "admin"}, "invalid_scope"), ({"resource": "https://other.example"}, "invalid_target"),
])
def test_other_mistakes_go_back_to_the_program(place, change, error):
    url, _, _ = address(place, session(place))
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    query.update(change)
    query = {name: value for name, value in query.items() if value is not None}
    page = Browser(place.server).open("/oauth/authorize?" + urllib.parse.urlencode(query))
    assert page.status == 303
    assert page.location.startswith("http://127.0.0.1:51004/cb?")
    assert page.parameters()["error"] == error and "code" not in page.parameters()


def test_a_parameter_that_stands_twice_is_refused(place):
    url, _, _ = address(place, session(place))
    page = Browser(place.server).open(url + "&redirect_uri=https%3A%2F%2Fevil.example%2F")
    assert page.status == 400 and page.location is None


def test_a_wrong_verifier_gets_nothing(place):
    url, _, verifier = address(place, session(place))
    code = consent(place, url).parameters()["code"]
    refused(exchange(place, code, secrets.token_urlsafe(48)), "invalid_grant")
    refused(exchange(place, code, ""), "invalid_request")
    refused(exchange(place, code, verifier, "http://127.0.0.1:51005/cb"), "invalid_grant")
    refused(exchange(place, code, verifier, client=place.closed, client_secret=place.secret),
            "invalid_grant")
    assert exchange(place, code, verifier).status_code == 200


def test_a_code_that_comes_again_ends_what_came_of_it(place):
    url, _, verifier = address(place, session(place))
    code = consent(place, url).parameters()["code"]
    first = exchange(place, code, verifier).json()
    assert bearer(place, first["access_token"], "GET", "/v1/sessions").status_code == 200
    refused(exchange(place, code, verifier), "invalid_grant")
    assert bearer(place, first["access_token"], "GET", "/v1/sessions").status_code == 401
    refused(renew(place, first["refresh_token"]), "invalid_grant")


def test_an_old_refresh_token_ends_the_grant(place):
    _, token = granted(place)
    one = renew(place, token["refresh_token"]).json()
    assert renew(place, token["refresh_token"]).json()["refresh_token"] == one["refresh_token"]
    two = renew(place, one["refresh_token"]).json()
    refused(renew(place, token["refresh_token"]), "invalid_grant")
    refused(renew(place, two["refresh_token"]), "invalid_grant")
    assert bearer(place, two["access_token"], "GET", "/v1/sessions").status_code == 401


@pytest.mark.parametrize("grant", ["password", "client_credentials", "implicit", "urn:x"])
def test_there_are_no_other_grants(place, grant):
    answer = requests.post(
        place.server.url + "/oauth/token", timeout=60,
        data={"grant_type": grant, "client_id": place.native, "username": EMAIL,
              "password": harness.PASSWORD})
    refused(answer, "unsupported_grant_type")


def test_the_token_endpoint_takes_forms_only(place):
    answer = requests.post(place.server.url + "/oauth/token", timeout=60,
                           json={"grant_type": "refresh_token"})
    refused(answer, "invalid_request")


# Scopes.

OPEN = {
    "discovery:read": r"(GET|POST) /v1/(providers|services|compare|cost|suggest|facets/search|"
                      r"search:batch|ranking|meta/schema|events)(/|$)",
    "trials:start": r"POST /v1/proposals(/|$)|GET /v1/proposals(/|$)|POST /v1/sessions$|"
                    r"POST /v1/sessions/\{id\}/extend$",
    "sessions:read": r"GET /v1/sessions(/\{id\})?$|GET /v1/tokens/",
    "sessions:end": r"DELETE /v1/sessions/\{id\}$|POST /v1/sessions/\{id\}/(pause|resume|complete)$",
}
# They look at no bearer: sign-in, probes, pages, descriptions.
DEAF = re.compile(r"^/v1/auth/(?!sessions)|^/oauth/|^/\.well-known/|^/(healthz|readyz|metrics)$|^/demo/|"
                  r"^/v1/payments/webhook$")


def routes():
    page = (harness.ROOT / "Pages/http-api.md").read_text()
    rows = re.findall(r"^\| (GET|POST|PUT|PATCH|DELETE) \| (/\S*) \|", page, re.M)
    return [(method, path) for method, path in rows if not DEAF.search(path)]


@pytest.mark.parametrize("scope", SCOPES.split())
def test_a_scope_opens_its_routes_and_no_others(place, scope):
    _, token = granted(place, scope)
    checked = 0
    for method, path in routes():
        if path == "/mcp":
            continue
        url = re.sub(r"\{[^}]*\}", "01hzzzzzzzzzzzzzzzzzzzzzzz", path)
        body = {} if method in ("POST", "PUT", "PATCH") else None
        answer = bearer(place, token["access_token"], method, url, json=body)
        is_open = re.match(OPEN[scope], f"{method} {path}") is not None
        name = f"{method} {path} with {scope}: {answer.status_code} {answer.text[:200]}"
        if is_open:
            assert answer.status_code != 401, name
            assert "insufficient_scope" not in answer.headers.get("WWW-Authenticate", ""), name
            assert "programs" not in answer.text, name
        else:
            assert answer.status_code == 403, name
            assert answer.json()["code"] == "forbidden", name
        checked += 1
    assert checked > 60


def test_a_missing_scope_is_named(place):
    _, token = granted(place, "discovery:read")
    answer = bearer(place, token["access_token"], "GET", "/v1/sessions")
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert 'scope="sessions:read"' in answer.headers["WWW-Authenticate"]


def test_a_token_for_one_resource_is_worth_nothing_at_another(place):
    _, token = granted(place, resource=place.server.url + "/mcp")
    claims = jwt.decode(token["access_token"], options={"verify_signature": False})
    assert claims["aud"] == place.server.url + "/mcp"
    assert bearer(place, token["access_token"], "GET", "/v1/sessions").status_code == 401
    refused(renew(place, token["refresh_token"], resource=place.server.url), "invalid_target")


def test_an_admins_program_is_no_admin(place):
    oauth = session(place)
    url, _, verifier = address(place, oauth)
    browser = Browser(place.server)
    page = browser.sign_in(browser.open(url), "admin@example.org", harness.PASSWORD)
    token = oauth.fetch_token(
        place.server.url + "/oauth/token", code_verifier=verifier,
        authorization_response=page.send(decision="allow").location)
    problem(bearer(place, token["access_token"], "GET", "/v1/admin/users"), 403, "forbidden")


# Programs that describe themselves.


@contextlib.contextmanager
def documents(**paths):
    """A web server on loopback with JSON documents; it counts what it is asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, body = paths.get(self.path[1:], (404, b""))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", body.decode())
                body = b""
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield types.SimpleNamespace(
            url=f"http://127.0.0.1:{server.server_address[1]}", asked=asked, paths=paths)
    finally:
        server.shutdown()
        server.server_close()


def described(client, **changes):
    return json.dumps({"client_id": client, "client_name": "Described", "redirect_uris": [CALLBACK],
                       "token_endpoint_auth_method": "none", **changes}).encode()


def test_a_program_describes_itself(place):
    with documents() as web:
        client = web.url + "/client"
        web.paths["client"] = (200, described(client))
        oauth = session(place, client=client)
        url, _, verifier = address(place, oauth)
        browser = Browser(place.server)
        page = browser.sign_in(browser.open(url), EMAIL, harness.PASSWORD)
        assert "Described" in page.text and "Nobody here has checked" in page.text
        token = oauth.fetch_token(
            place.server.url + "/oauth/token", code_verifier=verifier,
            authorization_response=page.send(decision="allow").location)
        assert oauth.get(place.server.url + "/v1/sessions").status_code == 200
        assert token["scope"] == SCOPES
        assert web.asked == ["/client"]


@pytest.mark.parametrize("name", ["missing", "redirected", "other", "large", "secret", "text"])
def test_a_description_that_is_not_sound_is_refused(place, name):
    with documents() as web:
        client = f"{web.url}/{name}"
        web.paths.update({
            "redirected": (302, (web.url + "/sound").encode()), "sound": (200, described(client)),
            "other": (200, described(web.url + "/x")), "text": (200, b"hello"),
            "large": (200, described(client, note="x" * 6000)),
            "secret": (200, described(client, client_secret="x")),
        })
        url, _, _ = address(place, session(place, client=client))
        page = Browser(place.server).open(url)
        assert page.status == 401 and page.location is None
        assert "/sound" not in web.asked


@pytest.mark.parametrize("client", [
    "https://127.0.0.1:1/client", "https://10.0.0.1/client", "https://169.254.169.254/latest",
    "http://example.org/client", "https://[::1]:1/x", "https://localhost:1/x", "file:///etc/passwd",
])
def test_a_description_elsewhere_than_in_public_is_not_fetched(place, client):
    url, _, _ = address(place, session(place, client=client))
    page = Browser(place.server).open(url)
    assert page.status in (400, 401) and page.location is None


# Clients of the operator.


def test_an_admin_registers_lists_and_removes_programs(place):
    admin = Account.login(place.server, "admin@example.org")
    body = {"name": "Third", "redirectUris": [SITE], "confidential": True}
    key = uuid.uuid4().hex
    made = admin.post("/v1/admin/oauth-clients", body, key=key)
    assert made.status_code == 201, made.text
    again = admin.post("/v1/admin/oauth-clients", body, key=key)
    assert again.json() == made.json() and again.headers["Idempotent-Replayed"] == "true"
    listed = admin.get("/v1/admin/oauth-clients").json()["clients"]
    assert made.json()["id"] in [client["id"] for client in listed]
    assert "secret" not in json.dumps(listed)
    bad = admin.post("/v1/admin/oauth-clients", {"name": "", "redirectUris": ["http://x.example"]},
                     key=uuid.uuid4().hex)
    problem(bad, 422, "validation_failed")
    problem(Account.register(place.server).get("/v1/admin/oauth-clients"), 403, "forbidden")
    path = "/v1/admin/oauth-clients/" + made.json()["id"]
    assert admin.delete(path).status_code == 204
    problem(admin.delete(path), 404, "not_found")
    url, _, _ = address(place, session(place, redirect=SITE, client=made.json()["id"]))
    assert Browser(place.server).open(url).status == 401


# Sign-in through another service.


@contextlib.contextmanager
def provider():
    """A real OpenID provider; it notes the verifiers that it is sent."""
    import flask
    import oidc_provider_mock
    import werkzeug.serving

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = oidc_provider_mock.app()
    seen = []

    @app.before_request
    def note():
        if flask.request.path == "/oauth2/token":
            seen.append((flask.request.form.to_dict(), flask.request.authorization))

    server = werkzeug.serving.make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield types.SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", seen=seen)
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def federated(tmp_path_factory):
    with provider() as other:
        server = prepare(
            tmp_path_factory.mktemp("oidc"), "--oidc-issuer", other.url, "--oidc-client-id",
            "waypost", env={"WAYPOST_OIDC_SECRET": "a secret/of ours"})
        with server:
            yield types.SimpleNamespace(server=server, other=other)


def known(place, name, **claims):
    answer = requests.put(f"{place.other.url}/users/{name}", json=claims, timeout=60)
    assert answer.status_code in (200, 201, 204), answer.text


def through(place, name, browser, to="/home"):
    """Goes to the other service, signs in there, and gives the address that it sends back to."""
    page = browser.open("/v1/auth/oidc/start?returnTo=" + urllib.parse.quote(to, safe=""))
    assert page.status == 303, page.text
    sent = page.parameters()
    assert sent["code_challenge_method"] == "S256" and sent["nonce"] and sent["state"]
    answer = requests.post(page.location, data={"sub": name}, allow_redirects=False, timeout=60)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"], sent


def who(place, browser):
    answer = browser.http.post(place.server.url + "/v1/auth/refresh", timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["user"]


def test_a_new_person_gets_an_account_and_comes_back_to_it(federated):
    known(federated, "ben", email="ben@example.org", email_verified=True, name="Ben")
    browser = Browser(federated.server)
    location, sent = through(federated, "ben", browser)
    page = browser.open(location)
    assert page.status == 303 and page.location == "/home", page.text
    user = who(federated, browser)
    assert user["email"] == "ben@example.org" and user["verified"] is True
    form, proof = federated.other.seen[-1]
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == sent["code_challenge"]
    assert urllib.parse.unquote(proof.password) == "a secret/of ours"
    again = Browser(federated.server)
    assert again.open(through(federated, "ben", again)[0]).status == 303
    assert who(federated, again)["id"] == user["id"]


def test_an_account_of_the_same_e_mail_is_joined_by_its_password_only(federated):
    known(federated, "ann-there", email=EMAIL.upper(), email_verified=True)
    browser = Browser(federated.server)
    page = browser.open(through(federated, "ann-there", browser)[0])
    assert page.status == 200 and 'name="password"' in page.text
    assert "waypost_refresh" not in browser.http.cookies
    wrong = page.send(password="not the right one")
    assert wrong.status == 401 and "waypost_refresh" not in browser.http.cookies
    fields = {**page.fields(), "password": harness.PASSWORD}
    problem(Browser(federated.server).post("/v1/auth/oidc/link", fields).answer, 403, "forbidden")
    assert wrong.send(password=harness.PASSWORD).status == 303
    mine = who(federated, browser)
    assert mine["email"] == EMAIL
    later = Browser(federated.server)
    assert later.open(through(federated, "ann-there", later)[0]).status == 303
    assert who(federated, later)["id"] == mine["id"]


def test_an_e_mail_that_is_not_verified_is_no_way_in(federated):
    known(federated, "eve", email=EMAIL, email_verified=False)
    browser = Browser(federated.server)
    problem(browser.open(through(federated, "eve", browser)[0]).answer, 403, "forbidden")
    assert "waypost_refresh" not in browser.http.cookies


def test_an_answer_counts_once_and_in_its_own_browser(federated):
    known(federated, "cid", email="cid@example.org", email_verified=True)
    browser = Browser(federated.server)
    location, _ = through(federated, "cid", browser)
    problem(Browser(federated.server).open(location).answer, 401, "unauthenticated")
    other = Browser(federated.server)
    through(federated, "cid", other)
    problem(other.open(location).answer, 401, "unauthenticated")
    problem(browser.open(location.replace("state=", "state=x")).answer, 401, "unauthenticated")
    problem(browser.open(location + "&iss=https%3A%2F%2Fevil.example").answer, 401,
            "unauthenticated")
    assert browser.open(location).status == 303
    problem(browser.open(location).answer, 401, "unauthenticated")


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "x"])
def test_a_sign_in_ends_at_a_path_of_ours(federated, to):
    page = Browser(federated.server).open("/v1/auth/oidc/start?returnTo=" + urllib.parse.quote(to))
    problem(page.answer, 422, "validation_failed")


def test_without_a_provider_there_is_no_such_sign_in(place):
    problem(Browser(place.server).open("/v1/auth/oidc/start").answer, 404, "not_found")


# Pairwise ids.


def started(place, account):
    """A session that the sandbox has redeemed: its view with the token, and the launch token's claims."""
    rows = harness.read_rows(harness.SERVICES, 60)
    for row in rows:
        answer = account.post("/v1/proposals", {"serviceId": row["id"]}, key=uuid.uuid4().hex)
        if answer.status_code == 201:
            break
    confirmed = account.confirm(answer.json()["id"])
    assert confirmed.status_code == 201, confirmed.text
    query = urllib.parse.urlsplit(confirmed.json()["redirectUrl"]).query
    launch = urllib.parse.parse_qs(query)["marketplace_session"][0]
    view = place.provider.post("/v1/sessions/validate", {"token": launch})
    assert view.status_code == 200, view.text
    return view.json(), jwt.decode(launch, options={"verify_signature": False})


def test_a_provider_knows_what_the_person_allows_until_it_is_withdrawn(place):
    person = Account.register(place.server)
    email = person.get("/v1/me").json()["email"]
    view, launch = started(place, person)
    token = Account(place.server, view["token"])
    met = token.post("/v1/sso/provision", {})
    assert met.status_code == 200, met.text
    assert met.json()["providerUserId"] == launch["sub"]
    assert "email" not in met.json() and "name" not in met.json() and email not in met.text
    provider = launch_provider(place, view)
    path = "/v1/me/consents/providers/" + provider
    assert person.get(path).json()["asked"] == ["profile", "email", "session_access"]
    given = person.put(path, {"scopes": ["email", "session_access"]})
    assert given.json()["scopes"] == ["email", "session_access"]
    by_key = place.provider.post("/v1/sso/provision", {"sessionToken": view["token"]}).json()
    assert by_key["email"] == email and by_key["verified"] is False and "name" not in by_key
    assert by_key["firstSeenAt"] == met.json()["firstSeenAt"]
    checked = token.get("/v1/sso/verify").json()
    assert checked["valid"] is True and checked["user"]["email"] == email
    assert checked["session"]["id"] == view["id"] and checked["session"]["state"] == "active"
    profile = place.provider.get(f"/v1/users/{launch['sub']}/profile")
    assert profile.json()["openSessions"] == [view["id"]]
    problem(place.provider.get("/v1/users/unknown/profile"), 404, "not_found")
    problem(person.get(f"/v1/users/{launch['sub']}/profile"), 403, "forbidden")
    problem(person.put(path, {"scopes": ["everything"]}), 422, "validation_failed")
    assert [row["providerId"] for row in
            person.get("/v1/me/consents/providers").json()["providers"]] == [provider]
    assert person.delete(path).status_code == 204
    assert person.delete(path).status_code == 204
    problem(token.post("/v1/sso/provision", {}), 403, "forbidden")
    problem(token.get("/v1/sso/verify"), 403, "forbidden")
    problem(place.provider.get(f"/v1/users/{launch['sub']}/profile"), 403, "forbidden")
    assert person.get(path).json()["withdrawnAt"] is not None


def launch_provider(place, view):
    return place.provider.get("/v1/sessions/" + view["id"]).json()["providerId"]


def test_a_session_that_has_ended_answers_403_at_once(place):
    person = Account.register(place.server)
    view, _ = started(place, person)
    token = Account(place.server, view["token"])
    assert token.get("/v1/sso/verify").status_code == 200
    assert person.delete("/v1/sessions/" + view["id"]).status_code == 200
    problem(token.get("/v1/sso/verify"), 403, "forbidden")
    problem(token.post("/v1/sso/provision", {}), 403, "forbidden")
    problem(requests.get(place.server.url + "/v1/sso/verify", timeout=60), 401, "unauthenticated")


def test_the_export_has_programs_and_consents_and_an_erasure_ends_them(place):
    person = Account.register(place.server)
    email = person.get("/v1/me").json()["email"]
    oauth = session(place)
    url, _, verifier = address(place, oauth)
    browser = Browser(place.server)
    page = browser.sign_in(browser.open(url), email, harness.PASSWORD)
    oauth.fetch_token(place.server.url + "/oauth/token", code_verifier=verifier,
                      authorization_response=page.send(decision="allow").location)
    export = person.get("/v1/me/export").json()
    assert [app["clientId"] for app in export["apps"]] == [place.native]
    assert export["consentsToProviders"] == [] and export["identitiesElsewhere"] == []
    gone = person.call("DELETE", "/v1/me", {"password": harness.PASSWORD})
    assert gone.status_code == 204, gone.text
    assert oauth.get(place.server.url + "/v1/sessions").status_code == 401
