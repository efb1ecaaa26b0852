"""The whole journey: a need in words, three cards, a proposal, a confirmed trial, a settled ledger."""

import time
import types
import urllib.parse
import uuid

import jwt
import pytest

from harness import Account, Chat, problem

NEED = "I need a tool to generate images from text"
NARROWER = "Product photos for e-commerce"


@pytest.fixture(scope="module")
def journey(server, sandbox):
    """The conversation of the first issue, from the need to the end of the trial."""
    before = sandbox.get("/v1/tokens/balance").json()
    account = Account.register(server)
    chat = Chat(server, account)
    needed, narrowed, tried = chat.say(NEED), chat.say(NARROWER), chat.say("let me try the first")
    proposal = tried.one("proposal")
    key = uuid.uuid4().hex
    body = {"proposalId": proposal["id"]}
    confirmed = account.post("/v1/sessions", body, key=key)
    assert confirmed.status_code == 201, confirmed.text
    session = confirmed.json()
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(session["redirectUrl"]).query)
    launch = query["marketplace_session"][0]
    held = sandbox.get("/v1/tokens/balance").json()
    redeemed = server.post("/v1/sessions/validate", {"token": launch}, headers={"Origin": server.url})
    assert redeemed.status_code == 200, redeemed.text
    bearer = Account(server, redeemed.json()["token"])
    path = "/v1/sessions/" + session["id"]
    time.sleep(1.1)
    beat = bearer.post(path + "/heartbeat", {"seq": 1, "active": True})
    assert beat.status_code == 200, beat.text
    completed = bearer.post(path + "/complete", {"outcome": "completed"}, key="end-1")
    assert completed.status_code == 200, completed.text
    return types.SimpleNamespace(
        account=account, chat=chat, needed=needed, narrowed=narrowed, tried=tried, proposal=proposal,
        key=key, confirmed=confirmed, session=session, query=query, launch=launch, path=path,
        before=before, held=held, redeemed=redeemed.json(), beat=beat.json(), bearer=bearer,
        completed=completed.json(), after=sandbox.get("/v1/tokens/balance").json())


def stored(server, service):
    answer = server.get("/v1/services/" + service)
    assert answer.status_code == 200
    return answer.json()["service"]


def test_a_need_gives_three_image_services_and_one_question(server, journey):
    turn = journey.needed
    cards = turn.of("card")
    assert [card["rank"] for card in cards] == [1, 2, 3]
    assert len({card["serviceId"] for card in cards}) == 3
    for card in cards:
        service = stored(server, card["serviceId"])
        words = str(service).lower()
        assert "image" in words or "picture" in words, card["serviceId"]
    assert len(turn.of("question")) == 1
    assert turn.types[0] == "turn.start" and turn.types[-1] == "done"
    assert turn.one("done")["services"] == [card["serviceId"] for card in cards]


def test_each_card_has_its_price_or_says_that_it_is_not_stated(server, journey):
    for card in journey.needed.of("card") + journey.narrowed.of("card"):
        prices = [price for offer in stored(server, card["serviceId"])["offers"] for price in offer["prices"]]
        assert card["priceStated"] == bool(prices)
        if prices:
            assert card["price"] != "price not stated"
        else:
            assert card["price"] == "price not stated" and "price not stated" in card["caveats"]


def test_each_card_has_evidence_and_each_reason_names_its_own(journey):
    for turn in (journey.needed, journey.narrowed):
        known = {(proof["serviceId"], proof["id"]) for proof in turn.of("evidence")}
        for card in turn.of("card"):
            assert card["evidence"] and card["why"]
            own = {id for service, id in known if service == card["serviceId"]}
            assert set(card["evidence"]) <= own
            assert {reason["evidence"] for reason in card["why"]} <= own


