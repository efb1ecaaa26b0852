"""What many clients see while the server is stopped, killed and started: one order explains it all, and units are conserved."""

import os
import random
import signal
import sqlite3
import threading
import time
import urllib.parse
import uuid

import pytest
import requests

import audit
import harness
from faults import Faults
from harness import LONG, Account, Server, until
from linear import History
from moment import Moment

SOAK = os.environ.get("WAYPOST_SOAK") == "1"
ROUNDS = 60 if SOAK else 15 if LONG else 5
FAULTS = ["none", "kill", "stop", "full", "clock"]
ORIGIN = "http://127.0.0.1:65000"
FLAGS = ["--trials-per-day", "1000000", "--trial-repeats", "1000000", "--trials-per-provider", "1000000",
         "--public-url", ORIGIN]


def proposal_step(state, operation):
    """A proposal is consumed by one key or declined, once."""
    kind, key, session = state
    if operation.name == "decline":
        if operation.outcome in (None, "ok"):
            return ("declined", None, None) if kind != "consumed" else (state if operation.outcome is None else None)
        return state if kind == "consumed" and operation.outcome == "proposal_consumed" else None
    mine = operation.argument
    if operation.outcome is None:
        # Whose session it is will be known once somebody asks with the same key.
        return ("consumed", mine, session) if kind == "proposed" else state
    if operation.outcome in ("proposal_consumed", "proposal_declined"):
        right = kind == operation.outcome.removeprefix("proposal_") and (kind == "declined" or key != mine)
        return state if right else None
    if kind == "proposed":
        return ("consumed", mine, operation.outcome)
    if kind == "consumed" and key == mine and session in (None, operation.outcome):
        return ("consumed", mine, operation.outcome)
    return None


def session_step(state, operation):
    """An active session ends once: completed, or revoked. What ended it may be repeated, the other is refused."""
    ends = {"complete": "completed", "revoke": "expired"}
    if operation.name == "read":
        return state if operation.outcome in (None, state) else None
    end = ends[operation.name]
    if operation.outcome is None:
        return end if state == "active" else state
    if operation.outcome == "invalid_transition":
        return state if state not in ("active", end) else None
    return end if operation.outcome == end and state in ("active", end) else None


@pytest.mark.parametrize("rows, is_possible", [
    ([(0, 0, 2, "complete", "completed"), (1, 1, 3, "revoke", "invalid_transition")], True),
    ([(0, 0, 2, "complete", "invalid_transition"), (1, 1, 3, "revoke", "expired")], True),
    ([(0, 0, 2, "complete", "completed"), (1, 1, 3, "revoke", "expired")], False),
    ([(0, 0, 1, "complete", "completed"), (1, 2, 3, "read", "active")], False),
    ([(0, 0, 2, "complete", "completed"), (1, 1, 3, "read", "active")], True),
    ([(0, 0, None, "complete", None), (1, 1, 2, "read", "active"), (1, 3, 4, "read", "completed")], True),
    ([(0, 0, None, "complete", None), (1, 1, 2, "read", "completed"), (1, 3, 4, "read", "active")], False),
    ([(0, 0, 1, "read", "active"), (1, 2, None, "revoke", None), (2, 3, 4, "complete", "completed")], True),
    ([(0, 0, 1, "revoke", "expired"), (1, 2, 3, "complete", "completed")], False)])
def test_the_checker_tells_possible_histories_from_others(rows, is_possible):
    history = History()
    for client, start, end, name, outcome in rows:
        operation = history.invoke(client, name)
        operation.start = start
        if end is not None:
            operation.end, operation.outcome = end, outcome
    assert (history.explanation(session_step, "active") is not None) == is_possible


