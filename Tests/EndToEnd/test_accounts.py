"""Accounts: registration, devices, passwords, keys, tokens by others' verifiers, own data and its end, the audit log."""

import base64
import concurrent.futures
import email
import hashlib
import hmac
import json
import re
import sqlite3
import time
import types
import uuid

import argon2
import jwt
import pytest
import requests
from aiosmtpd.controller import Controller
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from jwcrypto import jwk as jwcrypto_jwk, jwt as jwcrypto_jwt

import harness
from harness import PASSWORD, SANDBOX, Account, Chat, Server, fresh_key, problem

NEW_PASSWORD = "seven owls in the barn"


def address():
    return f"p{uuid.uuid4().hex[:12]}@example.org"


def form(mail=None, **more):
    return {"email": mail or address(), "password": PASSWORD, **more}


def sign_in(server, mail, password=PASSWORD, **headers):
    return server.post("/v1/auth/login", {"email": mail, "password": password}, headers=headers)


def catalog(folder):
    """A data folder with a few services, an admin and a person of the sandbox provider."""
    rows = harness.write_rows(folder / "few.jsonl", harness.read_rows(harness.SERVICES, 60))
    data = folder / "data"
    harness.cli("import", rows, "--data", data, "--no-embed")
    harness.add_key(data)
    harness.add_user(data, "admin", "admin@example.org")
    harness.add_user(data, "provider", "sandbox@example.org", SANDBOX)
    return data


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with Server(catalog(tmp_path_factory.mktemp("accounts"))) as server:
        yield server


@pytest.fixture(scope="module")
def operator(house):
    return Account.login(house, "admin@example.org")


@pytest.fixture
def person(house):
    mail = address()
    account = Account.register(house, mail)
    return types.SimpleNamespace(mail=mail, account=account, id=account.get("/v1/me").json()["id"])


# Registration

def test_a_registration_needs_a_key_and_happens_once(house):
    body = form()
    problem(house.post("/v1/auth/register", body), 400, "idempotency_key_required")
    key = fresh_key()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: house.post("/v1/auth/register", body, headers=key), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert len({answer.json()["user"]["id"] for answer in answers}) == 1
    for answer in answers:
        assert Account(house, answer.json()["accessToken"]).get("/v1/me").json()["email"] == body["email"]
    problem(house.post("/v1/auth/register", {**body, "name": "x"}, headers=key), 422, "idempotency_conflict")
    problem(house.post("/v1/auth/register", body, headers=fresh_key()), 409, "email_taken")


def test_a_repeated_registration_gives_nothing_to_who_does_not_know_the_password_of_now(house):
    body, key = form(), fresh_key()
    account = Account(house, house.post("/v1/auth/register", body, headers=key).json()["accessToken"])
    change = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    assert account.post("/v1/me/password", change).status_code == 204
    problem(house.post("/v1/auth/register", body, headers=key), 401, "unauthenticated")


@pytest.mark.parametrize("password", ["short", "password", "Password1", "12345678", "x" * 1_025])
def test_a_password_that_others_would_guess_is_refused(house, password):
    answer = house.post("/v1/auth/register", {"email": address(), "password": password}, headers=fresh_key())
    body = problem(answer, 422, "validation_failed")
    assert [error["pointer"] for error in body["errors"]] == ["/password"]
    assert password not in answer.text or password == "short"


def test_the_operators_list_of_passwords_counts(tmp_path):
    data = tmp_path / "data"
    words = tmp_path / "words.txt"
    words.write_text("Quince-Jelly-77\n")
    with Server(data, "--password-list", str(words)) as server:
        bad = server.post("/v1/auth/register", {"email": address(), "password": "quince-jelly-77"}, headers=fresh_key())
        problem(bad, 422, "validation_failed")
    done = harness.cli("serve", "--port", "0", "--password-list", "/nowhere/at/all", "--data", data, check=False)
    assert done.returncode == 1 and "--password-list" in done.stderr


