"""Keys: the server's, as others' verifiers read them; people's and providers', and tokens made from them."""

import base64
import hashlib
import hmac
import json
import re
import time
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

import harness
from harness import SANDBOX, Account, Server, problem
from people import catalog, house, make_key, operator, person  # noqa: F401
from token_peers import READERS


def key_set(server):
    answer = server.get("/.well-known/jwks.json")
    assert answer.headers["Content-Type"] == "application/jwk-set+json"
    for key in answer.json()["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)
    return answer.json()


def claims_of(token, keys, algorithm, audience):
    """The claims as five verifiers read them."""
    kid = jwt.get_unverified_header(token)["kid"]
    key = next(row for row in keys["keys"] if row["kid"] == kid)
    claims = jwt.decode(token, jwt.PyJWK(key).key, algorithms=[algorithm], audience=audience)
    for name, reader in READERS.items():
        assert reader(token, key, algorithm) == claims, name
    return claims


def test_access_tokens_verify_with_five_libraries(house, person):
    claims = claims_of(person.account.token, key_set(house), "ES256", house.url)
    assert claims["sub"] == person.id and claims["iss"] == house.url and claims["exp"] - claims["iat"] == 900
    assert jwt.get_unverified_header(person.account.token)["typ"] == "at+jwt"
    assert person.mail not in json.dumps(claims)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_launch_tokens_verify_as_their_provider_chose(tmp_path, algorithm):
    data = catalog(tmp_path)
    if algorithm != "ES256":
        harness.cli("keys", "rotate", "--algorithm", algorithm, "--data", data)
        file = data / "keys" / "signing.json"
        keys = json.loads(file.read_text())
        keys["keys"][-1]["activeFrom"] = 0  # as if ten minutes had passed
        file.write_text(json.dumps(keys))
    with Server(data) as server:
        provider = Account.login(server, "sandbox@example.org")
        answer = provider.put("/v1/provider/launch-tokens", {"algorithm": algorithm})
        assert answer.status_code == 200 and provider.get("/v1/provider/launch-tokens").json() == answer.json()
        account = Account.register(server)
        session = account.confirm(account.propose("acuity-scheduling")["id"]).json()
        launch = re.search("marketplace_session=([^&]+)", session["redirectUrl"]).group(1)
        assert jwt.get_unverified_header(launch)["alg"] == algorithm
        audience = jwt.decode(launch, options={"verify_signature": False})["aud"]
        claims = claims_of(launch, key_set(server), algorithm, audience)
        assert claims["session_id"] == session["id"]
        redeemed = server.post("/v1/sessions/validate", {"token": launch}, headers={"Origin": server.url})
        assert redeemed.status_code == 200 and redeemed.json()["state"] == "active"


def test_an_algorithm_signs_only_when_its_key_may_be_known(house):
    provider = Account.login(house, "sandbox@example.org")
    problem(provider.put("/v1/provider/launch-tokens", {"algorithm": "HS256"}), 422, "validation_failed")
    before = {key["kid"] for key in key_set(house)["keys"]}
    answer = provider.put("/v1/provider/launch-tokens", {"algorithm": "EdDSA"}).json()
    assert answer["effectiveFrom"] > time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 500))
    added = [key for key in key_set(house)["keys"] if key["kid"] not in before]
    assert [key["crv"] for key in added] == ["Ed25519"], "published before it signs"
    account = Account.register(house)
    session = account.confirm(account.propose("acuity-scheduling")["id"]).json()
    launch = re.search("marketplace_session=([^&]+)", session["redirectUrl"]).group(1)
    assert jwt.get_unverified_header(launch)["alg"] == "ES256"
    assert provider.put("/v1/provider/launch-tokens", {"algorithm": "ES256"}).status_code == 200
    problem(account.get("/v1/provider/launch-tokens"), 403, "forbidden")


def test_the_key_set_is_cached_by_its_tag(house, operator):
    first = house.get("/.well-known/jwks.json")
    assert first.headers["Cache-Control"] == "public, max-age=300"
    tag = first.headers["ETag"]
    again = house.get("/.well-known/jwks.json", headers={"If-None-Match": tag})
    assert again.status_code == 304 and again.content == b"" and again.headers["ETag"] == tag
    assert house.get("/.well-known/jwks.json", headers={"If-None-Match": '"other"'}).status_code == 200