@pytest.mark.parametrize("rows, is_possible", [
    ([(0, 0, 2, "confirm", "a", "one"), (1, 1, 3, "confirm", "b", "proposal_consumed")], True),
    ([(0, 0, 2, "confirm", "a", "one"), (1, 1, 3, "confirm", "b", "two")], False),  # two keys, two sessions
    ([(0, 0, 2, "confirm", "a", "one"), (1, 3, 4, "confirm", "a", "two")], False),  # one key, two effects
    ([(0, 0, 2, "confirm", "a", "one"), (1, 3, 4, "confirm", "a", "proposal_consumed")], False),  # a lost answer
    ([(0, 0, 2, "confirm", "a", "one"), (1, 1, 3, "decline", None, "ok")], False),
    ([(0, 0, 1, "decline", None, "ok"), (1, 2, 3, "confirm", "a", "one")], False),
    ([(0, 0, 1, "decline", None, "ok"), (1, 2, 3, "confirm", "a", "proposal_declined")], True),
    ([(0, 0, 2, "confirm", "a", "proposal_declined")], False),  # nobody declined it
    ([(0, 0, None, "confirm", "a", None), (1, 2, 3, "confirm", "b", "proposal_consumed"),
      (2, 4, 5, "confirm", "a", "one")], True),
    ([(0, 0, None, "confirm", "a", None), (1, 2, 3, "confirm", "b", "one"), (2, 4, 5, "confirm", "a", "two")], False),
    ([(0, 0, 1, "confirm", "a", "proposal_consumed"), (1, 2, 3, "confirm", "b", "one")], False)])  # before its cause
def test_the_checker_knows_the_histories_of_a_proposal(rows, is_possible):
    history = History()
    for client, start, end, name, argument, outcome in rows:
        operation = history.invoke(client, name, argument)
        operation.start = start
        if end is not None:
            operation.end, operation.outcome = end, outcome
    assert (history.explanation(proposal_step, ("proposed", None, None)) is not None) == is_possible


def outcome_of(answer, good):
    """What a client learnt: a value, the code of a refusal, or nothing where the server itself was in trouble."""
    if answer.status_code in (200, 201, 204):
        return good(answer)
    if answer.status_code >= 500 or answer.json()["code"] == "idempotency_in_flight":
        return None
    return answer.json()["code"]


def race(history, server, client, name, argument, send, good):
    """One operation of one client; what has no answer stays open for ever."""
    operation = history.invoke(client, name, argument)
    try:
        outcome = outcome_of(send(), good)
        if outcome is not None:
            History.answer(operation, outcome)
    except requests.RequestException:
        pass


def run_all(server, jobs, kind, restart, trouble):
    """Starts all clients, and in the middle of them something happens to the server. Gives the server of afterwards."""
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    random.shuffle(threads)
    moment = random.randrange(1, len(threads) + 1)
    for number, thread in enumerate(threads, 1):
        thread.start()
        if number == moment:
            strike(server, kind, trouble)
        time.sleep(random.choice([0, 0, 0.001]))
    [thread.join(60) for thread in threads]
    trouble.disk.set(b"n")
    if kind != "kill":
        return server
    server.process.wait(30)
    return restart()


def strike(server, kind, trouble):
    time.sleep(random.uniform(0, 0.005))
    if kind == "full":
        trouble.disk.set(random.choice([b"f", b"h"]))
    elif kind == "clock":
        trouble.moment.jump(random.choice([-20_000, -1_000, 1_000, 20_000]))
    elif kind == "kill":
        server.process.kill()
    elif kind == "stop":
        server.process.send_signal(signal.SIGSTOP)
        threading.Timer(0.5, lambda: server.process.send_signal(signal.SIGCONT)).start()


class Trouble:
    """A disk and a clock that the test has in its hands."""

    def __init__(self, folder):
        self.disk, self.moment = Faults(folder), Moment(folder)
        preloaded = [self.disk.environment["LD_PRELOAD"], self.moment.environment["LD_PRELOAD"]]
        self.environment = {**self.disk.environment, **self.moment.environment, "LD_PRELOAD": ":".join(preloaded)}


