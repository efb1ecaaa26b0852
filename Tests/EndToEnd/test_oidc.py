"""Sign-in through a real OpenID provider on loopback."""

import base64
import contextlib
import hashlib
import logging
import threading
import types
import urllib.parse

import pytest
import requests

import harness
from browser import Browser
from harness import problem
from programs import EMAIL, place, prepare  # noqa: F401  (place is a fixture)



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


def known(place, sub, **claims):
    answer = requests.put(f"{place.other.url}/users/{sub}", json=claims, timeout=60)
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