def test_every_quoted_value_is_in_the_stored_field(server, journey):
    quotes = 0
    for turn in (journey.needed, journey.narrowed):
        for proof in turn.of("evidence"):
            field = stored(server, proof["serviceId"]).get(proof["field"])
            if isinstance(proof["value"], str):
                quotes += 1
                assert proof["value"] and proof["value"] in field
            assert proof["revision"] == stored(server, proof["serviceId"])["revision"]
    assert quotes >= 6


def test_the_second_need_narrows_with_reasons(server, journey):
    turn = journey.narrowed
    chips = turn.one("constraints")["constraints"]
    assert len(chips) == 2 and all(chip["source"] == "text" for chip in chips)
    assert chips[0]["value"] in NEED and "images" in chips[0]["value"] and chips[1]["value"] in NARROWER
    assert chips[1]["value"] in turn.text
    assert turn.one("done")["services"] != journey.needed.one("done")["services"]
    words = [str(stored(server, card["serviceId"])).lower() for card in turn.of("card")]
    assert any("product" in one or "commerce" in one or "shop" in one for one in words)
    assert all(card["why"] for card in turn.of("card"))


def test_no_field_is_asked_twice(journey):
    asked = [q["field"] for turn in (journey.needed, journey.narrowed) for q in turn.of("question")]
    assert len(asked) == len(set(asked))
    for turn in (journey.needed, journey.narrowed):
        for question in turn.of("question"):
            assert 2 <= len(question["options"]) <= 5 and question["any"]


def test_the_proposal_says_who_pays_and_that_it_is_a_demo(journey):
    proposal = journey.proposal
    assert proposal["serviceId"] == journey.narrowed.of("card")[0]["serviceId"]
    assert (proposal["durationMinutes"], proposal["maxTokens"], proposal["paidBy"]) == (30, 250, "platform")
    assert proposal["userPaysMicrotokens"] == 0 and proposal["heldMicrotokens"] == 250_000_000
    assert f"Demo trial in the sandbox, not offered by {proposal['provider']}" in proposal["text"]
    assert proposal["confirm"] == {
        "method": "POST", "path": "/v1/sessions", "body": {"proposalId": proposal["id"]}}
    assert proposal["text"] in journey.tried.text
    asked = proposal["consent"]
    assert asked["providerId"] == "waypost-sandbox" and asked["needed"] is True
    assert [row["name"] for row in asked["scopes"]] == ["profile", "email", "session_access"]
    assert f"{asked['providerName']} will know" in journey.tried.text, "the chat says it too"


def test_the_session_redirects_to_the_sandbox(server, journey):
    session = journey.session
    assert session["redirectUrl"].startswith(server.url + "/demo/app?")
    assert len(session["redirectUrl"]) <= 2000
    assert journey.query["return_url"] == [server.url + "/sessions/" + session["id"]]
    assert (session["state"], session["kind"], session["heldMicrotokens"]) == ("pending", "trial", 250_000_000)
    assert session["sandbox"] is True and session["redeemBefore"] > session["createdAt"]
    page = server.get("/demo/app")
    assert page.status_code == 200 and "Sandbox trial" in page.text


def test_pyjwt_verifies_the_launch_token_against_the_jwks(server, journey):
    client = jwt.PyJWKClient(server.url + "/.well-known/jwks.json")
    key = client.get_signing_key_from_jwt(journey.launch)
    options = {"require": ["iss", "aud", "sub", "jti", "iat", "nbf", "exp"]}
    claims = jwt.decode(
        journey.launch, key.key, algorithms=["ES256"], audience=jwt.decode(
            journey.launch, options={"verify_signature": False})["aud"], issuer=server.url, options=options)
    assert set(jwt.get_unverified_header(journey.launch)) == {"alg", "kid", "typ"}
    assert jwt.get_unverified_header(journey.launch)["typ"] == "launch+jwt"
    assert claims["aud"] and claims["session_id"] == journey.session["id"]
    assert claims["service_id"] == journey.session["serviceId"]
    assert claims["duration_limit"] == 1800 and claims["tokens_allocated"] == 250
    assert claims["exp"] == claims["iat"] + 1800 + 300
    assert len(claims["jti"]) == 22, "128 random bits in base64url"
    user = journey.account.get("/v1/me").json()
    assert user["email"] not in str(claims) and user["id"] not in str(claims), "the subject is pairwise"