def test_keys_rotate_and_go_on_the_live_server(tmp_path):
    data = catalog(tmp_path)
    with Server(data) as server:
        operator, account = Account.login(server, "admin@example.org"), Account.register(server)
        old = jwt.get_unverified_header(account.token)["kid"]
        problem(account.post("/v1/admin/signing-keys/rotate", {}), 403, "forbidden")
        made = operator.post("/v1/admin/signing-keys/rotate", {}).json()
        assert operator.post("/v1/admin/signing-keys/rotate", {}).json() == made, "one waits already"
        env = {"WAYPOST_TOKEN": operator.token}
        assert made["kid"] in harness.cli("keys", "rotate", "--data", data, env=env).stdout
        assert {key["kid"] for key in key_set(server)["keys"]} == {old, made["kid"]}
        rows = {row["kid"]: row for row in operator.get("/v1/admin/signing-keys").json()["keys"]}
        assert rows[old]["signing"] is True and rows[made["kid"]]["signing"] is False
        fresh = Account.register(server)
        assert jwt.get_unverified_header(fresh.token)["kid"] == old, "the new one is not known everywhere yet"
        harness.cli("keys", "remove", old, "--data", data, env=env)
        problem(account.get("/v1/me"), 401, "token_invalid")
        assert [key["kid"] for key in key_set(server)["keys"]] == [made["kid"]]
        operator = Account.login(server, "admin@example.org")
        assert jwt.get_unverified_header(operator.token)["kid"] == made["kid"]
        problem(operator.post(f"/v1/admin/signing-keys/{old}/remove", {}), 404, "not_found")
        actions = [row["action"] for row in operator.get("/v1/admin/audit").json()["entries"]]
        assert actions.count("signing_key.removed") == 1 and "signing_key.rotated" in actions


@pytest.mark.parametrize("name, mode", [("secret", 0o644), ("signing.json", 0o640), ("", 0o777)])
def test_keys_that_others_may_read_or_replace_stop_the_start(tmp_path, name, mode):
    data = tmp_path / "data"
    harness.add_user(data, "admin", "admin@example.org")
    file = data / "keys" / name
    good = file.stat().st_mode & 0o777
    assert good == (0o600 if name else 0o700)
    file.chmod(mode)
    for command in (["serve", "--port", "0"], ["keys", "list"], ["ledger", "verify"]):
        done = harness.cli(*command, "--data", data, check=False)
        assert done.returncode == 1 and f"mode {mode:04o}" in done.stderr and "chmod" in done.stderr, done.stderr
    assert file.stat().st_mode & 0o777 == mode, "only the operator can tell whether it was read"
    file.chmod(good)
    with Server(data):
        pass


PURPOSES = ["api-key", "audit-head", "browser-form", "feedback", "idempotency", "oauth-client", "oauth-refresh", "oidc",
            "pairwise", "proposal", "redemption", "refresh", "register", "webhooks"]


def secrets_of(data):
    """Every secret of the key ring, in the forms that a careless program would write it in."""
    ring = json.loads((data / "keys/signing.json").read_text())["keys"]
    secret = (data / "keys/secret").read_bytes()
    assert len(secret) == 32 and ring
    raw = [secret] + [hmac.new(secret, name.encode(), "sha256").digest() for name in PURPOSES]
    for row in ring:
        der = base64.urlsafe_b64decode(row["der"] + "===")
        key = serialization.load_der_private_key(der, None)
        raw += [der, key.private_numbers().private_value.to_bytes(32, "big")]
    forms = []
    for value in raw:
        forms += [value, value.hex().encode(), value.hex().upper().encode(), base64.b64encode(value).rstrip(b"="),
                  base64.urlsafe_b64encode(value).rstrip(b"=")]
    return forms


def test_no_backup_and_no_log_has_a_secret_in_clear(tmp_path):
    data, cold = catalog(tmp_path), tmp_path / "cold.db"
    with Server(data) as server:
        operator, account = Account.login(server, "admin@example.org"), Account.register(server)
        key = make_key(account)["secret"]
        provider = Account.login(server, "sandbox@example.org")
        hook = provider.post("/v1/provider/webhooks", {"url": server.url + "/hook"}, key=uuid.uuid4().hex).json()
        launch = account.confirm(account.propose("acuity-scheduling")["id"]).json()["redirectUrl"]
        launch = launch.split("marketplace_session=")[1].split("&")[0]
        signed = server.post("/v1/auth/login", {"email": "admin@example.org", "password": harness.PASSWORD})
        cookie = signed.cookies["waypost_refresh"]
        operator.post("/v1/admin/signing-keys/rotate", {})
        made = operator.post("/v1/admin/backups", {})
        assert made.status_code == 201
        warm = data / "backups" / made.json()["name"]
        assert warm.stat().st_mode & 0o077 == 0
    harness.cli("backup", cold, "--data", data)
    assert cold.stat().st_mode & 0o077 == 0
    needles = secrets_of(data) + [
        text.encode() for text in (key, hook["secret"], launch, cookie, account.token, harness.PASSWORD)]
    needles.append(base64.b64decode(hook["secret"].removeprefix("whsec_") + "==="))
    for file in (warm, cold, data / "record.db", data / "audit-head.json", server.log_path):
        content = file.read_bytes()
        assert content and [needle for needle in needles if needle in content] == [], file.name
    assert any(needle in (data / "keys/signing.json").read_bytes() for needle in needles), "the scan sees them"


