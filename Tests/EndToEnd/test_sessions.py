"""Sessions over HTTP: a provider's own integration, paid time, use by report, forms of the redirect."""

import base64
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import types
import urllib.parse
import uuid

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec

import harness
from browser import Browser, signed_in
from harness import Account, Server, problem

SCRIPT = pathlib.Path(__file__).with_name("provider_integration.py")


def listing(id, offer, redirect, **more):
    return {"id": id, "name": id.replace("-", " ").title(), "providerId": "alpha", "providerName": "Alpha Works",
            "kind": "app", "description": "An invented app, for the tests of sessions.", "categories": ["Test fixtures"],
            "tags": [], "appId": "alpha-app", "redirectUris": [redirect], "offers": [{"id": "main", **offer}], **more}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A server with a provider's listings, its key, and the port of its app."""
    folder = tmp_path_factory.mktemp("sessions")
    port = harness.free_port()
    local, remote = f"http://127.0.0.1:{port}/start", "https://alpha.example/start"
    rows = [
        listing("alpha-trial", {"plan": "time", "tokenRatePerHour": 3600}, local, trial={"offered": True, "minutes": 10}),
        listing("alpha-hours", {"plan": "time", "tokenRatePerHour": 3600}, remote),
        listing("alpha-calls", {"plan": "usage", "unitPriceMicrotokens": 500000, "unit": "call"}, remote),
        listing("alpha-browser", {"plan": "time"}, remote, trial={"offered": True}, appOrigin="https://app.alpha.example")]
    data = folder / "data"
    harness.cli("import", harness.write_rows(folder / "rows.jsonl", rows), "--data", data, "--no-embed")
    harness.add_user(data, "admin", "admin@example.org")
    harness.add_user(data, "provider", "alpha@example.org", "alpha")
    key = harness.add_key(data, "alpha")
    with Server(data) as server:
        yield types.SimpleNamespace(
            server=server, port=port, key=key, provider=Account(server, key),
            admin=Account.login(server, "admin@example.org"))


def launch_token(session):
    return urllib.parse.parse_qs(urllib.parse.urlsplit(session["redirectUrl"]).query)["marketplace_session"][0]


def propose(account, service, key=None, **more):
    answer = account.post("/v1/proposals", {"serviceId": service, **more}, key=key or uuid.uuid4().hex)
    assert answer.status_code == 201, answer.text
    return answer.json()


def buyer(place, tokens=1_000):
    """A user with tokens of its own, given by the admin."""
    account = Account.register(place.server)
    user = account.get("/v1/me").json()["id"]
    body = {"userId": user, "amountMicrotokens": tokens * 1_000_000, "reason": "test"}
    answer = place.admin.post("/v1/admin/grants", body, key=uuid.uuid4().hex)
    assert answer.status_code == 201, answer.text
    return account


def paid(place, account, service="alpha-hours", **more):
    proposal = propose(account, service, kind="paid", **{"durationMinutes": 10, **more})
    answer = account.confirm(proposal["id"])
    assert answer.status_code == 201, answer.text
    session = answer.json()
    redeemed = place.provider.post("/v1/sessions/validate", {"token": launch_token(session)})
    assert redeemed.status_code == 200, redeemed.text
    return proposal, session, redeemed.json()


# What the provider may know

def scopes(proposal):
    return {row["name"]: (row["required"], row["granted"]) for row in proposal["consent"]["scopes"]}


def consented(user, provider="alpha"):
    answer = user.get("/v1/me/consents/providers/" + provider).json()
    return answer["scopes"], answer["givenAt"] is not None, answer["withdrawnAt"] is not None


