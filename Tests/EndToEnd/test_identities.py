"""One identity at every provider: pairwise ids, what a person allows, and its end."""

import urllib.parse
import uuid

import jwt
import requests

import harness
from browser import Browser
from harness import Account, problem
from programs import address, place, session  # noqa: F401  (place is a fixture)



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
    assert met.json()["scopes"] == ["session_access"], "all that a start by itself allows"
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