# Keys and scoped tokens

def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def scoped_token(key_id, secret, **limits):
    """As Pages/http-api.md says that a holder of a key makes one."""
    body = b64(json.dumps({"key": key_id, **limits}).encode())
    sign = hashlib.sha256(b"waypost-scoped:" + secret.encode()).digest()
    return "wps_" + (body + b"." + b64(hmac.new(sign, body, "sha256").digest())).decode()


def test_a_key_is_made_once_shown_again_and_kept_as_a_hash(house, person):
    key = uuid.uuid4().hex
    body = {"name": "laptop", "scopes": ["discovery:read"]}
    problem(person.account.post("/v1/me/keys", body), 400, "idempotency_key_required")
    first, second = (person.account.post("/v1/me/keys", body, key=key) for _ in range(2))
    assert first.status_code == second.status_code == 201 and first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true" and first.json()["secret"].startswith("wpu_")
    rows = person.account.get("/v1/me/keys").json()["keys"]
    assert [row["id"] for row in rows] == [first.json()["id"]] and "secret" not in rows[0]
    secret = first.json()["secret"].encode()
    for path in house.data.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path
    assert Account(house, first.json()["secret"]).get("/v1/providers/search?q=x").status_code == 200
    used = person.account.get("/v1/me/keys/" + first.json()["id"]).json()["lastUsedAt"]
    assert used and used >= first.json()["createdAt"]


@pytest.mark.parametrize("body", [
    {"scopes": ["listings:write"]}, {"scopes": []}, {"scopes": "discovery:read"}, {"name": ""}, {"maxPerMinute": 0},
    {"expiresAt": "2001-01-01T00:00:00Z"}, {"expiresAt": "soon"}, {"filter": 3}, {"owner": "x"}])
def test_a_key_that_makes_no_sense_is_refused(person, body):
    answer = person.account.post("/v1/me/keys", {"name": "test", **body}, key=uuid.uuid4().hex)
    problem(answer, 422, "validation_failed")


def test_a_key_may_do_what_its_scopes_say_and_no_more(house, person):
    reader = Account(house, make_key(person.account, scopes=["discovery:read"])["secret"])
    starter = Account(house, make_key(person.account, scopes=["trials:start", "sessions:read"])["secret"])
    assert reader.get("/v1/providers/search?q=calendar").status_code == 200
    problem(reader.post("/v1/proposals", {"serviceId": "acuity-scheduling"}), 403, "forbidden")
    problem(reader.get("/v1/sessions"), 403, "forbidden")
    proposal = starter.propose("acuity-scheduling")
    session = starter.confirm(proposal["id"])
    assert session.status_code == 201
    assert starter.get("/v1/sessions/" + session.json()["id"]).status_code == 200
    problem(starter.delete("/v1/sessions/" + session.json()["id"]), 403, "forbidden")
    for key in (reader, starter):
        for method, path in [("GET", "/v1/me"), ("GET", "/v1/me/keys"), ("GET", "/v1/me/export"), ("DELETE", "/v1/me"),
                             ("GET", "/v1/auth/sessions"), ("GET", "/v1/chat/conversations"), ("GET", "/v1/admin/users")]:
            problem(key.call(method, path), 403, "forbidden")


def test_an_admins_key_is_no_admin(house, operator):
    key = Account(house, make_key(operator)["secret"])
    problem(key.get("/v1/admin/users"), 403, "forbidden")
    problem(key.get("/v1/ledger/verify"), 403, "forbidden")


def test_a_key_with_some_scopes_makes_no_other_credential(house):
    provider = Account.login(house, "sandbox@example.org")
    key = Account(house, make_key(provider, scopes=["provider:manage"])["secret"])
    assert key.get("/v1/provider/webhooks").status_code == 200
    assert key.get("/v1/provider/key-set").status_code == 200
    problem(key.put("/v1/provider/key-set", {"keys": []}), 403, "forbidden")
    problem(key.post("/v1/me/keys", {"name": "x"}, key=uuid.uuid4().hex), 403, "forbidden")


def test_a_providers_person_makes_its_providers_keys(house):
    provider = Account.login(house, "sandbox@example.org")
    key = make_key(provider, scopes=["sessions:run"])
    assert key["providerId"] == SANDBOX and key["secret"].startswith("wpk_")
    problem(Account(house, key["secret"]).get("/v1/provider/services"), 403, "forbidden")
    own = provider.post("/v1/me/keys?owner=user", {"name": "own"}, key=uuid.uuid4().hex).json()
    assert own["secret"].startswith("wpu_")
    assert own["id"] not in {row["id"] for row in provider.get("/v1/me/keys").json()["keys"]}
    problem(provider.delete("/v1/me/keys/" + own["id"]), 404, "not_found")
    assert provider.delete("/v1/me/keys/" + key["id"]).status_code == 204
    problem(Account(house, key["secret"]).get("/v1/provider/services"), 401, "token_invalid")


