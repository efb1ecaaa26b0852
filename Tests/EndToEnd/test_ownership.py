"""Whose is it: every route with an id in its path, as the document lists them, tried by everybody else."""

import base64
import hashlib
import hmac
import json
import re
import time
import types
import uuid

import pytest

import harness
import processor
import programs
from browser import Browser
from harness import Account, Chat, Server, problem

SECRET = "zanzibar-heron"  # stands in everything private that the owner has
METHODS = {"get", "put", "post", "delete", "patch"}
# What is everybody's, and what is always the caller's own. The two pages know people by their cookie alone:
# test_payments and test_sessions look at them.
PUBLIC = {"/v1/services/{id}", "/v1/services/{id}/similar", "/v1/providers/{id}"}
OWN = {"/v1/me/consents/{purpose}", "/v1/me/consents/providers/{id}", "/purchases/{purchaseId}",
       "/sessions/{sessionId}"}


PAID = {"id": "alpha-hours", "name": "Alpha Hours", "providerId": "alpha", "providerName": "Alpha Works", "kind": "app",
        "description": "An invented app that is paid by the hour.", "categories": ["Test fixtures"], "tags": [],
        "redirectUris": ["https://alpha.example/start"],
        "offers": [{"id": "main", "plan": "time", "tokenRatePerHour": 3600}]}