def test_without_smtp_what_needs_e_mail_says_so(house, person):
    problem(house.post("/v1/auth/reset", {"email": person.mail}), 409, "mail_not_configured")
    problem(person.account.post("/v1/me/verify"), 409, "mail_not_configured")
    problem(house.post("/v1/auth/verify", {"token": "x"}), 401, "token_invalid")
    problem(house.post("/v1/auth/reset/confirm", {"token": "x", "password": NEW_PASSWORD}), 401, "token_invalid")


# Devices and passwords

def test_devices_are_listed_and_signed_out_at_once(house, person):
    logins = [sign_in(house, person.mail, **{"User-Agent": f"device {n}"}) for n in range(3)]
    devices = [Account(house, login.json()["accessToken"]) for login in logins]
    rows = devices[0].get("/v1/auth/sessions").json()["sessions"]
    assert {row["client"] for row in rows} >= {"device 0", "device 1", "device 2"} and len(rows) == 4
    current = [row for row in rows if row["current"]]
    assert [row["client"] for row in current] == ["device 0"]
    assert devices[0].get("/v1/auth/sessions/" + current[0]["id"]).json() == current[0]
    one = next(row for row in rows if row["client"] == "device 1")
    assert devices[0].delete("/v1/auth/sessions/" + one["id"]).status_code == 204
    problem(devices[0].delete("/v1/auth/sessions/" + one["id"]), 404, "not_found")
    problem(devices[1].get("/v1/me"), 401, "token_expired")
    assert house.post("/v1/auth/refresh", cookies=logins[1].cookies).status_code == 401
    assert devices[0].delete("/v1/auth/sessions").json() == {"ended": 2}
    assert [device.get("/v1/me").status_code for device in devices] == [200, 401, 401]
    stranger = Account.register(house)
    problem(stranger.delete("/v1/auth/sessions/" + current[0]["id"]), 404, "not_found")
    assert requests.get(house.url + "/v1/auth/sessions", timeout=10).status_code == 401


def test_an_ended_login_stays_ended_over_a_restart(tmp_path):
    server = Server(tmp_path / "data").start()
    login = server.post("/v1/auth/register", form(), headers=fresh_key())
    account = Account(server, login.json()["accessToken"])
    assert server.post("/v1/auth/logout", cookies=login.cookies).status_code == 204
    problem(account.get("/v1/me"), 401, "token_expired")
    port = server.port
    assert server.stop() == 0
    # The same address: it is the tokens' issuer.
    with Server(tmp_path / "data", "--port", str(port)) as server:
        problem(Account(server, account.token).get("/v1/me"), 401, "token_expired")


def test_a_password_is_changed_with_the_present_one(house, person):
    other = Account.login(house, person.mail)
    wrong = {"currentPassword": "not the password", "newPassword": NEW_PASSWORD}
    problem(person.account.post("/v1/me/password", wrong), 403, "reauth_required")
    problem(person.account.post("/v1/me/password", {"newPassword": NEW_PASSWORD}), 403, "reauth_required")
    right = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    assert person.account.post("/v1/me/password", right).status_code == 204
    assert person.account.get("/v1/me").status_code == 200, "who changed it stays signed in"
    problem(other.get("/v1/me"), 401, "token_expired")
    assert sign_in(house, person.mail).status_code == 401
    assert sign_in(house, person.mail, NEW_PASSWORD).status_code == 200


def test_hashes_are_argon2ids_and_theirs_are_taken(tmp_path):
    data, mail = tmp_path / "data", address()
    with Server(data) as server:
        Account.register(server, mail)
    with sqlite3.connect(data / "record.db") as record:
        hashed = record.execute("SELECT password_hash FROM user").fetchone()[0]
        assert argon2.PasswordHasher().verify(hashed, PASSWORD)
        assert argon2.extract_parameters(hashed).memory_cost >= 19_456
        for parameters in [(1, 64), (3, 20_480)]:
            theirs = argon2.PasswordHasher(*parameters, parallelism=1).hash(NEW_PASSWORD)
            record.execute("UPDATE user SET password_hash = ?", [theirs])
            record.commit()
            with Server(data) as server:
                assert sign_in(server, mail, NEW_PASSWORD).status_code == 200
            now = record.execute("SELECT password_hash FROM user").fetchone()[0]
            assert (now == theirs) == (parameters[0] == 3), "a weak hash is made again, a strong one kept"
            assert argon2.PasswordHasher().verify(now, NEW_PASSWORD)
    record.close()