def test_the_first_session_with_a_provider_asks_what_it_may_know(place):
    user = Account.register(place.server)
    proposal = propose(user, "alpha-browser")
    asked = proposal["consent"]
    assert asked["providerId"] == "alpha" and asked["needed"] is True and asked["givenAt"] is None
    assert scopes(proposal) == {"profile": (False, False), "email": (False, False), "session_access": (True, False)}
    assert all(len(row["description"]) > 10 for row in asked["scopes"])
    assert user.get("/v1/proposals/" + proposal["id"]).json()["consent"] == asked
    assert consented(user) == ([], False, False), "to be asked is not to have said yes"
    for wrong in (["profile"], [], ["session_access", "everything"], "session_access", [1], {"session_access": True}, None):
        answer = user.post("/v1/sessions", {"proposalId": proposal["id"], "consentScopes": wrong}, key=uuid.uuid4().hex)
        assert problem(answer, 422, "validation_failed")["errors"][0]["pointer"] == "/consentScopes", wrong
    body = {"proposalId": proposal["id"], "consentScopes": ["session_access", "email"]}
    key = uuid.uuid4().hex
    started = user.post("/v1/sessions", body, key=key)
    assert started.status_code == 201, started.text
    assert user.post("/v1/sessions", body, key=key).content == started.content
    problem(user.post("/v1/sessions", {**body, "consentScopes": ["session_access"]}, key=key), 422, "idempotency_conflict")
    assert consented(user) == (["email", "session_access"], True, False)
    view = place.provider.post("/v1/sessions/validate", {"token": launch_token(started.json())}).json()
    met = Account(place.server, view["token"]).post("/v1/sso/provision", {}).json()
    assert met["email"] == user.get("/v1/me").json()["email"] and "name" not in met
    again = propose(user, "alpha-trial")
    assert again["consent"]["needed"] is False and again["consent"]["givenAt"]
    assert scopes(again) == {"profile": (False, False), "email": (False, True), "session_access": (True, True)}
    assert user.confirm(again["id"]).status_code == 201
    assert consented(user)[0] == ["email", "session_access"], "nothing said leaves it as it was"
    rows = place.admin.get("/v1/admin/audit?subject=user:" + user.get("/v1/me").json()["id"]).json()["entries"]
    given = [row for row in rows if row["action"] == "consent.given"]
    assert [row["detail"] for row in given] == ["provider=alpha scopes=email,session_access"] and given[0]["requestId"]


def test_nothing_said_is_what_a_session_needs_and_a_withdrawal_is_asked_again(place):
    user = buyer(place)
    terms = {"serviceId": "alpha-hours", "offerId": "main", "durationMinutes": 5, "maxTokens": 300}
    stale = user.post("/v1/sessions", {**terms, "termsHash": "0"}, key=uuid.uuid4().hex)
    facts = problem(stale, 409, "proposal_stale")
    assert facts["consent"]["needed"] is True and facts["terms"]["paidTo"] == "alpha"
    body = {**terms, "termsHash": facts["terms"]["termsHash"]}
    assert user.post("/v1/sessions", body, key=uuid.uuid4().hex).status_code == 201
    assert consented(user) == (["session_access"], True, False)
    assert user.delete("/v1/me/consents/providers/alpha").status_code == 204
    proposal = propose(user, "alpha-trial")
    assert proposal["consent"]["needed"] is True and scopes(proposal)["session_access"] == (True, False)
    assert consented(user) == ([], True, True)
    assert user.confirm(proposal["id"]).status_code == 201
    assert consented(user) == (["session_access"], True, False)


def test_a_persons_key_cannot_allow_more_than_a_session_needs(place):
    user = Account.register(place.server)
    made = user.post("/v1/me/keys", {"name": "script", "scopes": ["trials:start"]}, key=uuid.uuid4().hex)
    script = Account(place.server, made.json()["secret"])
    proposal = propose(script, "alpha-trial")
    more = {"proposalId": proposal["id"], "consentScopes": ["email", "session_access"]}
    problem(script.post("/v1/sessions", more, key=uuid.uuid4().hex), 403, "forbidden")
    assert script.confirm(proposal["id"]).status_code == 201
    assert consented(user) == (["session_access"], True, False)
    assert user.delete("/v1/me/consents/providers/alpha").status_code == 204
    again = propose(script, "alpha-browser")
    problem(script.confirm(again["id"]), 403, "forbidden")
    assert user.confirm(again["id"]).status_code == 201, "the person itself can"


