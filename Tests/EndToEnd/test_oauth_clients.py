"""Programs of many kinds at the authorization server: the MCP client, requests-oauthlib, programs that sign for
themselves, apps with a scheme of their own, programs that describe themselves and are slow about it."""

import asyncio
import concurrent.futures
import json
import os
import re
import time
import urllib.parse
import uuid

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback has no TLS
import httpx2  # noqa: E402
import requests_oauthlib  # noqa: E402
from authlib.oauth2.rfc7523 import PrivateKeyJWT  # noqa: E402
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider  # noqa: E402
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata  # noqa: E402

import harness  # noqa: E402
from browser import Browser  # noqa: E402
from harness import Account, problem  # noqa: E402
from programs import (  # noqa: E402, F401  (place is a fixture)
    SITE, address, bearer, consent, described, documents, place, refused, session)

HERE = "http://127.0.0.1:51004/cb"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def registered(place, **body):
    admin = Account.login(place.server, "admin@example.org")
    answer = admin.post("/v1/admin/oauth-clients", {"name": "Third", **body}, key=uuid.uuid4().hex)
    assert answer.status_code == 201, answer.text
    return answer.json()


# The MCP client.


class Memory:
    """What the MCP client keeps: the id that it was registered with, and its tokens."""

    def __init__(self, client):
        self.client = OAuthClientInformationFull(
            client_id=client, redirect_uris=[HERE], token_endpoint_auth_method="none")
        self.tokens = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


def test_the_mcp_client_finds_its_way_from_a_401_and_asks_for_what_it_needs(place):
    asked, memory = [], Memory(place.native)

    async def go(url):
        asked.append(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)))
        asked[-1]["page"] = consent(place, url)

    async def back():
        said = asked[-1]["page"].parameters()
        return AuthorizationCodeResult(code=said["code"], state=said["state"], iss=said["iss"])

    auth = OAuthClientProvider(
        server_url=place.server.url, storage=memory, redirect_handler=go, callback_handler=back,
        client_metadata=OAuthClientMetadata(
            redirect_uris=[HERE], client_name="MCP", token_endpoint_auth_method="none"))

    async def run():
        async with httpx2.AsyncClient(auth=auth, timeout=60) as http:
            first = await http.get(place.server.url + "/v1/sessions")
            again = await http.get(place.server.url + "/v1/sessions")
            more = await http.get(place.server.url + "/v1/providers/search?q=image")
            return first, again, more

    first, again, more = asyncio.run(run())
    assert first.status_code == again.status_code == 200
    # Told at the 401 what this needs, it asked for that alone; told at the 403, for the rest as well.
    assert asked[0]["scope"] == "sessions:read"
    assert asked[0]["resource"].rstrip("/") == place.server.url
    assert more.status_code == 200, more.text
    assert [set(request["scope"].split()) for request in asked[1:]] == [
        {"sessions:read", "discovery:read"}]
    assert memory.tokens.refresh_token


# requests-oauthlib.


def test_requests_oauthlib_gets_uses_and_renews_a_token(place):
    oauth = requests_oauthlib.OAuth2Session(
        place.native, redirect_uri=HERE, scope=["discovery:read", "sessions:read"], pkce="S256")
    url, state = oauth.authorization_url(place.server.url + "/oauth/authorize")
    answer = consent(place, url)
    assert answer.parameters()["state"] == state
    token = oauth.fetch_token(
        place.server.url + "/oauth/token", authorization_response=answer.location,
        include_client_id=True)
    assert oauth.get(place.server.url + "/v1/sessions").status_code == 200
    fresh = oauth.refresh_token(place.server.url + "/oauth/token", client_id=place.native)
    assert fresh["refresh_token"] != token["refresh_token"]
    assert oauth.get(place.server.url + "/v1/sessions").status_code == 200