def test_each_proposal_and_each_hold_has_one_history(small, tmp_path):
    """Clients with different keys and the same race for a proposal, then for the end of its session."""
    harness.add_user(small, "admin", "admin@example.org")
    services = [row["id"] for row in harness.read_rows(harness.SERVICES, 60)]
    trouble = Trouble(tmp_path)
    server = Server(small, *FLAGS, env=trouble.environment).start()
    emails = [f"{uuid.uuid4().hex}@example.org" for _ in range(2)]
    users = [Account.register(server, email) for email in emails]
    unknown, ended, acknowledged = 0, 0, {}

    def restart():
        return Server(small, *FLAGS, env=trouble.environment).start()

    for round in range(ROUNDS):
        kind = FAULTS[round % len(FAULTS)]
        user, service = users[round % 2], services[round % len(services)]
        if round % 20 == 19:
            users = [Account.login(server, email) for email in emails]
            user = users[round % 2]
        user.server = server
        proposal = user.propose(service)["id"]
        keys = [uuid.uuid4().hex for _ in range(3)]

        links = {}

        def copy():
            return Account(server, user.token)

        def confirmed_as(answer):
            links[answer.json()["id"]] = answer.json()["redirectUrl"]
            return answer.json()["id"]

        history = History()
        confirming = [(client, key) for client, key in enumerate([*keys, keys[0], keys[1]])]
        jobs = [lambda c=client, k=key: race(
            history, server, c, "confirm", k, lambda: copy().confirm(proposal, key=k), confirmed_as)
            for client, key in confirming]
        jobs.append(lambda: race(history, server, 9, "decline", None, lambda: copy().post(
            f"/v1/proposals/{proposal}/decline", {}, key=uuid.uuid4().hex), lambda a: "ok"))
        server = run_all(server, jobs, kind, restart, trouble)
        unknown += sum(not o.is_known for o in history.operations)
        user.server = server
        for client, key in confirming[:3]:
            race(history, server, client, "confirm", key, lambda: user.confirm(proposal, key=key), confirmed_as)
        order = history.explanation(proposal_step, ("proposed", None, None))
        assert order is not None, f"no order explains this:\n{history}"
        confirmed = {o.outcome for o in history.operations if o.name == "confirm" and o.is_known
                     and not o.outcome.startswith("proposal_")}
        assert len(confirmed) <= 1
        if not confirmed:
            continue
        session = confirmed.pop()
        acknowledged[session] = proposal
        server, is_raced = end_of_session(server, user, session, links[session], kind, restart, trouble)
        ended += is_raced
    audit_running(server, small)
    assert_kept(server, small, emails, acknowledged)
    server.kill()
    assert audit.dead(small, small.parent / "copy") > 0
    assert ended > 0, "some sessions were raced to their end"
    print(f"\n{ROUNDS} rounds, {ended} ends of sessions, {unknown} confirmations without an answer")


def assert_kept(server, data, emails, acknowledged):
    """No session that a client was told of is lost, and none is there that nobody asked for."""
    users = [Account.login(server, email) for email in emails]
    rows = {row["id"] for user in users for row in user.get("/v1/sessions?limit=100").json()["sessions"]}
    assert set(acknowledged) <= rows
    with audit.reading(data / "record.db") as connection:
        sessions, proposals = (audit.one(connection, "SELECT count(*) FROM " + table)[0] for table in (
            "session", "proposal WHERE state = 'consumed'"))
    assert sessions == proposals == len(acknowledged), "one session for each proposal that was confirmed"


def test_a_key_has_one_effect_whatever_happens(small, tmp_path):
    """Clients repeat grants under few keys through every fault: the balance is one grant for each key."""
    harness.add_user(small, "admin", "admin@example.org")
    trouble = Trouble(tmp_path)
    server = Server(small, *FLAGS, env=trouble.environment).start()
    email = f"{uuid.uuid4().hex}@example.org"
    user = Account.register(server, email)
    name, total, lost = user.get("/v1/me").json()["id"], 0, 0

    def restart():
        return Server(small, *FLAGS, env=trouble.environment).start()

    for round in range(ROUNDS):
        admin = Account.login(server, "admin@example.org")
        bodies = {uuid.uuid4().hex: {"userId": name, "amountMicrotokens": 10**n, "reason": "a race"} for n in range(4)}

        def grant(key, token=admin.token):
            return Account(server, token).post("/v1/admin/grants", bodies[key], key=key)

        history = History()
        jobs = [lambda c=c, k=key: race(history, server, c, "grant", k, lambda: grant(k), lambda a: a.json()["transferId"])
                for c in range(3) for key in bodies]
        server = run_all(server, jobs, FAULTS[round % len(FAULTS)], restart, trouble)
        lost += sum(not o.is_known for o in history.operations)
        for key in bodies:
            last = grant(key)
            assert last.status_code == 201, last.text
            told = {o.outcome for o in history.operations if o.argument == key and o.is_known}
            assert told <= {last.json()["transferId"]}, f"one key, several effects:\n{history}"
            total += bodies[key]["amountMicrotokens"]
        user = Account.login(server, email)
        assert user.get("/v1/tokens/balance").json()["balanceMicrotokens"] == total
    audit_running(server, small)
    server.kill()
    assert audit.dead(small, small.parent / "copy") > 0
    print(f"\n{ROUNDS} rounds of 12 grants under 4 keys, {lost} without an answer")