def test_a_persons_key_spends_nothing(place):
    user = buyer(place)
    made = user.post("/v1/me/keys", {"name": "agent"}, key=uuid.uuid4().hex)
    script = Account(place.server, made.json()["secret"])
    proposal = propose(script, "alpha-hours", kind="paid", durationMinutes=10)
    problem(script.confirm(proposal["id"]), 403, "forbidden")
    direct = {"offerId": proposal["offerId"], "serviceId": "alpha-hours", "termsHash": "0" * 64,
              "durationMinutes": 10, "maxTokens": 100}
    problem(script.post("/v1/sessions", direct, key=uuid.uuid4().hex), 403, "forbidden")
    session = user.confirm(proposal["id"])
    assert session.status_code == 201, "the person itself can"
    path = f"/v1/sessions/{session.json()['id']}/extend"
    problem(script.post(path, {"minutes": 5}, key=uuid.uuid4().hex), 403, "forbidden")


def test_a_provider_says_what_it_asks_for(place):
    path = "/v1/provider/consent-scopes"
    owner, user = Account.login(place.server, "alpha@example.org"), Account.register(place.server)
    every = ["profile", "email", "session_access"]
    assert owner.get(path).json() == {"scopes": every}
    for wrong in ({}, {"scopes": ["email"]}, {"scopes": ["session_access", "x"]}, {"scopes": "email"}):
        assert problem(owner.put(path, wrong), 422, "validation_failed")["errors"][0]["pointer"] == "/scopes"
    problem(user.put(path, {"scopes": ["session_access"]}), 403, "forbidden")
    before = propose(user, "alpha-browser")
    try:
        assert owner.put(path, {"scopes": ["session_access"]}).json() == {"scopes": ["session_access"]}
        after = propose(user, "alpha-browser")
        assert list(scopes(after)) == ["session_access"]
        more = {"proposalId": after["id"], "consentScopes": ["email", "session_access"]}
        problem(user.post("/v1/sessions", more, key=uuid.uuid4().hex), 422, "validation_failed")
        assert user.get("/v1/me/consents/providers/alpha").json()["asked"] == ["session_access"]
        shown = {"proposalId": before["id"], "consentScopes": ["profile", "session_access"]}
        assert user.post("/v1/sessions", shown, key=uuid.uuid4().hex).status_code == 201, "as it was shown"
        later = propose(user, "alpha-trial")
        assert scopes(later)["profile"] == (False, True), "what was allowed is shown though it is not asked for"
    finally:
        assert owner.put(path, {"scopes": every}).status_code == 200


def test_the_page_after_a_session_says_what_it_took(place):
    mail = f"page{uuid.uuid4().hex[:8]}@example.org"
    user = Account.register(place.server, mail)
    session = user.confirm(propose(user, "alpha-trial")["id"]).json()
    path = "/sessions/" + session["id"]
    browser = Browser(place.server)
    nobody = browser.open(path)
    assert nobody.status == 401 and "Sign in" in nobody.text and session["id"] not in nobody.text
    signed_in(browser, mail)
    page = browser.open(path)
    assert page.status == 200 and "has not begun" in page.text and "you paid 0 tokens" in page.text
    assert "<script" not in page.text and "default-src 'none'" in page.answer.headers["Content-Security-Policy"]
    place.provider.post("/v1/sessions/validate", {"token": launch_token(session)})
    done = user.post(f"/v1/sessions/{session['id']}/complete", {}, key=uuid.uuid4().hex)
    assert done.status_code == 200, done.text
    page = browser.open(path)
    assert "Your session is over" in page.text and "You ended it." in page.text and "to the platform" in page.text
    other = Browser(place.server)
    elsewhere = f"page{uuid.uuid4().hex[:8]}@example.org"
    Account.register(place.server, elsewhere)
    signed_in(other, elsewhere)
    for address in (path, "/sessions/" + "0" * 26, "/sessions/nothing"):
        page = other.open(address)
        assert page.status == 404 and "nothing of yours" in page.text and "alpha" not in page.text
    twice = other.open(path, Sec_Fetch_Site="cross-site")
    assert twice.status == 404, "this browser brought its cookie along"
    again = Browser(place.server).open(path, Sec_Fetch_Site="cross-site")
    assert again.status == 200 and f"url={path}?again=1" in again.text


# The provider's own integration