def test_the_jwks_holds_public_parts_only(server):
    answer = server.get("/.well-known/jwks.json")
    assert answer.headers["Content-Type"] == "application/jwk-set+json"
    assert "max-age=300" in answer.headers["Cache-Control"]
    for key in answer.json()["keys"]:
        assert not set(key) & {"d", "p", "q", "k"}


def test_the_session_starts_with_validate_and_beats(journey):
    assert journey.redeemed["state"] == "active" and journey.redeemed["startedAt"]
    assert journey.beat["state"] == "active" and journey.beat["nextHeartbeatSeconds"] == 30
    assert 0 < journey.beat["remainingMs"] <= 1_800_000 - 1_000


def test_charged_and_released_are_what_was_held(journey):
    done = journey.completed
    assert (done["state"], done["reason"]) == ("completed", "provider")
    assert done["chargedMicrotokens"] + done["releasedMicrotokens"] == done["heldMicrotokens"]
    # 500 tokens an hour: 138,888 microtokens a second, for one to thirty seconds.
    assert 138_888 <= done["chargedMicrotokens"] <= 30 * 138_889


def test_the_sandbox_earned_the_charge_and_its_transactions_add_up(journey, sandbox):
    charged = journey.completed["chargedMicrotokens"]
    assert journey.after["balanceMicrotokens"] - journey.before["balanceMicrotokens"] == charged
    rows = sandbox.get("/v1/tokens/transactions?limit=100").json()["transactions"]
    sequence = [row["sequence"] for row in rows]
    assert sequence == sorted(sequence, reverse=True)
    captured = sum(row["amountMicrotokens"] for row in rows if row["kind"] == "capture")
    assert captured == sandbox.get("/v1/tokens/balance").json()["balanceMicrotokens"]
    holds = [row for row in rows if row["kind"] == "hold"]
    assert any(row["amountMicrotokens"] == journey.session["heldMicrotokens"] for row in holds)
    assert any(row["kind"] == "capture" and row["amountMicrotokens"] == charged for row in rows)


def test_the_user_pays_nothing(journey):
    balance = journey.account.get("/v1/tokens/balance").json()
    assert (balance["balanceMicrotokens"], balance["heldMicrotokens"]) == (0, 0)
    assert journey.account.get("/v1/tokens/transactions").json()["transactions"] == []


def test_the_ledger_verifies_for_an_admin_only(server, admin, user, journey):
    report = admin.get("/v1/ledger/verify").json()
    assert report["sound"] is True and report["faults"] == [] and report["transfers"] >= 3
    problem(user.get("/v1/ledger/verify"), 403, "forbidden")
    problem(server.get("/v1/ledger/verify"), 401, "unauthenticated")


def test_confirming_again_with_the_same_key_replays(journey):
    again = journey.account.post("/v1/sessions", {"proposalId": journey.proposal["id"]}, key=journey.key)
    assert again.status_code == 201 and again.content == journey.confirmed.content
    assert len(journey.account.get("/v1/sessions").json()["sessions"]) == 1


def test_confirming_again_with_another_key_is_a_conflict(journey):
    answer = journey.account.confirm(journey.proposal["id"], key="another-key")
    problem(answer, 409, "proposal_consumed")
    assert len(journey.account.get("/v1/sessions").json()["sessions"]) == 1


def test_the_same_key_with_another_body_is_a_conflict(journey):
    answer = journey.account.post("/v1/sessions", {"proposalId": "0" * 26}, key=journey.key)
    problem(answer, 422, "idempotency_conflict")