def test_a_program_with_a_verifier_of_another_request_gets_nothing(place):
    one, two = (requests_oauthlib.OAuth2Session(
        place.native, redirect_uri=HERE, scope=["discovery:read"], pkce="S256") for _ in range(2))
    url, _ = one.authorization_url(place.server.url + "/oauth/authorize")
    _, state = two.authorization_url(place.server.url + "/oauth/authorize")
    stolen = consent(place, url).parameters()["code"]
    with pytest.raises(Exception, match="invalid_grant"):
        two.fetch_token(place.server.url + "/oauth/token", code=stolen, state=state,
                        include_client_id=True)


# Programs that sign for themselves.


class Signer:
    """A program with a key pair, registered with the public half."""

    def __init__(self, place, redirect=SITE):
        self.place, self.redirect = place, redirect
        self.key, self.public = Signer.pair()
        self.about = registered(place, redirectUris=[redirect], confidential=True,
                                scopes=["discovery:read"], keySet={"keys": [self.public]})
        self.id = self.about["id"]

    @staticmethod
    def pair():
        key = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
        return key, {**public, "kid": uuid.uuid4().hex}

    def assertion(self, **changes):
        now = int(time.time())
        claims = {"iss": self.id, "sub": self.id, "aud": self.place.server.url + "/oauth/token",
                  "iat": now, "exp": now + 60, "jti": uuid.uuid4().hex, **changes}
        return jwt.encode(claims, self.key, "ES256", headers={"kid": self.public["kid"]})

    def code(self):
        oauth = session(self.place, "discovery:read", self.redirect, self.id)
        url, _, verifier = address(self.place, oauth)
        return consent(self.place, url).parameters()["code"], verifier

    def exchange(self, code, verifier, assertion, **more):
        fields = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier,
                  "redirect_uri": self.redirect, "client_assertion_type": ASSERTION,
                  "client_assertion": assertion, **more}
        return requests.post(self.place.server.url + "/oauth/token", data=fields, timeout=60)


def test_authlib_proves_itself_by_what_it_signs(place):
    signer = Signer(place)
    assert "secret" not in signer.about and signer.about["keySet"]["keys"][0]["kty"] == "EC"
    endpoint = place.server.url + "/oauth/token"
    key = ECKey.import_key(signer.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

    def program():
        # Authlib keeps the id of an assertion in the claims that it was given: new ones each time.
        proof = PrivateKeyJWT(endpoint, alg="ES256", headers={"kid": signer.public["kid"]},
                              claims={"exp": int(time.time()) + 60})
        return session(place, "discovery:read", SITE, signer.id, client_secret=key, method=proof,
                       revocation_endpoint_auth_method=proof)

    oauth = program()
    url, _, verifier = address(place, oauth)
    token = oauth.fetch_token(
        endpoint, authorization_response=consent(place, url).location, code_verifier=verifier)
    assert oauth.get(place.server.url + "/v1/providers/search?q=image").status_code == 200
    fresh = program().refresh_token(endpoint, token["refresh_token"])
    gone = program().revoke_token(
        place.server.url + "/oauth/revoke", fresh["refresh_token"], "refresh_token")
    assert gone.status_code == 200
    assert bearer(place, fresh["access_token"], "GET", "/v1/providers/search?q=x").status_code == 401


def test_an_assertion_is_for_us_short_lived_and_used_once(place):
    signer = Signer(place)
    code, verifier = signer.code()
    now = int(time.time())
    for changes in [
            {"aud": "https://other.example"}, {"aud": place.server.url + "/"},
            {"aud": [place.server.url]}, {"aud": place.server.url + "/oauth/revoke"},
            {"sub": place.closed}, {"iss": place.closed}, {"iss": "nobody", "sub": "nobody"},
            {"exp": now - 120}, {"exp": now + 3600}, {"iat": now + 600}, {"nbf": now + 600},
            {"jti": "short"}, {"jti": None}]:
        refused(signer.exchange(code, verifier, signer.assertion(**changes)), "invalid_client", 401)
    refused(signer.exchange(code, verifier, "a.b.c"), "invalid_client", 401)
    refused(signer.exchange(code, verifier, signer.assertion(), client_id=place.native),
            "invalid_client", 401)
    refused(signer.exchange(code, verifier, signer.assertion(), client_assertion_type="urn:x"),
            "invalid_request")
    refused(signer.exchange(code, verifier, signer.assertion(), client_secret="x"), "invalid_request")
    assertion = signer.assertion(aud=place.server.url)
    assert signer.exchange(code, verifier, assertion).status_code == 200
    code, verifier = signer.code()
    refused(signer.exchange(code, verifier, assertion), "invalid_client", 401)
    # No weaker way in: the id alone, or what the secret would be.
    fields = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier,
              "redirect_uri": SITE, "client_id": signer.id}
    for more in [{}, {"client_secret": place.secret}]:
        answer = requests.post(place.server.url + "/oauth/token", data={**fields, **more}, timeout=60)
        refused(answer, "invalid_client", 401)