def test_the_integration_has_at_most_forty_lines():
    lines = SCRIPT.read_text().splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 125
    page = (harness.ROOT / "Pages/providers.md").read_text()
    assert SCRIPT.read_text().strip() in page, "Pages/providers.md shows the script as it is tested"


def test_a_provider_written_from_the_readme_runs_a_session(place):
    environment = {**os.environ, "WAYPOST_URL": place.server.url, "WAYPOST_KEY": place.key, "PORT": str(place.port), "BEAT": "0.3"}
    process = subprocess.Popen([sys.executable, str(SCRIPT)], env=environment, stderr=subprocess.PIPE, text=True)
    harness.STARTED.append(process)
    try:
        user = Account.register(place.server)
        proposal = propose(user, "alpha-trial")
        assert proposal["paidTo"] == "alpha" and proposal["sandbox"] is False
        session = user.confirm(proposal["id"]).json()
        assert session["redirectUrl"].startswith(f"http://127.0.0.1:{place.port}/start?marketplace_session=")
        for _ in range(100):
            try:
                arrived = requests.get(session["redirectUrl"], timeout=10)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        assert arrived.status_code == 200 and "marketplace_session" not in arrived.url
        path = "/v1/sessions/" + session["id"]
        deadline = time.monotonic() + 20
        while user.get(path).json()["activeSeconds"] < 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert user.get(path).json()["state"] == "active"
        done = requests.get(arrived.url.replace("/app", "/done"), allow_redirects=False, timeout=10)
        assert done.headers["Location"] == place.server.url + "/sessions/" + session["id"]
        ended = user.get(path).json()
        assert (ended["state"], ended["reason"], ended["paidBy"]) == ("completed", "provider", "platform")
        assert ended["chargedMicrotokens"] >= 1_000_000 and ended["feeMicrotokens"] == 0
        assert ended["chargedMicrotokens"] + ended["releasedMicrotokens"] == ended["heldMicrotokens"]
        own = place.provider.get("/v1/sessions").json()["sessions"]
        assert own[0]["id"] == session["id"] and len(own[0]["userId"]) == 43
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert launch_token(session) not in errors, "request lines carry launch tokens: they are not logged"


# Redemption

def test_a_repeated_validate_is_the_same_bytes(place):
    user = Account.register(place.server)
    token = launch_token(user.confirm(propose(user, "alpha-trial")["id"]).json())
    first = place.provider.post("/v1/sessions/validate", {"token": token})
    time.sleep(0.05)
    again = place.provider.post("/v1/sessions/validate", {"token": token})
    assert first.status_code == again.status_code == 200 and first.content == again.content
    assert first.json()["remainingMs"] <= 600_000


def test_the_first_heartbeat_may_carry_the_launch_token(place):
    user = Account.register(place.server)
    session = user.confirm(propose(user, "alpha-trial")["id"]).json()
    path, body = f"/v1/sessions/{session['id']}/heartbeat", {"seq": 1, "active": True}
    launch = launch_token(session)
    problem(Account(place.server, launch).post(path, body), 401, "unauthenticated")
    problem(Account(place.server, launch).post(f"/v1/sessions/{session['id']}/pause", {}, key="p"), 401, "token_invalid")
    reply = place.provider.post(path, {**body, "launchToken": launch})
    assert reply.status_code == 200 and reply.json()["state"] == "active"
    bearer = Account(place.server, reply.json()["token"])
    assert bearer.post(path, {"seq": 2, "active": True}).json()["state"] == "active"


def test_a_public_app_redeems_from_its_origin_with_the_token_alone(place):
    user = Account.register(place.server)
    session = user.confirm(propose(user, "alpha-browser")["id"]).json()
    launch, path = launch_token(session), f"/v1/sessions/{session['id']}/heartbeat"
    app = Account(place.server, launch)
    problem(app.post(path, {"seq": 1, "active": True}, Origin="https://evil.example"), 403, "origin_not_allowed")
    reply = app.post(path, {"seq": 1, "active": True}, Origin="https://app.alpha.example")
    assert reply.status_code == 200 and reply.json()["state"] == "active"
    again = place.server.post("/v1/sessions/validate", {"token": launch}, headers={"Origin": "https://app.alpha.example"})
    problem(again, 409, "token_reused")


