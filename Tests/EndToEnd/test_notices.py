"""Owners' notices by e-mail, while the mail server goes away and Waypost is killed."""

import re
import time
import types
import uuid

import pytest

import harness
from harness import SANDBOX, Account, Server
from moment import Moment
from post_office import Office
from test_storage import metric
from test_user_events import earn

OWNER = "owner@example.org"
HOUR = 3_600_000


@pytest.fixture
def place(tmp_path):
    """A server with a clock of ours and a mail server's address where nobody is yet."""
    place = types.SimpleNamespace(moment=Moment(tmp_path), office=Office(), data=tmp_path / "data")
    place.rows = harness.write_rows(tmp_path / "few.jsonl", harness.read_rows(harness.SERVICES, 5))
    harness.cli("import", place.rows, "--data", place.data, "--no-embed")
    place.key = harness.add_key(place.data)
    harness.add_user(place.data, "admin", "admin@example.org")
    place.server = Server(place.data, *place.office.flags, env=place.moment.environment)
    yield place
    place.office.close()
    place.server.stop()


def earned(place, owner=OWNER):
    """Starts the server; gives what books a payout, which `owner` is to hear of."""
    harness.add_user(place.data, "provider", owner, SANDBOX)
    server = place.server.start()
    person, admin = Account.login(server, owner), Account.login(server, "admin@example.org")
    earn(admin, Account(server, place.key))
    amount = person.get("/v1/tokens/balance").json()["availableMicrotokens"]
    body = {"providerId": SANDBOX, "amountMicrotokens": amount, "reference": "bank-7", "reason": "a test"}

    def pay_out():
        booked = admin.post("/v1/admin/payouts", body, key=uuid.uuid4().hex)
        assert booked.status_code == 201, booked.text

    return pay_out


def said(server, words, seconds=15):
    end = time.monotonic() + seconds
    while words not in server.log() and time.monotonic() < end:
        time.sleep(0.05)
    assert words in server.log(), server.log()[-2_000:]


def waits(server, name, value, seconds=10):
    end = time.monotonic() + seconds
    while (found := metric(server, name)) != value and time.monotonic() < end:
        time.sleep(0.05)
    assert found == value, f"{name} is {found}"


def name(mail):
    return re.fullmatch(r"<(evt_[A-Za-z0-9_-]{22})@example\.org>", mail[2]["Message-ID"]).group(1)


@pytest.mark.parametrize("away", ["nobody is there", "nobody is let in"])
def test_an_e_mail_comes_once_the_mail_server_is_back(place, away):
    server, post = place.server, place.office.post
    if away == "nobody is let in":
        post.wants_sign_in = True
        place.office.open()
    earned(place)()
    said(server, "attempt 1 of 10 failed, the next in 5 s")
    assert metric(server, "waypost_notice_mails_pending") == 1 and not post.mails
    place.office.close()
    post.wants_sign_in = False
    place.office.open()
    place.moment.jump(HOUR)
    sender, recipients, message = post.wait(1)
    assert recipients == [OWNER] and "bank-7" in message.get_payload()
    assert name(post.mails[0]) in server.log() and OWNER not in server.log()
    waits(server, "waypost_notice_mails_pending", 0)
    place.moment.jump(24 * HOUR)
    time.sleep(2.5)  # more than the second after which it looks again
    assert len(post.mails) == 1 and metric(server, "waypost_notice_mails_given_up") == 0


def test_a_server_that_is_killed_before_the_e_mail_was_sent_sends_it_after(place):
    server, post = place.server, place.office.post
    earned(place)()
    said(server, "notice.payout: event evt_")
    server.kill()
    place.office.open()
    place.moment.jump(HOUR)
    server.start()
    assert post.wait(1)[1] == [OWNER]
    waits(server, "waypost_notice_mails_pending", 0)


def test_a_server_that_is_killed_over_the_e_mail_repeats_it_recognisably(place):
    server, post = place.server, place.office.post
    place.office.open()
    post.taken = server.kill
    earned(place)()
    post.wait(1)
    post.taken = lambda: None
    server.process.wait(10)
    place.moment.jump(HOUR)
    server.start()
    post.wait(2)
    first, second = post.mails
    assert name(first) == name(second) and first[2].as_string() == second[2].as_string()
    waits(server, "waypost_notice_mails_pending", 0)
    place.moment.jump(24 * HOUR)
    time.sleep(2.5)  # as above
    assert len(post.mails) == 2


def test_an_e_mail_that_is_refused_for_good_is_given_up_and_said(place):
    server, post = place.server, place.office.post
    place.office.open()
    earned(place, "refused@example.org")()
    for number in range(1, 5):
        said(server, f"attempt {number} of 10 failed")
        place.moment.jump(3 * HOUR)
    said(server, "is given up after attempt 5 of 10: the mail server refuses the e-mail, 550")
    waits(server, "waypost_notice_mails_given_up", 1)
    assert metric(server, "waypost_notice_mails_pending") == 0 and not post.mails
    assert "refused@example.org" not in server.log()


def test_a_sender_that_is_refused_ends_no_notice(place):
    server, post = place.server, place.office.post
    post.refusals = ["553 5.7.1 sender address rejected"] * 6
    place.office.open()
    earned(place)()
    for number in range(1, 7):
        said(server, f"attempt {number} of 10 failed")
        place.moment.jump(11 * HOUR)
    assert post.wait(1)[1] == [OWNER] and post.senders == 7
    assert "the mail server refuses us, 553" in server.log()
    waits(server, "waypost_notice_mails_given_up", 0)