def test_a_programs_keys_are_changed_by_an_admin_and_count_at_once(place):
    signer = Signer(place)
    admin = Account.login(place.server, "admin@example.org")
    path = f"/v1/admin/oauth-clients/{signer.id}/key-set"
    key, public = Signer.pair()
    changed = admin.put(path, {"keys": [public]})
    assert changed.status_code == 200, changed.text
    assert [row["kid"] for row in changed.json()["keySet"]["keys"]] == [public["kid"]]
    code, verifier = signer.code()
    refused(signer.exchange(code, verifier, signer.assertion()), "invalid_client", 401)
    signer.key, signer.public = key, public
    assert signer.exchange(code, verifier, signer.assertion()).status_code == 200
    private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key))
    for keys in [[], [{**private, "kid": "x"}], [public, public], [{"kty": "oct", "kid": "x"}]]:
        problem(admin.put(path, {"keys": keys}), 422, "validation_failed")
    problem(admin.put(path, {"keys": [public], "x": 1}), 422, "validation_failed")
    problem(admin.put("/v1/admin/oauth-clients/nobody/key-set", {"keys": [public]}), 404, "not_found")
    open_client = f"/v1/admin/oauth-clients/{place.native}/key-set"
    problem(admin.put(open_client, {"keys": [public]}), 422, "validation_failed")
    problem(Account.register(place.server).put(path, {"keys": [public]}), 403, "forbidden")


def test_the_command_registers_a_program_with_its_keys(small, tmp_path):
    _, public = Signer.pair()
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [public]}))
    made = harness.cli("clients", "add", "--data", small, "--name", "Signer", "--redirect-uri", SITE,
                       "--confidential", "--key-set", keys).stdout.split()
    assert len(made) == 1  # an id, and no secret


# Apps with a scheme of their own (RFC 8252).


def test_an_app_is_returned_to_by_its_own_scheme(place):
    app = "com.example.app:/cb"
    client = registered(place, redirectUris=[app])["id"]
    oauth = session(place, "discovery:read", app, client)
    url, _, verifier = address(place, oauth)
    browser = Browser(place.server)
    page = browser.sign_in(browser.open(url), "ann@example.org", harness.PASSWORD)
    assert "the app com.example.app on this device" in page.text
    back = page.send(decision="allow")
    assert back.location.startswith("com.example.app:/cb?code=")
    token = oauth.fetch_token(
        place.server.url + "/oauth/token", code=back.parameters()["code"], code_verifier=verifier)
    assert token["scope"] == "discovery:read"
    for other in ["com.example.app:/cb/", "com.example.app:/cb?x=1", "com.example.app2:/cb"]:
        wrong, _, _ = address(place, session(place, "discovery:read", other, client))
        assert Browser(place.server).open(wrong).status == 400


@pytest.mark.parametrize("redirect", [
    "myapp:/cb", "com.example.app://cb", "javascript:alert(1)", "data:text/html,x", "file:///etc/x",
    "http://app.example/cb", "https://app.example/cb?code=x", "com.example.app:/cb#x"])