def test_a_revoked_sessions_token_is_refused_at_once(place):
    user = Account.register(place.server)
    session = user.confirm(propose(user, "alpha-trial")["id"]).json()
    token = place.provider.post("/v1/sessions/validate", {"token": launch_token(session)}).json()["token"]
    assert user.delete("/v1/sessions/" + session["id"]).json()["reason"] == "revoked"
    answer = Account(place.server, token).post(f"/v1/sessions/{session['id']}/heartbeat", {"seq": 1, "active": True})
    problem(answer, 401, "token_invalid")


# The redirect and the form

def test_an_admin_who_ends_anothers_session_answers_for_it(place):
    user = Account.register(place.server)
    session = user.confirm(propose(user, "alpha-trial")["id"]).json()
    for _ in range(2):
        answer = place.admin.delete("/v1/sessions/" + session["id"])
        assert (answer.status_code, answer.json()["reason"]) == (200, "revoked"), answer.text
    rows = place.admin.get("/v1/admin/audit?subject=session:" + session["id"]).json()["entries"]
    assert [row["action"] for row in rows] == ["session.revoked"]
    assert rows[0]["actor"].endswith(place.admin.get("/v1/me").json()["id"]) and rows[0]["requestId"]


def test_a_confirmation_can_answer_with_the_redirect_itself(place):
    user = Account.register(place.server)
    body = {"proposalId": propose(user, "alpha-trial")["id"]}
    answer = user.http.post(place.server.url + "/v1/sessions?response=redirect", json=body,
                            headers={"Idempotency-Key": "go"}, allow_redirects=False, timeout=30)
    assert answer.status_code == 303 and answer.content == b""
    assert answer.headers["Referrer-Policy"] == "no-referrer" and answer.headers["Cache-Control"] == "no-store"
    location = answer.headers["Location"]
    assert location.startswith(f"http://127.0.0.1:{place.port}/start?") and len(location) <= 2_000
    same = user.post("/v1/sessions", body, key="go")
    assert same.headers["Idempotent-Replayed"] == "true" and same.json()["redirectUrl"] == location
    problem(user.post("/v1/sessions?response=popup", body, key="go"), 422, "validation_failed")


def test_a_form_posts_the_launch_token(place):
    user = Account.register(place.server)
    answer = user.post("/v1/sessions?response=form_post", {"proposalId": propose(user, "alpha-browser")["id"]}, key="form")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    page, policy = answer.text, answer.headers["Content-Security-Policy"]
    script = re.search("<script>(.*?)</script>", page).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "form-action https://alpha.example;" in policy
    assert 'action="https://alpha.example/start"' in page
    token = re.search('name="marketplace_session" value="([^"]+)"', page).group(1)
    assert place.provider.post("/v1/sessions/validate", {"token": token}).json()["state"] == "active"


# Proposals

def test_a_proposal_is_read_by_its_user_only_and_needs_a_key(place):
    user, other = Account.register(place.server), Account.register(place.server)
    problem(user.post("/v1/proposals", {"serviceId": "alpha-trial"}), 400, "idempotency_key_required")
    proposal = propose(user, "alpha-trial", key="one")
    again = user.post("/v1/proposals", {"serviceId": "alpha-trial"}, key="one")
    assert again.json() == proposal and again.headers["Idempotent-Replayed"] == "true"
    problem(user.post("/v1/proposals", {"serviceId": "alpha-hours"}, key="one"), 422, "idempotency_conflict")
    path = "/v1/proposals/" + proposal["id"]
    read = user.get(path).json()
    assert read["state"] == "proposed" and read["text"] == proposal["text"]
    problem(other.get(path), 404, "not_found")
    assert user.post(path + "/decline").status_code == 204
    assert user.get(path).json()["state"] == "declined"