# E-mail

class Post:
    """Takes e-mails on loopback."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 taken"

    def wait(self, count, seconds=15):
        end = time.monotonic() + seconds
        while len(self.mails) < count and time.monotonic() < end:
            time.sleep(0.02)
        assert len(self.mails) == count, f"{len(self.mails)} e-mails"
        return self.mails[-1]

    def token(self, count):
        return re.search(r"#token=([A-Za-z0-9_-]{43})\s", self.wait(count)[2].get_payload()).group(1)


@pytest.fixture(scope="module")
def postal(tmp_path_factory):
    post = Post()
    port = harness.socket.socket()
    port.bind(("127.0.0.1", 0))
    number = port.getsockname()[1]
    port.close()
    controller = Controller(post, hostname="127.0.0.1", port=number)
    controller.start()
    data = tmp_path_factory.mktemp("post") / "data"
    harness.add_user(data, "user", "old@example.org")
    flags = ["--smtp-url", f"smtp://127.0.0.1:{number}", "--smtp-from", "waypost@example.org", "--smtp-tls", "none"]
    with Server(data, *flags) as server:
        yield types.SimpleNamespace(post=post, server=server)
    controller.stop()


def test_a_registration_is_proved_by_e_mail_and_tells_nothing(postal):
    server, post, mail = postal.server, postal.post, address()
    count = len(post.mails)
    unknown = server.post("/v1/auth/register", form(mail, name="Ada"), headers=fresh_key())
    token = post.token(count + 1)
    known = server.post("/v1/auth/register", form("old@example.org"), headers=fresh_key())
    sender, recipients, message = post.wait(count + 2)
    assert unknown.status_code == known.status_code == 202 and unknown.json() == known.json()
    assert "Set-Cookie" not in unknown.headers and "Set-Cookie" not in known.headers
    assert sender == "waypost@example.org" and recipients == ["old@example.org"]
    assert "already" in message["Subject"] and "#token" not in message.get_payload()
    assert sign_in(server, mail).status_code == 401, "no account before the proof"
    first = server.post("/v1/auth/verify", {"token": token})
    assert first.status_code == 201 and first.json()["user"]["verified"] is True and first.json()["user"]["name"] == "Ada"
    assert Account(server, first.json()["accessToken"]).get("/v1/me").json()["email"] == mail
    problem(server.post("/v1/auth/verify", {"token": token}), 401, "token_invalid")
    assert sign_in(server, mail).status_code == 200


def test_who_waits_first_does_not_get_the_account_of_who_proves_it(postal):
    server, post, mail = postal.server, postal.post, address()
    count = len(post.mails)
    server.post("/v1/auth/register", {"email": mail, "password": "the attacker's own"}, headers=fresh_key())
    early = post.token(count + 1)
    server.post("/v1/auth/register", form(mail), headers=fresh_key())
    late = post.token(count + 2)
    assert server.post("/v1/auth/verify", {"token": late}).status_code == 201
    problem(server.post("/v1/auth/verify", {"token": early}), 401, "token_invalid")
    assert sign_in(server, mail, "the attacker's own").status_code == 401
    assert sign_in(server, mail).status_code == 200


def test_a_forgotten_password_is_chosen_again_once(postal):
    server, post = postal.server, postal.post
    count = len(post.mails)
    account = Account.login(server, "old@example.org")
    times = []
    for mail in ("nobody@example.org", "old@example.org"):
        start = time.monotonic()
        answer = server.post("/v1/auth/reset", {"email": mail})
        times.append(time.monotonic() - start)
        assert answer.status_code == 202 and answer.json() == {"state": "sent_if_known"}
    token = post.token(count + 1)
    assert post.mails[-1][1] == ["old@example.org"]
    weak = server.post("/v1/auth/reset/confirm", {"token": token, "password": "password1"})
    problem(weak, 422, "validation_failed")
    body = {"token": token, "password": NEW_PASSWORD}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = sorted(answer.status_code for answer in pool.map(
            lambda _: server.post("/v1/auth/reset/confirm", body), range(4)))
    assert codes == [204, 401, 401, 401], "a code works once"
    problem(account.get("/v1/me"), 401, "token_expired")
    assert sign_in(server, "old@example.org").status_code == 401
    login = sign_in(server, "old@example.org", NEW_PASSWORD)
    assert login.status_code == 200 and login.json()["user"]["verified"] is True
    assert "changed" in post.wait(count + 2)[2]["Subject"]
    assert token not in server.log() and "old@example.org" not in server.log()


def test_one_address_gets_few_e_mails(postal):
    server, post, mail = postal.server, postal.post, address()
    count = len(post.mails)
    for _ in range(8):
        answer = server.post("/v1/auth/register", form(mail), headers=fresh_key())
        assert answer.status_code == 202, "nobody is told"
    post.wait(count + 4)
    time.sleep(1)
    assert len(post.mails) == count + 4


@pytest.mark.parametrize("flags", [
    ["--smtp-url", "http://127.0.0.1:25", "--smtp-from", "a@b.example"], ["--smtp-url", "smtp://127.0.0.1:25"],
    ["--smtp-url", "smtp://127.0.0.1:25", "--smtp-from", "a@b.example", "--smtp-tls", "perhaps"],
], ids=["no smtp", "no sender", "no such security"])
def test_half_settings_of_e_mail_are_refused(tmp_path, flags):
    done = harness.cli("serve", "--port", "0", "--data", tmp_path / "data", *flags, check=False)
    assert done.returncode in (1, 2) and "--smtp" in done.stderr


def test_a_password_for_smtp_goes_over_no_open_line(tmp_path):
    done = harness.cli("serve", "--port", "0", "--data", tmp_path / "data", "--smtp-url", "smtp://mail.example:25", "--smtp-from",
                       "a@b.example", "--smtp-tls", "none", check=False, env={"WAYPOST_SMTP_PASSWORD": "s3cret-s3cret"})
    assert done.returncode == 1 and "--smtp-tls" in done.stderr and "s3cret" not in done.stderr


# Tokens by others' verifiers

def key_set(server):
    answer = server.get("/.well-known/jwks.json")
    assert answer.headers["Content-Type"] == "application/jwk-set+json"
    for key in answer.json()["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)
    return answer.json()


def claims_of(token, keys, algorithm, audience):
    """The claims as three verifiers read them."""
    kid = jwt.get_unverified_header(token)["kid"]
    one = jwt.PyJWKSet.from_dict(keys)[kid]
    by_pyjwt = jwt.decode(token, one.key, algorithms=[algorithm], audience=audience)
    by_joserfc = joserfc_jwt.decode(token, KeySet.import_key_set(keys), algorithms=[algorithm]).claims
    key = jwcrypto_jwk.JWK(**next(row for row in keys["keys"] if row["kid"] == kid))
    by_jwcrypto = json.loads(jwcrypto_jwt.JWT(jwt=token, key=key, algs=[algorithm]).claims)
    assert by_pyjwt == by_joserfc == by_jwcrypto
    return by_pyjwt


def test_access_tokens_verify_with_three_libraries(house, person):
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


# Keys and scoped tokens

def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def scoped_token(key_id, secret, **limits):
    """As Pages/http-api.md says that a holder of a key makes one."""
    body = b64(json.dumps({"key": key_id, **limits}).encode())
    sign = hashlib.sha256(b"waypost-scoped:" + secret.encode()).digest()
    return "wps_" + (body + b"." + b64(hmac.new(sign, body, "sha256").digest())).decode()


def make_key(account, **body):
    answer = account.post("/v1/me/keys", {"name": "test", **body}, key=uuid.uuid4().hex)
    assert answer.status_code == 201, answer.text
    return answer.json()


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
    key = make_key(person.account, scopes=["discovery:read"], filter="kind = nothing-is-this")
    token = Account(house, scoped_token(key["id"], key["secret"], filter=escape))
    answer = token.post("/v1/providers/search", {"limit": 0})
    assert answer.status_code == 400 or answer.json()["total"] == 0, answer.text


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


# Own data

def test_consents_and_retention_are_kept(person):
    assert [row["granted"] for row in person.account.get("/v1/me/consents").json()["consents"]] == [False] * 3
    for granted in (True, True, False):
        answer = person.account.put("/v1/me/consents/marketing", {"granted": granted})
        assert answer.status_code == 200 and answer.json()["granted"] is granted and answer.json()["at"]
    assert [row["granted"] for row in person.account.get("/v1/me/consents").json()["history"]] == [True, False]
    problem(person.account.put("/v1/me/consents/everything", {"granted": True}), 404, "not_found")
    problem(person.account.put("/v1/me/consents/marketing", {"granted": "yes"}), 422, "validation_failed")
    problem(person.account.put("/v1/me/retention", {"conversationDays": 31}), 422, "validation_failed")
    assert person.account.put("/v1/me/retention", {"conversationDays": 90}).status_code == 200
    assert person.account.get("/v1/me").json()["conversationDays"] == 90


WORDS = ["Zanzibarvogel", "Quittenbrotmann", "verschwindibus"]


def lived(server, mail):
    """Somebody who has left traces wherever the server keeps any."""
    made = server.post("/v1/auth/register", form(mail, name=WORDS[1]), headers={**fresh_key(), "User-Agent": "Zanzibarvogel/1"})
    account = Account(server, made.json()["accessToken"])
    chat = Chat(server, account)
    chat.say(f"I need {WORDS[2]} for calendars")
    session = account.confirm(account.propose("acuity-scheduling")["id"]).json()
    need = f"calendar {WORDS[2]} booking"
    found = account.post("/v1/providers/search", {"q": need}).json()
    if found["hits"] and found["searchId"]:
        events = [{"kind": "opened", "serviceId": found["hits"][0]["id"], "position": 1}]
        account.post("/v1/events", {"searchId": found["searchId"], "events": events})
    account.put("/v1/me/consents/analytics", {"granted": True})
    make_key(account, name=f"{WORDS[1]}'s key")
    return account, session, chat


def test_an_export_is_one_document_with_everything(house):
    mail = address()
    account, session, chat = lived(house, mail)
    answer = account.get("/v1/me/export")
    assert answer.status_code == 200 and "attachment" in answer.headers["Content-Disposition"]
    document = answer.json()
    assert document["profile"]["email"] == mail and document["profile"]["name"] == WORDS[1]
    assert [row["id"] for row in document["sessions"]] == [session["id"]]
    assert [row["state"] for row in document["proposals"]] == ["consumed"]
    assert WORDS[2] in json.dumps(document["conversations"]) and document["conversations"][0]["id"] == chat.id
    assert document["consents"][0]["purpose"] == "analytics" and len(document["devices"]) == 1
    assert document["apiKeys"][0]["name"].startswith(WORDS[1]) and "transfers" in document
    assert isinstance(document["webhookEvents"], list) and isinstance(document["searches"], list)
    stranger = Account.register(house)
    assert session["id"] not in stranger.get("/v1/me/export").text


def test_after_an_erasure_no_file_has_a_trace(tmp_path):
    data, mail = catalog(tmp_path), f"zanzibarvogel-{uuid.uuid4().hex[:6]}@example.org"
    with Server(data) as server:
        others = [lived(server, address())[0] for _ in range(3)]
        for other in others:
            assert other.call("DELETE", "/v1/me", {"password": PASSWORD}).status_code == 204
        account, session, chat = lived(server, mail)
        problem(account.call("DELETE", "/v1/me", {}), 403, "reauth_required")
        problem(account.call("DELETE", "/v1/me", {"password": "not the password"}), 403, "reauth_required")
        assert account.get("/v1/me").status_code == 200
        answer = account.call("DELETE", "/v1/me", {"password": PASSWORD})
        assert answer.status_code == 204, answer.text
        problem(account.get("/v1/me"), 401, "token_expired")
        problem(account.post("/v1/proposals", {"serviceId": "acuity-scheduling"}), 401, "token_expired")
        assert sign_in(server, mail).status_code == 401
        operator = Account.login(server, "admin@example.org")
        assert operator.get("/v1/admin/users?email=" + mail).json()["users"] == []
        assert operator.get("/v1/sessions/" + session["id"]).json()["state"] == "expired", "revoked and settled"
        assert operator.get("/v1/ledger/verify").json()["sound"] is True
        assert operator.get("/v1/admin/audit/verify").json()["sound"] is True
        assert "user.erased" in [row["action"] for row in operator.get("/v1/admin/audit").json()["entries"]]
        assert server.post("/v1/auth/register", form(mail), headers=fresh_key()).status_code == 201, "the address is free"
        fresh = Account.login(server, mail)
        assert fresh.get("/v1/sessions").json()["sessions"] == []
        assert fresh.call("DELETE", "/v1/me", {"password": PASSWORD}).status_code == 204
        assert traces(data, server, mail) == [], "while the server runs"
    assert traces(data, server, mail) == []


def traces(data, server, mail):
    """Where one of the words stands, in any file and in the log, in any case."""
    found = []
    for path in [*data.rglob("*"), server.log_path]:
        if path.is_file():
            content = path.read_bytes().lower()
            found += [(path.name, word) for word in [*WORDS, mail] if word.lower().encode() in content]
    return found


def test_a_balance_is_not_lost_unsaid(house, operator, person):
    body = {"userId": person.id, "tokens": 5, "amountMicrotokens": 5_000_000, "reason": "test"}
    for fields in (["userId", "amountMicrotokens", "reason"], ["userId", "tokens", "reason"]):
        answer = operator.post("/v1/admin/grants", {name: body[name] for name in fields}, key=uuid.uuid4().hex)
        if answer.status_code < 300:
            break
    else:
        pytest.skip("there is no way to give a user units: " + str(answer.status_code))
    problem(person.account.call("DELETE", "/v1/me", {"password": PASSWORD}), 409, "balance_not_empty")
    assert person.account.get("/v1/me").status_code == 200
    answer = person.account.call("DELETE", "/v1/me", {"password": PASSWORD, "forfeitBalance": True})
    assert answer.status_code == 204 and operator.get("/v1/ledger/verify").json()["sound"] is True


# The operator

def test_an_admin_finds_and_freezes_an_account(house, operator, person):
    found = operator.get("/v1/admin/users?email=" + person.mail.upper()).json()["users"]
    assert [row["id"] for row in found] == [person.id] and found[0]["frozenAt"] is None
    assert operator.get("/v1/admin/users?email=" + person.mail[:-1]).json()["users"] == []
    key = make_key(person.account)
    frozen = operator.post(f"/v1/admin/users/{person.id}/freeze", {})
    assert frozen.status_code == 200 and frozen.json()["frozenAt"]
    problem(person.account.get("/v1/me"), 401, "token_expired")
    problem(Account(house, key["secret"]).get("/v1/providers/search"), 401, "token_invalid")
    problem(sign_in(house, person.mail), 403, "forbidden")
    assert operator.post(f"/v1/admin/users/{person.id}/unfreeze", {}).json()["frozenAt"] is None
    assert sign_in(house, person.mail).status_code == 200
    assert operator.get("/v1/admin/users/" + person.id).json()["devices"] == 1
    rows = operator.get("/v1/admin/audit?subject=user:" + person.id).json()["entries"]
    assert [row["action"] for row in rows] == ["user.unfrozen", "user.frozen", "user.made"]
    assert person.mail not in json.dumps(rows) and all(row["requestId"] for row in rows)


def test_an_admin_changes_roles_and_ends_keys(house, operator, person):
    key = make_key(person.account)
    assert key["id"] in {row["id"] for row in operator.get("/v1/admin/keys?user=" + person.id).json()["keys"]}
    assert operator.delete("/v1/admin/keys/" + key["id"]).status_code == 204
    problem(Account(house, key["secret"]).get("/v1/providers/search"), 401, "token_invalid")
    problem(operator.put(f"/v1/admin/users/{person.id}/role", {"role": "provider"}), 422, "validation_failed")
    changed = operator.put(f"/v1/admin/users/{person.id}/role", {"role": "provider", "providerId": SANDBOX})
    assert changed.status_code == 200 and changed.json()["providerId"] == SANDBOX
    problem(person.account.get("/v1/me"), 401, "token_expired")
    again = Account.login(house, person.mail)
    assert again.get("/v1/provider/services").status_code == 200
    own = operator.get("/v1/me").json()["id"]
    problem(operator.put(f"/v1/admin/users/{own}/role", {"role": "user"}), 403, "forbidden")
    problem(operator.post(f"/v1/admin/users/{own}/freeze", {}), 403, "forbidden")


def test_users_and_the_audit_log_are_walked_page_by_page(house, operator):
    for path, name, cursor, field in [("/v1/admin/users", "users", "before", "next"),
                                      ("/v1/admin/audit", "entries", "cursor", "nextCursor")]:
        ids, mark = [], None
        while True:
            page = operator.get(f"{path}?limit=3" + (f"&{cursor}={mark}" if mark else "")).json()
            ids += [row.get("id") or row["sequence"] for row in page[name]]
            mark = page[field]
            if mark is None:
                break
        assert len(ids) == len(set(ids)) > 3 and ids == sorted(ids, reverse=True)
    problem(operator.get("/v1/admin/audit?cursor=x"), 400, "cursor_invalid")


ADMIN = [("GET", "/v1/admin/users"), ("GET", "/v1/admin/users/x"), ("POST", "/v1/admin/users/x/freeze"),
         ("POST", "/v1/admin/users/x/unfreeze"), ("PUT", "/v1/admin/users/x/role"), ("GET", "/v1/admin/keys"),
         ("DELETE", "/v1/admin/keys/x"), ("GET", "/v1/admin/signing-keys"), ("POST", "/v1/admin/signing-keys/rotate"),
         ("POST", "/v1/admin/signing-keys/x/remove"), ("GET", "/v1/admin/audit"), ("GET", "/v1/admin/audit/verify")]


@pytest.mark.parametrize("method, path", ADMIN)
def test_only_admins_do_what_admins_do(house, person, method, path):
    problem(person.account.call(method, path, {}), 403, "forbidden")
    problem(requests.request(method, house.url + path, json={}, timeout=10), 401, "unauthenticated")


def test_failed_sign_ins_are_counted_in_the_log(tmp_path):
    data = tmp_path / "data"
    harness.add_user(data, "admin", "admin@example.org")
    with Server(data) as server:
        for _ in range(3):
            assert sign_in(server, "admin@example.org", "not the password").status_code == 401
        assert sign_in(server, "nobody@example.org").status_code == 401
    with Server(data) as server:
        operator = Account.login(server, "admin@example.org")
        rows = [row for row in operator.get("/v1/admin/audit").json()["entries"] if row["action"] == "sign_in.failed"]
        assert {row["detail"] for row in rows} == {"count=3", "count=1"}
        assert operator.get("/v1/admin/audit/verify").json()["sound"] is True