class Estate:
    """One owner's objects, one of each kind, and everybody who has nothing to do with them."""

    def __init__(self, server, keys, till):
        self.server, self.till = server, till
        self.document = server.get("/openapi.json").json()
        self.alpha, self.beta, self.admin = (Account.login(server, f"{name}@example.org") for name in ("alpha", "beta", "admin"))
        self.emails = [f"{uuid.uuid4().hex}@example.org" for _ in range(2)]
        self.user, self.other = (Account.register(server, email) for email in self.emails)
        self.sandbox, self.alpha_key, self.beta_key = (Account(server, key) for key in keys)
        self.ids = {}
        self.make()
        self.make_paid()
        self.make_program()

    def make(self):
        ids, alpha, user = self.ids, self.alpha, self.user
        chat = Chat(self.server, user)
        chat.say(f"{SECRET} images")
        ids["/v1/chat/conversations/{id}"] = chat.id
        self.anonymous = Chat(self.server)
        self.anonymous.say(f"{SECRET} sounds")
        ids["/v1/proposals/{id}"] = user.propose("adobe-speech-enhancer")["id"]
        ids["/v1/sessions/{id}"], token, pairwise = self.active(user, "acuity-scheduling")
        ids["/v1/users/{providerUserId}"] = pairwise
        allowed = user.put("/v1/me/consents/providers/" + harness.SANDBOX, {"scopes": ["profile", "email", "session_access"]})
        assert allowed.status_code == 200, allowed.text
        Account(self.server, token).post("/v1/sso/provision", {})
        self.foreign_token = self.active(self.other, "acuity-scheduling")[1]
        made = user.post("/v1/me/keys", {"name": SECRET, "scopes": ["discovery:read"]}, key=fresh())
        assert made.status_code == 201, made.text
        ids["/v1/me/keys/{id}"] = ids["/v1/admin/keys/{id}"] = made.json()["id"]
        self.own_scoped = Account(self.server, scoped(made.json()))
        scopes = ["discovery:read", "trials:start", "sessions:read", "sessions:end"]
        made = self.other.post("/v1/me/keys", {"name": "other", "scopes": scopes}, key=fresh()).json()
        self.other_key, self.other_scoped = Account(self.server, made["secret"]), Account(self.server, scoped(made))
        ids["/v1/auth/sessions/{id}"] = user.get("/v1/auth/sessions").json()["sessions"][0]["id"]
        ids["user"] = user.get("/v1/me").json()["id"]
        draft = {"name": SECRET, "kind": "api", "description": f"A draft about {SECRET}.", "categories": ["Databases"],
                 "status": "draft"}
        assert alpha.put("/v1/provider/services/alpha-draft", draft).status_code == 201
        ids["/v1/provider/services/{id}"] = "alpha-draft"
        hook = alpha.post("/v1/provider/webhooks", {"url": "https://example.com/" + SECRET}, key=fresh())
        assert hook.status_code == 201, hook.text
        ids["/v1/provider/webhooks/{id}"] = hook.json()["id"]
        sent = alpha.post(f"/v1/provider/webhooks/{hook.json()['id']}/test", {}, key=fresh())
        assert sent.status_code == 202, sent.text
        ids["deliveryId"] = sent.json()["id"]
        body = {"kind": "pin", "serviceId": "acuity-scheduling", "terms": [SECRET]}
        assert self.admin.put("/v1/admin/placements/own", body).status_code == 201
        ids["/v1/admin/placements/{id}"] = "own"
        ids["/v1/admin/signing-keys/{id}"] = self.server.get("/.well-known/jwks.json").json()["keys"][0]["kid"]

    def make_paid(self):
        """Tokens that were bought, a session that was paid with them, and what its provider was paid out."""
        bought = self.user.post("/v1/tokens/purchase", {"tokenAmount": 900}, key=fresh())
        assert bought.status_code == 201, bought.text
        name = bought.json()["purchaseId"]
        self.ids["/v1/tokens/purchases/{id}"] = self.ids["/v1/admin/purchases/{id}"] = name
        paid = processor.deliver(self.server, processor.event("checkout.session.completed", self.till.pay(name)))
        assert paid.json()["result"] == "applied", paid.text
        wish = {"serviceId": PAID["id"], "kind": "paid", "durationMinutes": 5}
        session, _, _ = self.started(self.user, wish, self.alpha_key)
        time.sleep(0.05)
        ended = self.user.post(f"/v1/sessions/{session}/complete", {}, key=fresh())
        assert ended.json()["chargedMicrotokens"] > 1_000, ended.text
        body = {"providerId": "alpha", "amountMicrotokens": 1_000, "reference": SECRET, "reason": "a test"}
        payout = self.admin.post("/v1/admin/payouts", body, key=fresh())
        assert payout.status_code == 201, payout.text
        self.ids["paid session"], self.ids["payout"] = session, payout.json()["transferId"]

    def make_program(self):
        """A program that acts for the owner with all scopes, and one of another person's."""
        back = "https://example.com/back"
        ids = [self.admin.post("/v1/admin/oauth-clients", {"name": name, "redirectUris": [back]}, key=fresh()).json()["id"]
               for name in (SECRET, "Narrow")]
        self.ids["/v1/admin/oauth-clients/{id}"] = self.ids["/v1/me/apps/{id}"] = ids[0]
        place = types.SimpleNamespace(server=self.server)

        def granted(email, scope, client):
            oauth = programs.session(place, scope, back, client)
            url, _, verifier = programs.address(place, oauth)
            browser = Browser(self.server)
            page = browser.sign_in(browser.open(url), email, harness.PASSWORD)
            answer = page.send(decision="allow")
            token = oauth.fetch_token(self.server.url + "/oauth/token", authorization_response=answer.location,
                                      code_verifier=verifier)
            return Account(self.server, token["access_token"])

        self.program = granted(self.emails[0], programs.SCOPES, ids[0])
        self.narrow_program = granted(self.emails[0], "discovery:read", ids[1])
        self.others_program = granted(self.emails[1], programs.SCOPES, ids[1])

    def active(self, account, service):
        """A session that its provider has started, its token, and the user as the provider knows it."""
        return self.started(account, {"serviceId": service}, self.sandbox)

    def started(self, account, wish, provider):
        proposal = account.post("/v1/proposals", wish, key=fresh())
        assert proposal.status_code == 201, proposal.text
        session = account.confirm(proposal.json()["id"]).json()
        launch = re.search("marketplace_session=([^&]+)", session["redirectUrl"]).group(1)
        started = provider.post("/v1/sessions/validate", {"token": launch})
        assert started.status_code == 200, started.text
        return session["id"], started.json()["token"], started.json()["userId"]

    def path(self, template):
        """The template with the owner's ids; a route that this test does not know fails it."""
        for prefix, value in self.ids.items():
            if template == prefix or template.startswith(prefix + "/"):
                template = template.replace("{deliveryId}", self.ids["deliveryId"])
                return re.sub(r"\{\w+\}", value, template)
        if re.match(r"/v1/admin/(users|accounts|chargebacks)/", template):
            return re.sub(r"\{\w+\}", self.ids["user"], template)
        raise AssertionError(f"say in Estate.make whose {template} is")

    def routes(self):
        for template, item in self.document["paths"].items():
            for method, operation in item.items():
                if "{" in template and method in METHODS and template not in PUBLIC | OWN:
                    yield method.upper(), template, operation

    def body(self, schema):
        """The smallest value that a schema allows."""
        if "$ref" in schema:
            return self.body(self.document["components"]["schemas"][schema["$ref"].rsplit("/")[-1]])
        if "anyOf" in schema:
            return self.body(schema["anyOf"][0])
        if "enum" in schema:
            return schema["enum"][0]
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            return {name: self.body(schema["properties"][name]) for name in schema.get("required", [])}
        if kind == "array":
            return [self.body(schema["items"])] * schema.get("minItems", 0)
        return {"string": "x" * schema.get("minLength", 1), "boolean": True, "null": None}.get(kind, schema.get("minimum", 1))

    def call(self, account, method, template, operation):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        body = self.body(content["schema"]) if content else None
        return account.call(method, self.path(template), body, key=fresh() if operation["x-repeats"] == "Idempotency-Key" else None)