def test_a_paid_session_is_never_started_without_its_terms(place):
    user = Account.register(place.server)
    problem(user.post("/v1/sessions", {"serviceId": "alpha-hours"}, key="a"), 422, "proposal_required")
    problem(user.post("/v1/sessions", {"serviceId": "alpha-hours", "offerId": "main"}, key="b"), 422, "validation_failed")
    body = {"serviceId": "alpha-hours", "offerId": "main", "termsHash": "0" * 64, "durationMinutes": 10, "maxTokens": 600}
    stale = problem(user.post("/v1/sessions", body, key="c"), 409, "proposal_stale")
    assert stale["terms"]["feeBasisPoints"] == 2_000 and stale["terms"]["paidTo"] == "alpha"
    funds = user.post("/v1/sessions", {**body, "termsHash": stale["terms"]["termsHash"]}, key="d")
    assert problem(funds, 402, "insufficient_funds")["neededMicrotokens"] == 600_000_000


def test_many_confirmations_make_one_session(place):
    for same in (True, False):
        user = Account.register(place.server)
        proposal = propose(user, "alpha-trial")["id"]

        def confirm(number):
            headers = {"Authorization": "Bearer " + user.token, "Idempotency-Key": "same" if same else f"key-{number}"}
            return place.server.post("/v1/sessions", {"proposalId": proposal}, headers=headers)

        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(confirm, range(100)))
        made = [answer for answer in answers if answer.status_code == 201]
        if same:
            assert len(made) == 100 and len({answer.content for answer in made}) == 1
        else:
            assert len(made) == 1
            assert {answer.json()["code"] for answer in answers if answer.status_code != 201} == {"proposal_consumed"}
        assert len(user.get("/v1/sessions").json()["sessions"]) == 1


# Paid sessions

def test_a_paid_journey_charges_what_was_used_and_shares_it(place):
    user = buyer(place)
    before = place.provider.get("/v1/tokens/balance").json()["balanceMicrotokens"]
    proposal, session, live = paid(place, user)
    assert (proposal["kind"], proposal["paidBy"], proposal["paidTo"]) == ("paid", "user", "alpha")
    assert proposal["heldMicrotokens"] == session["heldMicrotokens"] == 600_000_000
    assert proposal["feeMicrotokens"] * 5 == proposal["heldMicrotokens"] and "20%" in proposal["text"]
    assert user.get("/v1/tokens/balance").json()["heldMicrotokens"] == 600_000_000
    path = "/v1/sessions/" + session["id"]
    longer = user.post(path + "/extend", {"minutes": 5}, key="more")
    assert longer.status_code == 200, longer.text
    assert longer.json()["heldMicrotokens"] == 900_000_000 and longer.json()["durationMinutes"] == 15
    assert user.post(path + "/extend", {"minutes": 5}, key="more").content == longer.content
    problem(user.post(path + "/extend", {"minutes": 166}, key="most"), 422, "validation_failed")
    problem(user.post(path + "/extend", {"minutes": 60}, key="dear"), 402, "insufficient_funds")
    time.sleep(1.1)
    ended = Account(place.server, live["token"]).post(path + "/complete", {}, key="end").json()
    charged, fee = ended["chargedMicrotokens"], ended["feeMicrotokens"]
    assert 1_000_000 <= charged <= 60_000_000 and fee == charged * 2_000 // 10_000
    balance = user.get("/v1/tokens/balance").json()
    assert (balance["availableMicrotokens"], balance["heldMicrotokens"]) == (1_000_000_000 - charged, 0)
    after = place.provider.get("/v1/tokens/balance").json()["balanceMicrotokens"]
    assert after - before == charged - fee
    assert place.admin.get("/v1/ledger/verify").json()["sound"] is True


def test_the_users_own_limit_and_a_freeze_stop_a_paid_session(place):
    user = buyer(place)
    assert user.put("/v1/tokens/limits", {"dayMicrotokens": 700_000_000}).status_code == 200
    _, session, _ = paid(place, user)
    extend = f"/v1/sessions/{session['id']}/extend"
    problem(user.post(extend, {"minutes": 5}, key="over"), 409, "spending_limit_reached")
    assert user.post(extend, {"minutes": 1}, key="within").status_code == 200
    freeze = f"/v1/admin/accounts/{user.get('/v1/me').json()['id']}/freeze"
    assert place.admin.post(freeze, {"reason": "test"}).status_code == 200
    assert user.put("/v1/tokens/limits", {"dayMicrotokens": None}).status_code == 200
    problem(user.confirm(propose(user, "alpha-hours", kind="paid", durationMinutes=5)["id"]), 409, "account_frozen")
    assert user.confirm(propose(user, "alpha-trial")["id"]).status_code == 201, "a trial is the platform's to pay"
    ended = user.post(f"/v1/sessions/{session['id']}/complete", {}, key="end")
    assert ended.status_code == 200, "what was reserved before is settled all the same"


