"""Model-based: a random walk over HTTP, on a clock that the test sets, beside a plain model of users, holds and sessions.

Each step is one request, or a step of time, or a kill; the answer's code, the session's whole view and the balance of its
user are the model's, and at the end of a walk every account is. The walks repeat: the same ones each time.
"""

import base64
import datetime
import json
import os
import time
import types
import urllib.parse
import uuid

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import harness
from harness import LONG, Account, Server
from moment import Moment
from session_model import DAY, IDLE, MINUTE, TOKEN, Refused, Service, User, World

SOAK = os.environ.get("WAYPOST_SOAK") == "1"
WALKS, STEPS = (1_000, 120) if SOAK else (75, 80) if LONG else (25, 80)
PER_DAY, REPEATS = 4, 2
SERVICES = [
    Service("m-hours", rate=500 * TOKEN), Service("m-calls", unit_price=300_001),
    Service("m-trial", rate=777 * TOKEN, trial=True, minutes=7, cap=60 * TOKEN),
    Service("m-long", rate=3_601 * TOKEN, trial=True, minutes=180, cap=100 * TOKEN),
    Service("m-free", trial=True, minutes=5, cap=10 * TOKEN)]
FLAGS = ["--trials-per-day", str(PER_DAY), "--trial-repeats", str(REPEATS), "--trials-per-provider", "1000000",
         "--public-url", "http://127.0.0.1:65000"]