class Nobody(Account):
    def __init__(self, server):
        super().__init__(server, "")
        del self.http.headers["Authorization"]


def fresh():
    return uuid.uuid4().hex


def scoped(key):
    """A token that the owner of a key makes of it alone (Pages/http-api.md)."""
    def text(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    body = text(json.dumps({"key": key["id"]}).encode())
    sign = hashlib.sha256(b"waypost-scoped:" + key["secret"].encode()).digest()
    return "wps_" + (body + b"." + text(hmac.new(sign, body, "sha256").digest())).decode()


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ownership")
    data = folder / "data"
    rows = harness.write_rows(folder / "few.jsonl", harness.read_rows(harness.SERVICES, 60) + [PAID])
    harness.cli("import", rows, "--data", data, "--no-embed")
    harness.add_user(data, "admin", "admin@example.org")
    harness.add_user(data, "provider", "alpha@example.org", "alpha")
    harness.add_user(data, "provider", "beta@example.org", "beta")
    keys = [harness.add_key(data), harness.add_key(data, "alpha"), harness.add_key(data, "beta")]
    local = processor.LocalStripe(folder / "localstripe.log")
    till = processor.Processor(local)
    secrets = {"WAYPOST_STRIPE_KEY": processor.KEY, "WAYPOST_STRIPE_WEBHOOK_SECRET": processor.SECRET}
    try:
        with Server(data, "--stripe-url", till.url, env=secrets) as server:
            yield Estate(server, keys, till)
    finally:
        till.close()
        local.close()


def test_the_owners_see_what_is_theirs(estate):
    """Else the refusals below would say nothing."""
    seen = 0
    for method, template, operation in estate.routes():
        if method != "GET" or template.endswith("/stream"):
            continue
        callers = set(operation["x-callers"])
        owner = estate.admin if callers == {"admin"} else estate.alpha if callers == {"provider"} else estate.user
        owner = estate.sandbox if template.startswith("/v1/users/") else owner
        answer = estate.call(owner, method, template, operation)
        assert answer.status_code == 200, f"{template}: {answer.text}"
        seen += 1
    assert seen >= 15
    assert estate.program.get("/v1/sessions/" + estate.ids["/v1/sessions/{id}"]).status_code == 200
    payouts = estate.alpha.get("/v1/tokens/transactions").text
    assert estate.ids["payout"] in payouts and SECRET in payouts


STRANGERS = {
    "nobody": lambda e: Nobody(e.server), "another user": lambda e: e.other, "its key": lambda e: e.other_key,
    "its scoped token": lambda e: e.other_scoped, "its program": lambda e: e.others_program,
    "another provider": lambda e: e.beta, "that provider's key": lambda e: e.beta_key,
    "another session's token": lambda e: Account(e.server, e.foreign_token)}
# The owner's own, but good for searches alone.
WEAK = {"the owner's scoped token": lambda e: e.own_scoped, "the owner's narrow program": lambda e: e.narrow_program}


@pytest.mark.parametrize("who", [*STRANGERS, *WEAK])
def test_nobody_else_gets_at_them(estate, who):
    account = {**STRANGERS, **WEAK}[who](estate)
    tried = 0
    for method, template, operation in estate.routes():
        answer = estate.call(account, method, template, operation)
        assert answer.status_code in (401, 403, 404), f"{who}: {method} {template}: {answer.status_code} {answer.text[:300]}"
        assert SECRET not in answer.text, f"{who}: {method} {template}"
        assert answer.headers["Content-Type"] == "application/problem+json"
        tried += 1
    assert tried >= 40
    assert_untouched(estate)


@pytest.mark.parametrize("who", [*STRANGERS, "the admin"])
def test_an_anonymous_conversation_is_only_for_who_has_its_secret(estate, who):
    account = STRANGERS.get(who, lambda e: e.admin)(estate)
    for method, template, operation in estate.routes():
        if template.startswith("/v1/chat/conversations/"):
            path = template.replace("{id}", estate.anonymous.id)
            for secret in (None, "x" * 43):
                headers = {"Waypost-Conversation": secret} if secret else {}
                answer = account.call(method, path, {} if method == "POST" else None, **headers)
                assert answer.status_code in (401, 403, 404), f"{who}: {method} {template}: {answer.text[:300]}"
                assert SECRET not in answer.text
    assert SECRET in estate.anonymous.get("").text


@pytest.mark.parametrize("name", ["program", "other_key"])
def test_a_program_and_a_key_reach_no_more_than_their_person(estate, name):
    """With every scope of people: a route that names none of them is closed."""
    account, tried = getattr(estate, name), 0
    for method, template, operation in estate.routes():
        if not set(programs.SCOPES.split()) & set(operation.get("x-scopes", [])):
            answer = estate.call(account, method, template, operation)
            assert answer.status_code in (401, 403, 404), f"{method} {template}: {answer.text[:300]}"
            assert SECRET not in answer.text
            tried += 1
    for template, item in estate.document["paths"].items():
        operation = item.get("get")
        if operation and "{" not in template and "anyone" not in operation["x-callers"] and not operation.get("x-scopes"):
            answer = account.get(template)
            assert answer.status_code in (401, 403), f"GET {template}: {answer.text[:300]}"
            tried += 1
    assert tried >= 40, tried
    assert_untouched(estate)


def assert_untouched(estate):
    chat = estate.user.get("/v1/chat/conversations/" + estate.ids["/v1/chat/conversations/{id}"])
    assert SECRET in chat.text and chat.json()["turns"][0]["state"] == "done"
    assert estate.user.get("/v1/sessions/" + estate.ids["/v1/sessions/{id}"]).json()["state"] == "active"
    assert estate.user.get("/v1/proposals/" + estate.ids["/v1/proposals/{id}"]).status_code == 200
    assert estate.user.get("/v1/me/keys/" + estate.ids["/v1/me/keys/{id}"]).json()["revokedAt"] is None
    assert [app["clientId"] for app in estate.user.get("/v1/me/apps").json()["apps"]].count(estate.ids["/v1/me/apps/{id}"]) == 1
    purchase = estate.user.get("/v1/tokens/purchases/" + estate.ids["/v1/tokens/purchases/{id}"]).json()
    assert (purchase["state"], purchase["tokenAmount"]) == ("paid", 900)
    assert estate.user.get("/v1/auth/sessions/" + estate.ids["/v1/auth/sessions/{id}"]).status_code == 200
    assert estate.sandbox.get(f"/v1/users/{estate.ids['/v1/users/{providerUserId}']}/profile").status_code == 200
    assert estate.alpha.get("/v1/provider/services/alpha-draft").status_code == 200
    assert estate.alpha.get("/v1/provider/webhooks/" + estate.ids["/v1/provider/webhooks/{id}"]).status_code == 200


def test_lists_have_only_what_is_the_callers_own(estate):
    """Every list of a person or a provider: none of them shows another's objects."""
    ids = {value for name, value in estate.ids.items() if name not in ("/v1/admin/signing-keys/{id}", "/v1/admin/placements/{id}")}
    tried = 0
    for template, item in estate.document["paths"].items():
        operation = item.get("get")
        if not operation or "{" in template or template.endswith("/events") or template.startswith("/v1/admin"):
            continue
        if not {"user", "provider"} & set(operation["x-callers"]):
            continue
        for account in (estate.other, estate.beta):
            answer = account.get(template)
            assert answer.status_code in (200, 403), f"{template}: {answer.text}"
            assert SECRET not in answer.text and not any(f'"{value}"' in answer.text for value in ids), template
            tried += answer.status_code == 200
    assert tried >= 15


def test_a_public_listing_of_another_is_forbidden_and_a_draft_is_not_there(estate):
    listing = {"name": "Public Heron", "kind": "api", "description": "A listing that everybody sees.", "categories": ["Databases"]}
    assert estate.alpha.put("/v1/provider/services/alpha-public", listing).status_code == 201
    problem(estate.beta.put("/v1/provider/services/alpha-public", listing), 403, "forbidden")
    problem(estate.beta.put("/v1/provider/services/alpha-draft", listing), 404, "not_found")