def test_use_is_paid_by_report_until_the_hold_is_used_up(place):
    user = buyer(place)
    problem(user.post("/v1/proposals", {"serviceId": "alpha-calls", "kind": "paid", "durationMinutes": 10}, key="x"), 422, "validation_failed")
    _, session, _ = paid(place, user, "alpha-calls", maxTokens=10)

    def report(number, units, key=None):
        body = {"sessionId": session["id"], "reportNo": number, "units": units}
        return place.provider.post("/v1/provider/tokens/report", body, key=key or uuid.uuid4().hex)

    first = report(1, 4).json()
    assert first["amountMicrotokens"] == 2_000_000 and first["session"]["chargedMicrotokens"] == 2_000_000
    assert report(1, 4).json()["session"]["chargedMicrotokens"] == 2_000_000, "a number counts once"
    problem(report(1, 5), 422, "id_exists_different")
    problem(place.server.post("/v1/provider/tokens/report", {}), 401, "unauthenticated")
    last = report(2, 100).json()
    assert last["amountMicrotokens"] == 8_000_000
    assert (last["session"]["state"], last["session"]["reason"]) == ("failed", "tokens_depleted")
    problem(report(3, 1), 409, "invalid_transition")
    assert user.get("/v1/tokens/balance").json()["availableMicrotokens"] == 990_000_000


def test_a_key_is_its_callers_own(place):
    user = Account.register(place.server)
    session = user.confirm(propose(user, "alpha-trial")["id"]).json()
    redeemed = place.provider.post("/v1/sessions/validate", {"token": launch_token(session)}).json()
    path = "/v1/sessions/" + session["id"]
    for caller in [user, place.provider, Account(place.server, redeemed["token"])]:
        for step, key, state in [("/pause", "one", "paused"), ("/resume", "two", "active")]:
            answer = caller.post(path + step, key=key)
            assert (answer.status_code, answer.json()["state"]) == (200, state), answer.text
            assert "Idempotent-Replayed" not in answer.headers, "the same word from another caller is another request"
            assert user.get(path).json()["state"] == state
        again = caller.post(path + "/pause", key="one")
        assert again.headers["Idempotent-Replayed"] == "true" and user.get(path).json()["state"] == "active"


# Assertions in place of the API key

def test_an_assertion_by_pyjwt_stands_for_the_key(place):
    private = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key()))
    answer = place.provider.put("/v1/provider/key-set", {"keys": [{**public, "kid": "one", "use": "sig"}]})
    assert answer.status_code == 200 and [key["kid"] for key in answer.json()["keys"]] == ["one"], answer.text
    secret = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private)), "kid": "two"}
    problem(place.provider.put("/v1/provider/key-set", {"keys": [secret]}), 422, "validation_failed")
    user = Account.register(place.server)
    launch = launch_token(user.confirm(propose(user, "alpha-trial")["id"]).json())

    def body(**changes):
        now = int(time.time())
        claims = {"iss": "alpha", "sub": "alpha", "aud": place.server.url, "iat": now, "exp": now + 60,
                  "jti": uuid.uuid4().hex, **changes}
        assertion = jwt.encode(claims, private, algorithm="ES256", headers={"kid": "one"})
        return {"token": launch, "clientAssertion": assertion,
                "clientAssertionType": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}

    validate = place.server.url + "/v1/sessions/validate"
    problem(requests.post(validate, json=body(aud="https://other.example"), timeout=30), 401, "token_invalid")
    problem(requests.post(validate, json={**body(), "clientAssertionType": "password"}, timeout=30), 422, "validation_failed")
    first = requests.post(validate, json=body(), timeout=30)
    assert first.status_code == 200 and first.json()["state"] == "active", first.text
    again = place.provider.post("/v1/sessions/validate", {"token": launch})
    assert again.content == first.content, "the key and the assertion are the same caller"