def test_a_confirmation_without_a_key_or_a_proposal_is_refused(user):
    proposal = user.propose("sellerpic")
    problem(user.post("/v1/sessions", {"proposalId": proposal["id"]}), 400, "idempotency_key_required")
    problem(user.post("/v1/sessions", {}, key="k1"), 422, "proposal_required")
    assert user.get("/v1/sessions").json()["sessions"] == []


def test_another_users_proposal_and_session_are_not_there(server, user, journey):
    own = Account.register(server).propose("sellerpic")
    problem(user.confirm(own["id"]), 404, "not_found")
    problem(user.get(journey.path), 404, "not_found")
    problem(user.post(journey.path + "/complete", {}, key="x"), 404, "not_found")
    problem(user.delete(journey.path), 404, "not_found")


def test_a_used_launch_token_is_refused(server, journey):
    answer = server.post("/v1/sessions/validate", {"token": journey.launch}, headers={"Origin": server.url})
    assert answer.status_code == 409, answer.text


def test_a_launch_token_needs_the_registered_origin(server, user):
    session = user.confirm(user.propose("sellerpic")["id"]).json()
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(session["redirectUrl"]).query)
    token = query["marketplace_session"][0]
    wrong = server.post("/v1/sessions/validate", {"token": token}, headers={"Origin": "https://evil.example"})
    problem(wrong, 403, "origin_not_allowed")
    problem(server.post("/v1/sessions/validate", {"token": token}), 403, "origin_not_allowed")
    head, body, signature = token.split(".")
    forged = ".".join([head, body, signature[:-4] + "AAAA"])
    problem(server.post("/v1/sessions/validate", {"token": forged}, headers={"Origin": server.url}), 401, "token_invalid")
    problem(user.post("/v1/proposals", {"serviceId": "sellerpic"}, key="again"), 409, "trial_already_open")
    revoked = user.delete("/v1/sessions/" + session["id"]).json()
    assert (revoked["state"], revoked["chargedMicrotokens"]) == ("expired", 0)


def test_a_declined_proposal_cannot_be_confirmed(user):
    proposal = user.propose("sellerpic")["id"]
    assert user.post(f"/v1/proposals/{proposal}/decline").status_code == 204
    problem(user.confirm(proposal), 409, "proposal_declined")


def test_a_changed_listing_makes_its_proposal_stale(server, user):
    provider = Account.login(server, "alpha@example.org")
    listing = {"name": "Stale thing", "kind": "tool", "description": "It changes.", "categories": ["x"]}
    assert provider.put("/v1/provider/services/e2e-stale", listing).status_code == 201
    proposal = user.propose("e2e-stale")["id"]
    listing["trial"] = {"offered": True, "minutes": 10, "capTokens": 20}
    assert provider.put("/v1/provider/services/e2e-stale", listing).status_code == 200
    problem(user.confirm(proposal), 409, "proposal_stale")
    provider.delete("/v1/provider/services/e2e-stale")


def test_pausing_stops_and_resuming_goes_on(server, user):
    session = user.confirm(user.propose("sellerpic")["id"]).json()
    path = "/v1/sessions/" + session["id"]
    problem(user.post(path + "/pause", {}, key="p0"), 409, "invalid_transition")
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(session["redirectUrl"]).query)
    token = {"token": query["marketplace_session"][0]}
    bearer = Account(server, server.post("/v1/sessions/validate", token, headers={"Origin": server.url}).json()["token"])
    assert bearer.post(path + "/pause", {}, key="p1").json()["state"] == "paused"
    assert user.post(path + "/resume", {}, key="r1").json()["state"] == "active"
    assert user.post(path + "/complete", {}, key="c1").json()["state"] == "completed"
    assert bearer.post(path + "/heartbeat", {"seq": 9, "active": True}).json()["state"] == "completed"
    problem(bearer.post(path + "/pause", {}, key="p2"), 409, "invalid_transition")