def test_a_scoped_token_sees_through_its_filter_only(house, person):
    key = make_key(person.account, scopes=["discovery:read"])
    whole = house.search(limit=0, facets=["kind"])
    kinds = {value["value"]: value["count"] for value in whole["facets"]["kind"]["values"]}
    kind = min(kinds, key=kinds.get)
    assert 0 < kinds[kind] < whole["total"]
    token = Account(house, scoped_token(key["id"], key["secret"], filter=f"kind = {kind}"))
    search = "/v1/providers/search"
    assert token.post(search, {"limit": 0}).json()["total"] == kinds[kind]
    assert token.get(search + "?limit=0").json()["total"] == kinds[kind]
    other = next(value for value in kinds if value != kind)
    assert token.post(search, {"filter": f"kind = {other}", "limit": 0}).json()["total"] == 0
    assert token.post(search, {"filter": f"kind = {kind} OR kind = {other}", "limit": 0}).json()["total"] == kinds[kind]
    batch = token.post("/v1/search:batch", {"searches": [{"limit": 0}, {"limit": 100}]}).json()["answers"]
    assert [answer["answer"]["total"] for answer in batch] == [kinds[kind]] * 2
    assert {hit["service"]["kind"] for hit in batch[1]["answer"]["hits"]} == {kind}
    problem(token.post(search, {"facets": ["kind"]}), 403, "forbidden")
    for method, path in [("GET", "/v1/suggest?q=a"), ("GET", "/v1/services/acuity-scheduling"), ("POST", "/v1/compare"),
                         ("POST", "/v1/proposals"), ("GET", "/v1/providers"), ("POST", "/v1/facets/search")]:
        problem(token.call(method, path, {} if method == "POST" else None), 403, "forbidden")


@pytest.mark.parametrize("escape", ["kind = x) OR (NOT kind = x", "kind = x OR kind EXISTS", ") OR (", "kind = x -- "])
def test_a_filter_cannot_break_out_of_its_brackets(house, person, escape):
    key = make_key(person.account, scopes=["discovery:read"], filter='kind = "nothing is this"')
    token = Account(house, scoped_token(key["id"], key["secret"], filter=escape))
    answer = token.post("/v1/providers/search", {"limit": 0})
    assert answer.status_code == 400 or answer.json()["total"] == 0, answer.text


def test_tokens_of_a_key_share_its_rate(house, person):
    key = make_key(person.account, scopes=["discovery:read"], maxPerMinute=3)
    tokens = [Account(house, scoped_token(key["id"], key["secret"], expiresAt=int(time.time()) + 600 + n)) for n in range(5)]
    codes = [token.get("/v1/providers/search?limit=0").status_code for token in tokens]
    assert codes[:3] == [200] * 3 and 429 in codes[3:]


def test_who_has_a_token_of_a_key_cannot_use_up_what_its_owner_needs(tmp_path):
    with Server(catalog(tmp_path), "--rate-limit", "8", "--login-limit", "0", limits=False) as server:
        owner = Account.register(server)
        key = make_key(owner, scopes=["discovery:read"])
        token = Account(server, scoped_token(key["id"], key["secret"]))
        codes = [token.get("/v1/providers").status_code for _ in range(10)]
        assert codes[:8] == [200] * 8 and 429 in codes[8:]
        assert owner.get("/v1/providers").status_code == 200


def test_a_scoped_token_ends_by_rate_by_time_and_with_its_key(house, person):
    key = make_key(person.account, scopes=["discovery:read"])
    slow = Account(house, scoped_token(key["id"], key["secret"], maxPerMinute=3))
    codes = [slow.get("/v1/providers/search?limit=0").status_code for _ in range(5)]
    assert codes[:3] == [200] * 3 and 429 in codes[3:]
    old = Account(house, scoped_token(key["id"], key["secret"], expiresAt=int(time.time()) - 1))
    problem(old.get("/v1/providers/search"), 401, "token_expired")
    free = Account(house, scoped_token(key["id"], key["secret"]))
    assert free.get("/v1/providers/search?limit=0").status_code == 200
    forged = scoped_token(key["id"], key["secret"] + "x")
    problem(Account(house, forged).get("/v1/providers/search"), 401, "token_invalid")
    assert person.account.delete("/v1/me/keys/" + key["id"]).status_code == 204
    problem(free.get("/v1/providers/search"), 401, "token_invalid")
    problem(Account(house, key["secret"]).get("/v1/providers/search"), 401, "token_invalid")
