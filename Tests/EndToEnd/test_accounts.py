"""Accounts: registration, devices, passwords, e-mail."""

import concurrent.futures
import sqlite3
import time
import types

import argon2
import pytest
import requests

import harness
from harness import PASSWORD, Account, Server, fresh_key, problem
from people import NEW_PASSWORD, address, form, house, person, sign_in  # noqa: F401
from post_office import mailbox


def test_a_registration_needs_a_key_and_happens_once(house):
    body = form()
    problem(house.post("/v1/auth/register", body), 400, "idempotency_key_required")
    key = fresh_key()
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: house.post("/v1/auth/register", body, headers=key), range(30)))
    assert {answer.status_code for answer in answers} == {201}, "repeats are no guesses"
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

@pytest.fixture(scope="module")
def postal(tmp_path_factory):
    data = tmp_path_factory.mktemp("post") / "data"
    harness.add_user(data, "user", "old@example.org")
    with mailbox() as (post, flags), Server(data, *flags) as server:
        yield types.SimpleNamespace(post=post, server=server)


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
    for wrong in ({}, {"password": NEW_PASSWORD}, {"password": "x" * 2_000}):
        problem(server.post("/v1/auth/verify", {"token": token, **wrong}), 403, "reauth_required")
    first = server.post("/v1/auth/verify", {"token": token, "password": PASSWORD})
    assert first.status_code == 201 and first.json()["user"]["verified"] is True and first.json()["user"]["name"] == "Ada"
    assert Account(server, first.json()["accessToken"]).get("/v1/me").json()["email"] == mail
    problem(server.post("/v1/auth/verify", {"token": token, "password": PASSWORD}), 401, "token_invalid")
    assert sign_in(server, mail).status_code == 200


def test_who_waits_first_does_not_get_the_account_of_who_proves_it(postal):
    server, post, mail = postal.server, postal.post, address()
    count = len(post.mails)
    server.post("/v1/auth/register", {"email": mail, "password": "the attacker's own"}, headers=fresh_key())
    early = post.token(count + 1)
    server.post("/v1/auth/register", form(mail), headers=fresh_key())
    late = post.token(count + 2)
    # The owner opens the attacker's link by mistake: no account with the attacker's password comes of it.
    problem(server.post("/v1/auth/verify", {"token": early, "password": PASSWORD}), 403, "reauth_required")
    assert server.post("/v1/auth/verify", {"token": late, "password": PASSWORD}).status_code == 201
    problem(server.post("/v1/auth/verify", {"token": early, "password": PASSWORD}), 401, "token_invalid")
    assert sign_in(server, mail, "the attacker's own").status_code == 401
    assert sign_in(server, mail).status_code == 200


def test_a_forgotten_password_is_chosen_again_once(postal):
    server, post = postal.server, postal.post
    count = len(post.mails)
    account = Account.login(server, "old@example.org")
    for mail in ("nobody@example.org", "old@example.org"):
        answer = server.post("/v1/auth/reset", {"email": mail})
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


def test_an_address_that_the_server_refuses_holds_up_nobody(postal):
    server, post = postal.server, postal.post
    count = len(post.mails)
    for _ in range(3):
        answer = server.post("/v1/auth/register", form("refused" + address()), headers=fresh_key())
        assert answer.status_code == 202, "nobody is told"
    server.post("/v1/auth/register", form(), headers=fresh_key())
    post.wait(count + 1, seconds=8)


def test_a_sign_in_that_the_mail_server_refuses_is_not_repeated(tmp_path):
    wrong = {"WAYPOST_SMTP_USER": "waypost", "WAYPOST_SMTP_PASSWORD": "not-this-one"}
    with mailbox() as (post, flags), Server(tmp_path / "data", *flags, env=wrong) as server:
        assert server.post("/v1/auth/register", form(), headers=fresh_key()).status_code == 202
        harness.until(lambda: "an e-mail was not sent" in server.log())
        assert post.sign_ins == 1, "mail providers lock accounts for more"
        assert "refuses us, 535" in server.log() and not post.mails


def test_an_e_mail_that_the_mail_server_puts_off_is_repeated(postal):
    server, post = postal.server, postal.post
    count, senders = len(post.mails), post.senders
    post.refusals = ["451 4.7.1 come back later"]
    server.post("/v1/auth/register", form(), headers=fresh_key())
    post.wait(count + 1)
    assert post.senders == senders + 2


def test_a_changed_password_is_told_though_the_allowance_is_used_up(postal):
    server, post, mail = postal.server, postal.post, address()
    count = len(post.mails)
    server.post("/v1/auth/register", form(mail), headers=fresh_key())
    body = {"token": post.token(count + 1), "password": PASSWORD}
    account = Account(server, server.post("/v1/auth/verify", body).json()["accessToken"])
    for _ in range(5):
        assert server.post("/v1/auth/reset", {"email": mail}).status_code == 202
    post.wait(count + 5)
    change = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    assert account.post("/v1/me/password", change).status_code == 204
    assert "changed" in post.wait(count + 6)[2]["Subject"]


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