def end_of_session(server, user, session, link, kind, restart, trouble):
    """The same for the session: whoever ends it first, ends it."""
    path = "/v1/sessions/" + session
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["marketplace_session"][0]
    started = server.post("/v1/sessions/validate", {"token": token}, headers={"Origin": ORIGIN})
    if started.status_code != 200:
        user.delete(path)
        return server, False

    def copy():
        return Account(server, user.token)

    history = History()
    state = lambda answer: answer.json()["state"]  # noqa: E731
    jobs = [lambda c=c: race(history, server, c, "complete", None, lambda: copy().post(
        path + "/complete", {}, key=uuid.uuid4().hex), state) for c in range(3)]
    jobs += [lambda c=c: race(history, server, c, "revoke", None, lambda: copy().delete(path), lambda a: "expired")
             for c in (3, 4)]
    jobs += [lambda c=c: race(history, server, c, "read", None, lambda: copy().get(path), state) for c in (5, 6, 7)]
    server = run_all(server, jobs, kind, restart, trouble)
    user.server = server
    for client in (5, 6):
        race(history, server, client, "read", None, lambda: user.get(path), state)
    assert history.explanation(session_step, "active") is not None, f"no order explains this:\n{history}"
    user.delete(path)
    return server, True


def audit_running(server, data):
    with audit.reading(data / "record.db") as connection:
        audit.snapshot(connection)
        audit.chain(connection)
    report = Account.login(server, "admin@example.org").get("/v1/ledger/verify").json()
    assert report["sound"] is True, report


def test_readers_see_a_constant_total_in_every_snapshot(small):
    """A bank: while sessions start and end, whoever looks in sees all units, and every hold with its session."""
    services = [row["id"] for row in harness.read_rows(harness.SERVICES, 60)]
    stop = threading.Event()
    seen, trouble, done = [], [], []

    def look(number):
        last = 0
        while not stop.is_set():
            try:
                with audit.reading(small / "record.db") as connection:
                    count = audit.snapshot(connection)
                    time.sleep(random.choice([0, 0, 0.005]))
                    assert audit.snapshot(connection) == count, "a snapshot does not change while it is looked at"
                    assert count >= last, "time runs forward"
                    last = count
                seen.append(count)
            except (AssertionError, sqlite3.Error) as error:
                trouble.append(repr(error))
                return

    def trade(number):
        account = Account.register(server)
        for service in random.sample(services, len(services)):
            if stop.is_set():
                return
            answer = account.confirm(account.propose(service)["id"])
            assert answer.status_code == 201, answer.text
            account.delete("/v1/sessions/" + answer.json()["id"])
            done.append(service)

    with Server(small, *FLAGS) as server:
        threads = [threading.Thread(target=look, args=(n,)) for n in range(3)]
        threads += [threading.Thread(target=trade, args=(n,)) for n in range(6)]
        [thread.start() for thread in threads]
        try:
            time.sleep(20 if SOAK else 6 if LONG else 3)
            until(lambda: trouble or len(seen) > 20 and len(set(seen)) > 5 and len(done) > 10, 60)
        finally:
            stop.set()
            [thread.join(60) for thread in threads]
    assert not trouble, trouble
    print(f"\n{len(seen)} snapshots, {len(set(seen))} different, over {len(done)} sessions")