def test_other_schemes_are_not_registered(place, redirect):
    admin = Account.login(place.server, "admin@example.org")
    body = {"name": "Third", "redirectUris": [redirect]}
    problem(admin.post("/v1/admin/oauth-clients", body, key=uuid.uuid4().hex), 422,
            "validation_failed")


def test_a_program_that_keeps_a_secret_has_no_scheme(place):
    admin = Account.login(place.server, "admin@example.org")
    body = {"name": "Third", "redirectUris": ["com.example.app:/cb"], "confidential": True}
    problem(admin.post("/v1/admin/oauth-clients", body, key=uuid.uuid4().hex), 422,
            "validation_failed")


# Programs that describe themselves.


def test_nobody_is_sent_on_unasked_by_a_program_that_nobody_has_checked(place):
    with documents() as web:
        client = web.url + "/client"
        web.paths["client"] = (200, described(client, redirect_uris=["https://evil.example/cb"]))
        url, _, _ = address(place, session(place, "admin", "https://evil.example/cb", client))
        page = Browser(place.server).open(url)
        assert page.status == 400 and page.location is None
        link = re.search(r'<a rel="noreferrer" href="([^"]*)"', page.text).group(1)
        assert link.startswith("https://evil.example/cb?error=invalid_scope")
        assert "nobody here has checked" in page.text


def test_slow_documents_hold_up_nobody_but_their_caller(place):
    with documents() as web, concurrent.futures.ThreadPoolExecutor(4) as pool:
        known = web.url + "/known"
        web.paths["known"] = (200, described(known))
        opened = [address(place, session(place, client=client))[0]
                  for client in [web.url + "/slow1", web.url + "/slow2", web.url + "/slow3",
                                 known, place.native]]
        assert Browser(place.server).open(opened[3]).status == 200
        started = time.monotonic()
        slow = {pool.submit(Browser(place.server).open, url): url for url in opened[:3]}
        # A caller has two places: whoever of the three came last has none, and is told so at once.
        third = next(concurrent.futures.as_completed(slow))
        assert third.result().status == 503 and int(third.result().answer.headers["Retry-After"]) > 0
        # What is known and what is registered answer meanwhile.
        assert Browser(place.server).open(opened[3]).status == 200
        assert Browser(place.server).open(opened[4]).status == 200
        del slow[third]
        assert not all(page.done() for page in slow)
        assert [page.result().status for page in slow] == [401, 401]
        # One at a time for the host, three seconds each.
        assert 5 < time.monotonic() - started < 20
        assert len([path for path in web.asked if path.startswith("/slow")]) == 2
        before = len(web.asked)
        for url in slow.values():
            assert Browser(place.server).open(url).status == 401
        assert len(web.asked) == before  # The failure is remembered.


def test_whoever_leaves_before_a_document_is_there_makes_no_failure_of_it(place):
    with documents() as web:
        client = web.url + "/late"
        web.paths["late"] = (200, described(client))
        url, _, _ = address(place, session(place, client=client))
        with place.server.socket() as wire:
            path = url.removeprefix(place.server.url)
            wire.sendall(f"GET {path} HTTP/1.1\r\nHost: waypost\r\n\r\n".encode())
            harness.until(lambda: web.asked, 10)
        time.sleep(0.2)
        page = Browser(place.server).open(url)
        assert page.status == 200 and 'name="password"' in page.text, page.text
        assert web.asked == ["/late"], "others wait for the one fetch"


# The issuer.


@pytest.mark.parametrize("url", [
    "https://waypost.example/base", "https://Waypost.example", "https://waypost.example?x=1",
    "https://waypost.example#x", "https://user@waypost.example", "http://127.0.0.1:1@evil.example"])
def test_a_server_has_an_address_that_can_be_compared(small, url):
    done = harness.cli("serve", "--port", "0", "--public-url", url, "--data", small, check=False,
                       timeout=20)
    assert done.returncode != 0 and "--public-url" in done.stderr
