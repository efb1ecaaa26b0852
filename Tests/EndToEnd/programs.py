"""Third parties' programs and a small server that knows two of them, for the tests of sign-in for others."""

import contextlib
import http.server
import json
import os
import secrets
import threading
import types
import uuid

import pytest
import requests

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback has no TLS
from authlib.integrations.requests_client import OAuth2Session  # noqa: E402

import harness
from browser import Browser
from harness import Account, Server

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


def consent(place, url, browser=None, decision="allow", person=EMAIL):
    """Signs in where that is asked for, and decides; gives the page that leads to the program."""
    browser = browser or Browser(place.server)
    page = browser.open(url)
    if 'name="password"' in page.text:
        page = browser.sign_in(page, person, harness.PASSWORD)
    assert page.status == 200 and 'value="allow"' in page.text, page.text
    return page.send(decision=decision)


def granted(place, scope=SCOPES, person=EMAIL, **more):
    """A whole flow: the session with its token."""
    oauth = session(place, scope)
    url, _, verifier = address(place, oauth, **more)
    answer = consent(place, url, person=person)
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


@contextlib.contextmanager
def documents(**paths):
    """A web server on loopback with JSON documents; it notes what it is asked for, and never
    answers what begins with slow while it is there, and what begins with late after a second."""
    asked, held = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path.startswith("/slow"):
                held.wait(30)
            if self.path.startswith("/late"):
                held.wait(1)
            status, body = paths.get(self.path[1:], (404, b""))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", body.decode())
                body = b""
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            with contextlib.suppress(ConnectionError):  # Whoever asked may have waited long enough.
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
        held.set()
        server.shutdown()
        server.server_close()


def described(client, **changes):
    return json.dumps({"client_id": client, "client_name": "Described", "redirect_uris": [CALLBACK],
                       "token_endpoint_auth_method": "none", **changes}).encode()
