"""Whose is it: every route with an id in its path, as the document lists them, tried by everybody else."""

import re
import uuid

import pytest

import harness
from harness import Account, Chat, Server, problem

SECRET = "zanzibar-heron"  # stands in everything private that the owner has
METHODS = {"get", "put", "post", "delete", "patch"}
# What is everybody's, and what is always the caller's own. The two pages know people by their cookie alone:
# test_payments and test_sessions look at them.
PUBLIC = {"/v1/services/{id}", "/v1/services/{id}/similar", "/v1/providers/{id}"}
OWN = {"/v1/me/consents/{purpose}", "/v1/me/consents/providers/{id}", "/purchases/{purchaseId}",
       "/sessions/{sessionId}"}


class Estate:
    """One owner's objects, one of each kind, and everybody who has nothing to do with them."""

    def __init__(self, server, key):
        self.server = server
        self.document = server.get("/openapi.json").json()
        self.alpha, self.beta, self.admin = (Account.login(server, f"{name}@example.org") for name in ("alpha", "beta", "admin"))
        self.user, self.other = Account.register(server), Account.register(server)
        self.sandbox = Account(server, key)
        self.ids = {}
        self.make()

    def make(self):
        ids, alpha, user = self.ids, self.alpha, self.user
        chat = Chat(self.server, user)
        chat.say(f"{SECRET} images")
        ids["/v1/chat/conversations/{id}"] = chat.id
        ids["/v1/proposals/{id}"] = user.propose("adobe-speech-enhancer")["id"]
        ids["/v1/sessions/{id}"], token, pairwise = self.active(user, "acuity-scheduling")
        ids["/v1/users/{providerUserId}"] = pairwise
        Account(self.server, token).post("/v1/sso/provision", {})
        self.foreign_token = self.active(self.other, "acuity-scheduling")[1]
        made = user.post("/v1/me/keys", {"name": SECRET}, key=fresh())
        assert made.status_code == 201, made.text
        ids["/v1/me/keys/{id}"] = ids["/v1/admin/keys/{id}"] = made.json()["id"]
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
        program = {"name": SECRET, "redirectUris": ["https://example.com/back"]}
        made = self.admin.post("/v1/admin/oauth-clients", program, key=fresh())
        assert made.status_code == 201, made.text
        ids["/v1/admin/oauth-clients/{id}"] = made.json()["id"]
        ids["/v1/admin/signing-keys/{id}"] = self.server.get("/.well-known/jwks.json").json()["keys"][0]["kid"]

    def active(self, account, service):
        """A session that its provider has started, its token, and the user as the provider knows it."""
        session = account.confirm(account.propose(service)["id"]).json()
        launch = re.search("marketplace_session=([^&]+)", session["redirectUrl"]).group(1)
        started = self.sandbox.post("/v1/sessions/validate", {"token": launch})
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
        if template.startswith(("/v1/tokens/purchases/", "/v1/admin/purchases/", "/v1/me/apps/")):
            # There is no payment processor and no program here: an id that nobody has.
            return template.replace("{id}", self.ids["user"])
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


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ownership")
    data = folder / "data"
    rows = harness.write_rows(folder / "few.jsonl", harness.read_rows(harness.SERVICES, 60))
    harness.cli("import", rows, "--data", data, "--no-embed")
    harness.add_user(data, "admin", "admin@example.org")
    harness.add_user(data, "provider", "alpha@example.org", "alpha")
    harness.add_user(data, "provider", "beta@example.org", "beta")
    key = harness.add_key(data)
    beta_key = harness.add_key(data, "beta")
    with Server(data) as server:
        estate = Estate(server, key)
        estate.beta_key = Account(server, beta_key)
        yield estate


def test_the_owners_see_what_is_theirs(estate):
    """Else the refusals below would say nothing."""
    seen = 0
    for method, template, operation in estate.routes():
        # A profile needs the person's consent, which nobody has given.
        if method != "GET" or re.search("purchases|/v1/users/", template) or template.endswith("/stream"):
            continue
        callers = set(operation["x-callers"])
        owner = estate.admin if callers == {"admin"} else estate.alpha if callers == {"provider"} else estate.user
        answer = estate.call(owner, method, template, operation)
        assert answer.status_code == 200, f"{template}: {answer.text}"
        seen += 1
    assert seen >= 10


@pytest.mark.parametrize("who", ["nobody", "another user", "another provider", "its key", "another session's token"])
def test_nobody_else_gets_at_them(estate, who):
    account = {"nobody": Nobody(estate.server), "another user": estate.other, "another provider": estate.beta,
               "its key": estate.beta_key, "another session's token": Account(estate.server, estate.foreign_token)}[who]
    tried = 0
    for method, template, operation in estate.routes():
        answer = estate.call(account, method, template, operation)
        assert answer.status_code in (401, 403, 404), f"{who}: {method} {template}: {answer.status_code} {answer.text[:300]}"
        assert SECRET not in answer.text, f"{who}: {method} {template}"
        assert answer.headers["Content-Type"] == "application/problem+json"
        tried += 1
    assert tried >= 40
    assert_untouched(estate)


def assert_untouched(estate):
    chat = estate.user.get("/v1/chat/conversations/" + estate.ids["/v1/chat/conversations/{id}"])
    assert SECRET in chat.text and chat.json()["turns"][0]["state"] == "done"
    assert estate.user.get("/v1/sessions/" + estate.ids["/v1/sessions/{id}"]).json()["state"] == "active"
    assert estate.user.get("/v1/proposals/" + estate.ids["/v1/proposals/{id}"]).status_code == 200
    assert estate.user.get("/v1/me/keys/" + estate.ids["/v1/me/keys/{id}"]).json()["revokedAt"] is None
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
