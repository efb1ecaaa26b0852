"""Third parties' programs, as Authlib drives them: codes, tokens, scopes, programs that describe themselves."""

import json
import re
import secrets
import types
import urllib.parse
import uuid

import jwt
import pytest
import requests

import harness
from browser import Browser
from harness import Account, problem
from post_office import mailbox
from programs import (  # noqa: F401  (place is a fixture)
    CALLBACK, EMAIL, SCOPES, SITE, address, bearer, consent, described, documents, exchange, granted,
    place, prepare, refused, renew, session)

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
    for endpoint in ["token", "revocation"]:
        assert set(about[endpoint + "_endpoint_auth_methods_supported"]) == {
            "none", "client_secret_basic", "client_secret_post", "private_key_jwt"}
        assert set(about[endpoint + "_endpoint_auth_signing_alg_values_supported"]) == {
            "ES256", "EdDSA", "RS256"}
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
    assert 'scope="sessions:read"' in answer.headers["WWW-Authenticate"]
    assert "error=" not in answer.headers["WWW-Authenticate"]
    stale = bearer(place, "nothing", "GET", "/v1/sessions")
    assert 'error="invalid_token"' in stale.headers["WWW-Authenticate"]


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


def test_each_program_has_a_name_of_the_person_that_is_its_own(place):
    def claims(token):
        return jwt.decode(token["access_token"], options={"verify_signature": False})

    oauth, token = granted(place)
    first = claims(token)
    renewed = claims(oauth.refresh_token(place.server.url + "/oauth/token", token["refresh_token"]))
    again = claims(granted(place)[1])
    other = session(place, "discovery:read", SITE, place.closed, client_secret=place.secret,
                    method="client_secret_basic")
    url, _, verifier = address(place, other)
    theirs = other.fetch_token(
        place.server.url + "/oauth/token", authorization_response=consent(place, url).location,
        code_verifier=verifier)
    person = Account.login(place.server, EMAIL).get("/v1/me").json()["id"]
    assert len(first["sub"]) == 43 and first["sub"] == renewed["sub"] == again["sub"]
    assert claims(theirs)["sub"] not in (first["sub"], person)
    for one in (first, renewed, again, claims(theirs)):
        assert person not in json.dumps(one) and EMAIL not in json.dumps(one)
    # We still know who it is: the program's sessions are the person's.
    mine = Account.login(place.server, EMAIL).get("/v1/sessions").json()["sessions"]
    seen = bearer(place, oauth.token["access_token"], "GET", "/v1/sessions").json()["sessions"]
    assert [row["id"] for row in seen] == [row["id"] for row in mine]


def test_a_program_allows_a_provider_no_more_than_a_session_needs(place):
    oauth, token = granted(place)
    proposal = bearer(place, token["access_token"], "POST", "/v1/proposals",
                      json={"serviceId": free_trial(place, token)}).json()
    assert proposal["consent"]["scopes"][-1]["required"] is True
    more = {"proposalId": proposal["id"], "consentScopes": ["email", "session_access"]}
    problem(bearer(place, token["access_token"], "POST", "/v1/sessions", json=more), 403, "forbidden")
    body = {"proposalId": proposal["id"], "consentScopes": ["session_access"]}
    started = bearer(place, token["access_token"], "POST", "/v1/sessions", json=body)
    assert started.status_code == 201, started.text
    person = Account.login(place.server, EMAIL)
    assert person.get("/v1/me/consents/providers/waypost-sandbox").json()["scopes"] == ["session_access"]
    assert person.delete("/v1/sessions/" + started.json()["id"]).status_code == 200


def free_trial(place, token):
    """A service of which the person has no trial open."""
    for row in harness.read_rows(harness.SERVICES, 60)[20:]:
        answer = bearer(place, token["access_token"], "POST", "/v1/proposals", json={"serviceId": row["id"]})
        if answer.status_code == 201:
            return row["id"]
    raise AssertionError(answer.text)


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
    # A page of ours, so that its form needs leave for nobody else's address.
    assert answer.status == 200 and "Location" not in answer.answer.headers
    assert answer.answer.headers["Cache-Control"] == "no-store"
    assert answer.answer.headers["Referrer-Policy"] == "same-origin"
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


def test_a_frozen_persons_programs_stop_at_once(place):
    _, token = granted(place)
    assert bearer(place, token["access_token"], "GET", "/v1/sessions").status_code == 200
    admin = Account.login(place.server, "admin@example.org")
    person = Account.login(place.server, EMAIL).get("/v1/me").json()["id"]
    assert admin.post(f"/v1/admin/users/{person}/freeze").status_code == 200
    try:
        problem(bearer(place, token["access_token"], "GET", "/v1/sessions"), 401, "token_expired")
        refused(renew(place, token["refresh_token"]), "invalid_grant")
    finally:
        assert admin.post(f"/v1/admin/users/{person}/unfreeze").status_code == 200
    refused(renew(place, token["refresh_token"]), "invalid_grant")


def test_a_new_password_puts_programs_out(place):
    person = Account.register(place.server)
    email = person.get("/v1/me").json()["email"]
    _, token = granted(place, person=email)
    waiting, _, verifier = address(place, session(place))
    code = consent(place, waiting, person=email).parameters()["code"]
    body = {"currentPassword": harness.PASSWORD, "newPassword": "seven owls in the barn"}
    assert person.post("/v1/me/password", body).status_code == 204
    problem(bearer(place, token["access_token"], "GET", "/v1/sessions"), 401, "token_expired")
    refused(renew(place, token["refresh_token"]), "invalid_grant")
    refused(exchange(place, code, verifier), "invalid_grant")