def listing(service):
    offer = {"id": "main", "plan": "usage" if service.unit_price else "time"}
    if service.unit_price:
        offer.update(unitPriceMicrotokens=service.unit_price, unit="call")
    elif service.rate:
        offer["tokenRatePerHour"] = service.rate // TOKEN
    row = {"id": service.id, "name": service.id, "providerId": "alpha", "providerName": "Alpha Works", "kind": "app",
           "description": "An invented app, for walks over its sessions.", "categories": ["Test fixtures"], "tags": [],
           "appId": "alpha-app", "redirectUris": ["https://alpha.example/start"], "offers": [offer]}
    if service.trial:
        row["trial"] = {"offered": True, "minutes": service.minutes, "capTokens": service.cap // TOKEN}
    return row


class Caller:
    """A person whose token is renewed when it has grown old on the server's clock."""

    def __init__(self, place, email):
        self.place, self.email, self.at, self.account = place, email, None, None

    def call(self, *arguments, **more):
        now = self.place.moment.now
        if self.at is None or now - self.at > 850_000:
            self.account, self.at = Account.login(self.place.server, self.email), now
        self.account.server = self.place.server
        return self.account.call(*arguments, **more)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walks")
    moment = Moment(folder)
    moment.stand(time.time_ns() // 1_000_000)
    data = folder / "data"
    rows = harness.write_rows(folder / "rows.jsonl", map(listing, SERVICES))
    harness.cli("import", rows, "--data", data, "--no-embed")
    harness.add_user(data, "admin", "admin@example.org")
    key = harness.add_key(data, "alpha")
    place = types.SimpleNamespace(moment=moment, data=data, key=key)

    def start():
        place.server = Server(data, *FLAGS, env=moment.environment).start()
        place.provider.server = place.server

    place.start, place.provider = start, Account(None, key)
    start()
    place.admin = Caller(place, "admin@example.org")
    yield place
    assert place.server.stop() == 0, place.server.log()[-2000:]


def milliseconds(text):
    return text and round(datetime.datetime.fromisoformat(text).timestamp() * 1_000)


def expiry(token):
    """The `exp` of a token, unverified."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["exp"]


def long_expired(milliseconds):
    """Of a token that ended so long ago that its key may be gone as well."""
    return Refused("token_expired", or_else=("token_invalid",) if milliseconds > DAY // 2 else ())


def other_body(body):
    """A body as sound as this one, and not the same; None where there is none."""
    for name in ("amountMicrotokens", "minutes", "units"):
        if name in body:
            return {**body, name: body[name] - 1 if body[name] > 1 else 2}
    if "serviceId" in body:
        return {"serviceId": "m-free" if body["serviceId"] != "m-free" else "m-trial"}
    return None


PLACE = None  # of the machines: hypothesis makes them without arguments
COUNTS = {}


class Walk(RuleBasedStateMachine):
    """Two people, one provider, everything that happens to their sessions."""

    numbers = st.integers(0, 1_000)

    def __init__(self):
        super().__init__()
        self.place = PLACE
        # Each walk begins at the same time of a day, so that it goes the same way when it is repeated.
        self.place.moment.stand(self.place.moment.now // DAY * DAY + DAY + 20 * 60 * MINUTE)
        self.world = World(self.place.moment.now, PER_DAY, REPEATS)
        self.people, self.said, self.is_late = [], [], True
        self.settle()
        self.before = self.accounts()
        for _ in range(2):
            email = f"w{uuid.uuid4().hex[:12]}@example.org"
            Account.register(self.place.server, email)
            caller = Caller(self.place, email)
            caller.model, caller.id = User(), caller.call("GET", "/v1/me").json()["id"]
            self.world.users.append(caller.model)
            self.people.append(caller)
            self.give(caller, 300 * TOKEN)

    # What is asked, and what must come of it

    def ask(self, caller, method, path, body, effect, status=200, keyed=True, kept=True):
        """Sends a request whose effect in the model is a call; compares, and gives the answer and what the model gave.

        `kept` says that the answer is to be the same when the request comes again.
        """
        key = uuid.uuid4().hex if keyed else None
        answer = caller.call(method, path, body, key=key)
        made = None
        got = answer.json().get("code") if answer.status_code >= 400 else None
        try:
            made, code = effect(), None
        except Refused as refused:
            code, status = got if got in refused.or_else else refused.code, refused.status
        assert (answer.status_code, got) == (status, code), f"{method} {path} {body}: {answer.text}, not {status} {code}"
        COUNTS[code or "done"] = COUNTS.get(code or "done", 0) + 1
        is_kept = status in (200, 201, 402, 404, 409, 410) or code in ("exceeds_capture",)
        if keyed and kept and is_kept:
            self.said.append((caller, method, path, body, key, answer, self.world.now))
        return answer, made

    def give(self, caller, amount):
        body = {"userId": caller.id, "amountMicrotokens": amount, "reason": "a walk"}
        self.ask(self.place.admin, "POST", "/v1/admin/grants", body, lambda: self.world.grant(caller.model, amount), 201)

    def accounts(self):
        """What the accounts beside those of users have."""
        def balance(account):
            answer = self.place.admin.call("GET", "/v1/admin/ledger/balance?account=" + account)
            assert answer.status_code == 200, answer.text
            return answer.json()
        names = ["provider:alpha", "platform_fees", "platform_promo_expense"]
        grants = balance("platform_grants")
        return [*(balance(name)["balanceMicrotokens"] for name in names), grants["availableMicrotokens"]]

    def pick(self, rows, number):
        """The newest ones more often than the others."""
        return rows[-1 - number % len(rows)] if number % 3 else rows[-1 - number // 3 % min(3, len(rows))]

    def check_session(self, session, view=None):
        if view is None:
            view = session.owner.call("GET", "/v1/sessions/" + session.id).json()
        wanted = session.view(self.world.now)
        got = {name: view[name] for name in wanted}
        for name in ("startedAt", "endsAt"):
            got[name] = milliseconds(got[name])
        assert got == wanted, f"session {session.id}"

    def settle(self):
        """Reads may see funds released a little later (L4); a write of sessions first applies what is due."""
        if self.is_late:
            body = {"sessionId": "0" * 26, "reportNo": 1, "units": 1}
            answer = self.place.provider.post("/v1/provider/tokens/report", body, key=uuid.uuid4().hex)
            assert answer.status_code == 404, answer.text
            self.is_late = False

    def check_user(self, caller):
        self.settle()
        got = caller.call("GET", "/v1/tokens/balance").json()
        assert (got["availableMicrotokens"], got["heldMicrotokens"]) == (caller.model.available, caller.model.held)

    @property
    def proposals(self):
        """Those that are kept: what came to nothing is forgotten a day after its end."""
        return [p for p in self.world.proposals if p.state == "consumed" or self.world.now < p.at + DAY]

    def session_asked(self, session, caller, method, path, body, effect, keyed=True, kept=True):
        """The same of a session: its view, its user's balance."""
        answer, made = self.ask(caller, method, f"/v1/sessions/{session.id}{path}", body, effect, keyed=keyed, kept=kept)
        self.check_session(session, answer.json() if answer.status_code == 200 and path != "/heartbeat" else None)
        self.check_user(session.owner)
        return answer, made

    # Time and trouble

    def move(self, by):
        self.place.moment.stand(self.world.now + by)
        self.world.advance(self.world.now + by)
        self.is_late = True

    @rule(by=st.sampled_from([1, 7, 999, 1_000, 29_000, 61_003]))
    def a_while_passes(self, by):
        self.move(by)

    @rule(by=st.sampled_from([IDLE, IDLE + 1, 5 * MINUTE, 5 * MINUTE + 1, 14 * MINUTE, 31 * MINUTE, 3 * 60 * MINUTE, DAY]))
    def much_time_passes(self, by):
        self.move(by)

    @precondition(lambda self: any(s.is_open for s in self.world.sessions))
    @rule(number=numbers, around=st.sampled_from([-1, 0, 1]))
    def a_deadline_comes(self, number, around):
        session = self.pick([s for s in self.world.sessions if s.is_open], number)
        self.move(max(0, session.due[0] - self.world.now + around))
        self.check_session(session)

    @precondition(lambda self: self.world.sessions)
    @rule(number=st.integers(0, 7))
    def the_server_is_killed(self, number):
        if number == 0:
            self.place.server.kill()
            self.place.start()

    # Money

    @rule(who=st.integers(0, 1), tokens=st.sampled_from([1, 50, 900]))
    def tokens_are_given(self, who, tokens):
        self.give(self.people[who], tokens * TOKEN + 1)
        self.check_user(self.people[who])

    @rule(who=st.integers(0, 1), limit=st.sampled_from([None, 0, 50 * TOKEN, 600 * TOKEN]))
    def a_limit_is_set(self, who, limit):
        self.settle()
        caller = self.people[who]
        answer = caller.call("PUT", "/v1/tokens/limits", {"dayMicrotokens": limit})
        caller.model.day_limit = limit
        assert answer.status_code == 200 and answer.json()["dayMicrotokens"] == limit, answer.text
        today = self.world.now - self.world.now % DAY
        assert answer.json()["day"]["usedMicrotokens"] == caller.model.used_since(today)

    @rule(who=st.integers(0, 1))
    def an_account_is_frozen_or_freed(self, who):
        caller = self.people[who]
        freezes = not caller.model.frozen
        path = f"/v1/admin/accounts/{caller.id}/{'freeze' if freezes else 'unfreeze'}"
        answer = self.place.admin.call("POST", path, {"reason": "a walk"})
        assert answer.status_code == 200, answer.text
        caller.model.frozen = freezes

    @precondition(lambda self: self.world.captures)
    @rule(number=numbers, part=st.sampled_from([1, 2, 3, 1_000_000]), more=st.sampled_from([0, 0, 1]))
    def a_capture_is_refunded(self, number, part, more):
        rows = self.place.provider.get("/v1/tokens/transactions?kind=capture&limit=100").json()["transactions"]
        captures = self.world.captures[-100:]
        amounts = [row["amountMicrotokens"] for row in rows[:len(captures)]]
        # Sessions that end at one moment are settled in either order, and of one amount nobody says whose it is.
        assert sorted(amounts) == sorted(capture.amount for capture in captures), "every capture, and no other"
        index = number % len(captures)
        same = [capture for capture in captures if capture.amount == amounts[index]]
        if len(same) > 1:
            return
        capture = same[0]
        amount = max(1, (capture.amount - capture.refunded) // part) + (capture.amount if more else 0)
        body = {"captureId": rows[index]["id"], "amountMicrotokens": amount, "reason": "a walk"}
        self.ask(self.place.admin, "POST", "/v1/admin/refunds", body, lambda: self.world.refund(capture, amount), 201)
        self.check_session(capture.session)
        self.check_user(capture.session.owner)

    # Proposals

    wishes = {"who": st.integers(0, 1), "service": st.sampled_from(SERVICES), "tokens": st.sampled_from([1, 10, 70]),
              "minutes": st.sampled_from([5, 5, 7, 60, 180])}

    def propose(self, who, service, minutes, tokens):
        caller, body = self.people[who], {"serviceId": service.id}
        if not service.trial:
            body.update(kind="paid", durationMinutes=minutes)
            if service.unit_price:
                body["maxTokens"] = tokens
        answer, proposal = self.ask(caller, "POST", "/v1/proposals", body, lambda: self.world.propose(
            caller.model, service, minutes, tokens if service.unit_price else None), 201)
        if proposal:
            proposal.id, proposal.owner = answer.json()["id"], caller
        return proposal

    @rule(**wishes)
    def a_proposal_is_made(self, who, service, minutes, tokens):
        self.propose(who, service, {7: 4, 180: 181}.get(minutes, minutes), tokens)

    @rule(**wishes)
    def a_session_begins(self, who, service, minutes, tokens):
        proposal = self.propose(who, service, minutes, tokens)
        if proposal:
            self.confirm(proposal, True)

    @precondition(lambda self: self.proposals)
    @rule(number=numbers)
    def a_proposal_is_declined(self, number):
        proposal = self.pick(self.proposals, number)
        path = f"/v1/proposals/{proposal.id}/decline"
        answer = proposal.owner.call("POST", path)
        try:
            self.world.decline(proposal)
            assert answer.status_code == 204, answer.text
        except Refused as refused:
            assert (answer.status_code, answer.json()["code"]) == (refused.status, refused.code)

    @precondition(lambda self: self.proposals)
    @rule(number=numbers, redeems=st.booleans())
    def a_proposal_is_confirmed(self, number, redeems):
        self.confirm(self.pick(self.proposals, number), redeems)

    def confirm(self, proposal, redeems):
        body = {"proposalId": proposal.id}
        answer, session = self.ask(
            proposal.owner, "POST", "/v1/sessions", body, lambda: self.world.confirm(proposal), 201)
        if session:
            view = answer.json()
            session.id, session.owner, session.token = view["id"], proposal.owner, None
            query = urllib.parse.urlsplit(view["redirectUrl"]).query
            session.launch = urllib.parse.parse_qs(query)["marketplace_session"][0]
            self.check_session(session, view)
        if session and redeems:
            self.redeem(session)
        self.check_user(proposal.owner)

    @precondition(lambda self: self.proposals)
    @rule(number=numbers)
    def anothers_proposal_is_not_there(self, number):
        proposal = self.pick(self.proposals, number)
        other = self.people[self.people[0] is proposal.owner]
        for answer in (other.call("GET", "/v1/proposals/" + proposal.id),
                       other.call("POST", "/v1/sessions", {"proposalId": proposal.id}, key=uuid.uuid4().hex)):
            assert answer.status_code == 404, answer.text

    # Sessions

    def redeem(self, session):
        answer = self.place.provider.post("/v1/sessions/validate", {"token": session.launch})
        try:
            if self.world.now // 1_000 - 30 >= expiry(session.launch):
                raise long_expired(self.world.now - session.created)
            started = self.world.redeem(session)
            assert answer.status_code == 200, answer.text
            if started:
                session.reply, session.token = answer.content, answer.json()["token"]
                assert answer.json()["remainingMs"] == session.duration
            else:
                assert answer.content == session.reply, "the same once more"
        except Refused as refused:
            assert answer.status_code == refused.status, answer.text
            assert answer.json()["code"] in (refused.code, *refused.or_else), answer.text
        self.check_session(session)

    @precondition(lambda self: self.world.sessions)
    @rule(number=numbers)
    def a_launch_token_is_redeemed(self, number):
        self.redeem(self.pick(self.world.sessions, number))

    def bearer(self, session, wakes):
        """The session token's own refusals, and whether it is old."""
        left = expiry(session.token) - self.world.now // 1_000
        if left <= -1_830:
            raise long_expired(-left * 1_000)
        if (session.state, session.reason) == ("expired", "revoked"):
            # Where no late token is taken, one that is late is refused before its session is looked at.
            raise Refused("token_invalid", or_else=("token_expired",) if left <= -30 and not wakes else ())
        if left <= -30 and not (wakes and session.state == "paused"):
            raise Refused("token_expired")
        return left <= 300

    def by_token(self, session, path, body, effect, wakes, keyed=True):
        is_old = []

        def whole():
            is_old.append(self.bearer(session, wakes))
            effect()

        answer, _ = self.session_asked(session, Account(self.place.server, session.token), "POST", path, body, whole,
                                       keyed=keyed, kept=False)
        if answer.status_code == 200:
            renewed = answer.json().get("token")
            # What a repeated heartbeat is told, it may have been told before.
            if path != "/heartbeat" or body["seq"] == session.seq:
                assert (renewed is not None) == (is_old[0] and session.is_open) or path == "/heartbeat"
            if renewed and expiry(renewed) >= expiry(session.token):
                session.token = renewed
        return answer

    @precondition(lambda self: any(s.token for s in self.world.sessions))
    @rule(number=numbers, step=st.sampled_from([1, 1, 1, 3, 0, -1]), active=st.sampled_from([True, True, False]))
    def a_heartbeat_comes(self, number, step, active):
        session = self.pick([s for s in self.world.sessions if s.token], number)
        seq = max(1, session.seq + step)
        is_new = seq > session.seq
        answer = self.by_token(session, "/heartbeat", {"seq": seq, "active": active},
                               lambda: self.world.beat(session, seq, active), wakes=True, keyed=False)
        if answer.status_code == 200 and is_new:
            view = answer.json()
            self.check_session(session, {**session.owner.call("GET", "/v1/sessions/" + session.id).json(), "state": view["state"]})
            assert view["remainingMs"] == session.remaining(self.world.now)
            assert view["warn"] == (session.state == "active" and view["remainingMs"] <= 300_000)

    @precondition(lambda self: self.world.sessions)
    @rule(number=numbers, event=st.sampled_from(["pause", "resume", "pause", "resume", "complete", "fail"]),
          who=st.sampled_from(["user", "provider", "token"]))
    def a_session_is_changed(self, number, event, who):
        session = self.pick(self.world.sessions, number)
        body, path = {}, "/" + event
        if event == "fail":
            if who == "user":
                return
            body, path = {"outcome": "failed"}, "/complete"

        def effect():
            if event == "complete":
                self.world.complete(session, "user" if who == "user" else "provider")
            else:
                getattr(self.world, event)(session)

        if who == "token" and session.token:
            self.by_token(session, path, body, effect, wakes=event == "resume")
        elif who != "token":
            caller = session.owner if who == "user" else self.place.provider
            self.session_asked(session, caller, "POST", path, body, effect)

    @precondition(lambda self: self.world.sessions)
    @rule(number=numbers)
    def a_session_is_revoked(self, number):
        session = self.pick(self.world.sessions, number)
        self.session_asked(session, session.owner, "DELETE", "", None, lambda: self.world.revoke(session), keyed=False)

    @precondition(lambda self: self.world.sessions)
    @rule(number=numbers, minutes=st.sampled_from([1, 1, 5, 60, 175]), tokens=st.sampled_from([1, 20]))
    def a_session_is_extended(self, number, minutes, tokens):
        session = self.pick(self.world.sessions, number)
        most = tokens if session.plan == "usage" else None
        body = {"minutes": minutes, **({"maxTokens": most} if most else {})}
        self.session_asked(session, session.owner, "POST", "/extend", body,
                           lambda: self.world.extend(session, minutes, most))

    @precondition(lambda self: any(s.plan == "usage" for s in self.world.sessions))
    @rule(number=numbers, report=st.integers(1, 6), units=st.sampled_from([1, 2, 5, 1_000]))
    def use_is_reported(self, number, report, units):
        session = self.pick([s for s in self.world.sessions if s.plan == "usage"], number)
        body = {"sessionId": session.id, "reportNo": report, "units": units}
        answer, amount = self.ask(self.place.provider, "POST", "/v1/provider/tokens/report", body,
                                  lambda: self.world.report(session, report, units))
        if answer.status_code == 200:
            assert answer.json()["amountMicrotokens"] == amount
        self.check_session(session)
        self.check_user(session.owner)

    @precondition(lambda self: self.world.sessions)
    @rule(number=numbers)
    def anothers_session_is_not_there(self, number):
        session = self.pick(self.world.sessions, number)
        other = self.people[self.people[0] is session.owner]
        path = "/v1/sessions/" + session.id
        for answer in (other.call("GET", path), other.call("DELETE", path),
                       other.call("POST", path + "/complete", {}, key=uuid.uuid4().hex)):
            assert answer.status_code == 404, answer.text

    # Keys

    @precondition(lambda self: self.said)
    @rule(number=numbers, differs=st.sampled_from([False, False, True]))
    def a_request_comes_again(self, number, differs):
        caller, method, path, body, key, before, at = self.pick(self.said, number)
        if self.world.now - at > 2 * DAY - 1:
            return
        if differs:
            other = other_body(body)
            if other is None:
                return
            answer = caller.call(method, path, other, key=key)
            assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict"), answer.text
            return
        answer = caller.call(method, path, dict(reversed(body.items())), key=key)
        assert (answer.status_code, answer.content) == (before.status_code, before.content), answer.text
        assert answer.headers["Idempotent-Replayed"] == "true"

    @rule(who=st.integers(0, 1))
    def a_person_looks(self, who):
        caller = self.people[who]
        self.check_user(caller)
        rows = caller.call("GET", "/v1/sessions?limit=100").json()["sessions"]
        own = [s for s in self.world.sessions if s.owner is caller][-100:]
        assert {row["id"] for row in rows} == {session.id for session in own}
        by_id = {row["id"]: row for row in rows}
        for session in own:
            self.check_session(session, by_id[session.id])

    def teardown(self):
        for who, caller in enumerate(self.people):
            self.a_person_looks(who)
        for session in self.world.sessions:
            if session.is_open:
                self.session_asked(session, session.owner, "DELETE", "", None, lambda: self.world.revoke(session), keyed=False)
        changes = [after - before for after, before in zip(self.accounts(), self.before)]
        world = self.world
        assert changes == [world.earned, world.fees, world.promo, world.grants]
        assert sum(user.available for user in world.users) + sum(changes) == 0, "units are conserved"
        report = self.place.admin.call("GET", "/v1/ledger/verify").json()
        assert report["sound"] is True, report
        COUNTS["walks"] = COUNTS.get("walks", 0) + 1
        super().teardown()


def test_the_server_walks_as_the_model_does(place):
    global PLACE
    PLACE = place
    run_state_machine_as_test(Walk, settings=settings(
        max_examples=WALKS, stateful_step_count=STEPS, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate]))
    print("\n" + ", ".join(f"{count} {name}" for name, count in sorted(COUNTS.items())))
    assert {"done", "invalid_transition", "proposal_consumed"} <= set(COUNTS), COUNTS
    assert len(COUNTS) > (10 if LONG else 7), COUNTS
