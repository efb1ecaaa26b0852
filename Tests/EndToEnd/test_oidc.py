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


# A fresh sign-in in place of a password

def newcomer(place, sub, **claims):
    """An account that the other service has made: its browser, its API client, its address."""
    mail = f"{sub}@example.org"
    known(place, sub, email=mail, email_verified=True, **claims)
    browser = Browser(place.server)
    assert browser.open(through(place, sub, browser)[0]).status == 303
    answer = browser.http.post(place.server.url + "/v1/auth/refresh", timeout=60)
    return browser, harness.Account(place.server, answer.json()["accessToken"]), mail


def again(place, browser, account, sub, purpose, to="/account"):
    """Signs in again at the other service; gives the page that the browser comes back to."""
    body = {"purpose": purpose, "returnTo": to}
    asked = browser.http.post(
        place.server.url + "/v1/me/reauth", json=body, timeout=60,
        headers={"Authorization": "Bearer " + account.token})
    assert asked.status_code == 200, asked.text
    address = asked.json()["address"]
    sent = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
    assert sent["prompt"] == "login" and sent["max_age"] == "0"
    answer = requests.post(address, data={"sub": sub}, allow_redirects=False, timeout=60)
    assert answer.status_code == 302, answer.text
    return browser.open(answer.headers["Location"])


def test_an_account_without_a_password_erases_itself_after_a_fresh_sign_in(federated):
    browser, account, mail = newcomer(federated, "dora")
    refused = problem(account.call("DELETE", "/v1/me", {}), 403, "reauth_required")
    assert refused["methods"] == ["oidc"] and refused["purpose"] == "erase"
    for password in ("", "decoy", harness.PASSWORD):
        problem(account.call("DELETE", "/v1/me", {"password": password}), 403, "reauth_required")
    page = again(federated, browser, account, "dora", "erase")
    assert page.status == 303 and page.location == "/account", page.text
    problem(account.post("/v1/me/password", {"newPassword": harness.PASSWORD}), 403, "reauth_required")
    other = Browser(federated.server)
    assert other.open(through(federated, "dora", other)[0]).status == 303
    token = other.http.post(federated.server.url + "/v1/auth/refresh", timeout=60).json()["accessToken"]
    problem(harness.Account(federated.server, token).call("DELETE", "/v1/me", {}), 403, "reauth_required")
    assert account.call("DELETE", "/v1/me", {}).status_code == 204
    problem(account.get("/v1/me"), 401, "token_expired")
    fresh = Browser(federated.server)
    assert fresh.open(through(federated, "dora", fresh)[0]).status == 303
    assert who(federated, fresh)["email"] == mail, "a new account"


def test_a_fresh_sign_in_sets_a_first_password_once(federated):
    browser, account, mail = newcomer(federated, "emil")
    refused = problem(account.post("/v1/me/password", {"newPassword": harness.PASSWORD}), 403, "reauth_required")
    assert refused["methods"] == ["oidc"]
    assert again(federated, browser, account, "emil", "password").status == 303
    problem(account.post("/v1/me/password", {"newPassword": "password1"}), 422, "validation_failed")
    assert account.post("/v1/me/password", {"newPassword": harness.PASSWORD}).status_code == 204
    harness.Account.login(federated.server, mail)
    refused = problem(account.post("/v1/me/password", {"newPassword": "another one of mine"}), 403, "reauth_required")
    assert refused["methods"] == ["password", "oidc"], "spent"
    body = {"currentPassword": harness.PASSWORD, "newPassword": "another one of mine"}
    assert account.post("/v1/me/password", body).status_code == 204


def test_a_sign_in_there_as_somebody_else_or_long_ago_proves_nothing(federated):
    browser, account, _ = newcomer(federated, "fritz")
    known(federated, "gerd", email="gerd@example.org", email_verified=True)
    problem(again(federated, browser, account, "gerd", "erase").answer, 403, "forbidden")
    known(federated, "fritz", email="fritz@example.org", email_verified=True, auth_time=1_700_000_000)
    problem(again(federated, browser, account, "fritz", "erase").answer, 401, "unauthenticated")
    problem(account.call("DELETE", "/v1/me", {}), 403, "reauth_required")
    mine, mail = Browser(federated.server), "gerd@example.org"
    body = {"purpose": "erase", "returnTo": "//evil.example"}
    problem(account.post("/v1/me/reauth", body), 422, "validation_failed")
    problem(account.post("/v1/me/reauth", {"purpose": "everything"}), 422, "validation_failed")
    asked = account.post("/v1/me/reauth", {"purpose": "erase"})
    answer = requests.post(asked.json()["address"], data={"sub": "fritz"}, allow_redirects=False, timeout=60)
    problem(mine.open(answer.headers["Location"]).answer, 401, "unauthenticated")
    assert mail not in account.get("/v1/me").text


def test_an_account_of_its_own_password_has_nothing_to_sign_in_again_through(federated):
    account = harness.Account.register(federated.server)
    problem(account.post("/v1/me/reauth", {"purpose": "erase"}), 404, "not_found")
    refused = problem(account.call("DELETE", "/v1/me", {}), 403, "reauth_required")
    assert refused["methods"] == ["password"]