def test_a_form_of_a_login_that_has_ended_lets_nobody_in(place):
    person = Account.register(place.server)
    email = person.get("/v1/me").json()["email"]
    browser = Browser(place.server)
    url, _, _ = address(place, session(place))
    page = browser.sign_in(browser.open(url), email, harness.PASSWORD)
    assert person.delete("/v1/auth/sessions").status_code in (200, 204)
    problem(page.send(decision="allow").answer, 401, "unauthenticated")


def test_a_new_password_by_e_mail_puts_programs_out(tmp_path):
    with mailbox() as (post, flags):
        server = prepare(tmp_path, *flags)
        native = harness.cli(
            "clients", "add", "--data", tmp_path / "data", "--name", "Tool", "--redirect-uri", CALLBACK).stdout.split()[0]
        with server:
            there = types.SimpleNamespace(server=server, native=native)
            _, token = granted(there)
            assert bearer(there, token["access_token"], "GET", "/v1/sessions").status_code == 200
            assert server.post("/v1/auth/reset", {"email": EMAIL}).status_code == 202
            body = {"token": post.token(1), "password": "seven owls in the barn"}
            assert server.post("/v1/auth/reset/confirm", body).status_code == 204
            problem(bearer(there, token["access_token"], "GET", "/v1/sessions"), 401, "token_expired")
            refused(renew(there, token["refresh_token"]), "invalid_grant")


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
    assert policy.endswith("form-action 'self'")
    policy = page.send(decision="allow").answer.headers["Content-Security-Policy"]
    assert policy.endswith("form-action 'self'")
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
    assert "code" in browser.post("/oauth/authorize", fields).parameters()


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


def test_a_program_ends_its_own_tokens_only(place):
    def revoke(token, **fields):
        return requests.post(
            place.server.url + "/oauth/revoke", data={"token": token, **fields}, timeout=60)

    _, token = granted(place)
    for kind in ["access_token", "refresh_token"]:
        refused(revoke(token[kind], client_id=place.closed, client_secret=place.secret),
                "invalid_grant")
        refused(revoke(token[kind], client_id=place.closed), "invalid_client", 401)
        refused(revoke(token[kind], client_id="nobody"), "invalid_client", 401)
        refused(revoke(token[kind]), "invalid_client", 401)
    refused(revoke("", client_id=place.native), "invalid_request")
    for nothing in ["x", token["access_token"][:-4] + "AAAA", token["refresh_token"][:-4] + "AAAA"]:
        assert revoke(nothing, client_id=place.native).status_code == 200
    assert bearer(place, token["access_token"], "GET", "/v1/sessions").status_code == 200
    # A hint that is wrong, or of a kind nobody knows, changes nothing (RFC 7009 section 2.1).
    for _ in range(2):
        ended = revoke(token["refresh_token"], client_id=place.native, token_type_hint="pat")
        assert ended.status_code == 200 and ended.content == b""
    assert bearer(place, token["access_token"], "GET", "/v1/sessions").status_code == 401


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
    "trials:start": r"(GET|POST) /v1/proposals(/|$)|POST /v1/sessions$",
    "sessions:read": r"GET /v1/sessions(/\{id\})?$|GET /v1/tokens/(?!purchases)",
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
        # Without a proposal a session would be a paid one, which no program may start.
        body = {"proposalId": "x"} if url == "/v1/sessions" else {}
        body = body if method in ("POST", "PUT", "PATCH") else None
        answer = bearer(place, token["access_token"], method, url, json=body)
        is_open = re.match(OPEN[scope], f"{method} {path}") is not None
        name = f"{method} {path} with {scope}: {answer.status_code} {answer.text[:200]}"
        if is_open:
            assert answer.status_code != 401, name
            assert "insufficient_scope" not in answer.headers.get("WWW-Authenticate", ""), name
            assert "not for API keys or programs" not in answer.text, name
        else:
            assert answer.status_code == 403, name
            assert answer.json()["code"] == "forbidden", name
        checked += 1
    assert checked > 60


def test_a_program_starts_a_trial_and_spends_nothing(place):
    oauth, token = granted(place)
    start = {"Idempotency-Key": uuid.uuid4().hex}
    for row in harness.read_rows(harness.SERVICES, 60):
        proposal = oauth.post(place.server.url + "/v1/proposals", json={"serviceId": row["id"]},
                              headers={"Idempotency-Key": uuid.uuid4().hex})
        if proposal.status_code == 201:
            break
    assert proposal.status_code == 201, proposal.text
    made = oauth.post(place.server.url + "/v1/sessions", headers=start,
                      json={"proposalId": proposal.json()["id"]})
    assert made.status_code == 201 and made.json()["kind"] == "trial", made.text
    path = "/v1/sessions/" + made.json()["id"]
    assert oauth.get(place.server.url + path).status_code == 200
    paid = {"offerId": "x", "termsHash": "y", "durationMinutes": 5, "maxTokens": 1}
    problem(bearer(place, token["access_token"], "POST", "/v1/sessions", json=paid), 403, "forbidden")
    more = {"minutes": 5, "maxTokens": 1}
    problem(bearer(place, token["access_token"], "POST", path + "/extend", json=more), 403,
            "forbidden")
    assert oauth.delete(place.server.url + path).status_code == 200


def test_a_missing_scope_is_named(place):
    _, token = granted(place, "discovery:read")
    answer = bearer(place, token["access_token"], "GET", "/v1/sessions")
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert 'scope="sessions:read"' in answer.headers["WWW-Authenticate"]
    assert "resource_metadata=" in answer.headers["WWW-Authenticate"]


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
