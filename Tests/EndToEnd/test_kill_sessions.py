"""kill -9 under eight clients that start, use and end sessions: what was acknowledged is there, units are conserved."""

import os
import random
import signal
import subprocess
import threading
import time
import urllib.parse
import uuid

import pytest
import requests

import audit
import harness
from harness import BINARY, LONG, Account, Server

SOAK = os.environ.get("WAYPOST_SOAK") == "1"
ROUNDS = {"wal": 200 if SOAK else 20 if LONG else 3, "truncate": 50 if SOAK else 6 if LONG else 2}
ORIGIN = "http://127.0.0.1:65000"
FLAGS = ["--trials-per-day", "1000000", "--trial-repeats", "1000000", "--trials-per-provider", "1000000",
         "--public-url", ORIGIN]
CLIENTS = 8


class Customer(threading.Thread):
    """Starts sessions, beats, ends them, and writes down every answer before it asks for the next."""

    def __init__(self, server, account, services, memory):
        super().__init__(daemon=True)
        self.account, self.services, self.memory = account, services, memory
        account.server, self.server = server, server
        self.trouble = None

    def run(self):
        try:
            while True:
                self.trial(random.choice(self.services))
        except requests.RequestException:
            pass
        except Exception as error:  # noqa: BLE001 - told to the test, which fails with it
            self.trouble = repr(error)

    def trial(self, service):
        account, memory = self.account, self.memory
        answer = account.post("/v1/proposals", {"serviceId": service}, key=uuid.uuid4().hex)
        if answer.status_code == 409:
            return
        expect(answer, 201)
        proposal, key = answer.json()["id"], uuid.uuid4().hex
        memory.asked = ("confirm", proposal, key)
        answer = account.confirm(proposal, key=key)
        expect(answer, 201)
        session = answer.json()["id"]
        memory.confirmed[session] = (proposal, key, answer.content)
        memory.asked = None
        if random.random() < 0.2:
            return self.end(session, "revoke")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.json()["redirectUrl"]).query)
        token = {"token": query["marketplace_session"][0]}
        answer = self.server.post("/v1/sessions/validate", token, headers={"Origin": ORIGIN})
        expect(answer, 200)
        memory.started.add(session)
        bearer = Account(self.server, answer.json()["token"])
        for number in range(random.randrange(3)):
            expect(bearer.post(f"/v1/sessions/{session}/heartbeat", {"seq": number + 1, "active": True}), 200)
        if random.random() < 0.9:
            self.end(session, "complete")

    def end(self, session, how):
        key = uuid.uuid4().hex
        self.memory.asked = (how, session, key)
        answer = send_end(self.account, session, how, key)
        if how == "revoke":
            expect(answer, 200, 204)
        else:
            expect(answer, 200)
        self.memory.ended[session] = (how, key, answer.content)
        self.memory.asked = None


def send_end(account, session, how, key):
    if how == "revoke":
        return account.delete("/v1/sessions/" + session)
    return account.post(f"/v1/sessions/{session}/complete", {}, key=key)


def expect(answer, *statuses):
    # A server that is being killed may refuse with 503 at most while it starts or ends.
    if answer.status_code == 503:
        raise requests.ConnectionError("503")
    assert answer.status_code in statuses, f"{answer.status_code}: {answer.text[:300]}"


class Memory:
    """What one client knows."""

    def __init__(self):
        self.confirmed, self.started, self.ended, self.asked = {}, set(), {}, None


def kill_somehow(server, data):
    """Under load, in the checkpoint of a stop, or while it starts again."""
    time.sleep(random.uniform(0.05, 0.7))
    how = random.choice(["load", "load", "stop", "start"])
    if how == "stop":
        # A stop waits for running requests, then moves the log into the file: one of both is hit.
        server.process.send_signal(signal.SIGTERM)
        time.sleep(random.uniform(0, 0.4))
    server.kill()
    if how == "start":
        for _ in range(random.randrange(1, 4)):
            command = [BINARY, "serve", "--json", "--demo", "--data", str(data), "--port", "0", *FLAGS]
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=harness.environment())
            harness.STARTED.append(process)
            time.sleep(random.uniform(0.005, 0.25))
            process.kill()
            process.wait(30)
    return how


def check(account, memory):
    """Everything that was acknowledged is there, each once; what had no answer can be asked again."""
    if memory.asked and memory.asked[0] == "confirm":
        _, proposal, key = memory.asked
        answer = account.confirm(proposal, key=key)
        assert answer.status_code in (201, 410), answer.text
        if answer.status_code == 201:
            memory.confirmed[answer.json()["id"]] = (proposal, key, answer.content)
    elif memory.asked:
        how, session, key = memory.asked
        answer = send_end(account, session, how, key)
        assert answer.status_code in (200, 204), answer.text
        memory.ended[session] = (how, key, answer.content)
    memory.asked = None
    for session, (proposal, key, body) in memory.confirmed.items():
        view = account.get("/v1/sessions/" + session).json()
        if session in memory.ended:
            wanted = {"revoke": "expired", "complete": "completed"}[memory.ended[session][0]]
            assert view["state"] == wanted, (wanted, view)
        else:
            assert view["state"] in ("active", "paused") if session in memory.started else ("pending", "active"), view
    for session in random.sample(sorted(memory.confirmed), min(3, len(memory.confirmed))):
        proposal, key, body = memory.confirmed[session]
        again = account.confirm(proposal, key=key)
        assert again.status_code == 201 and again.content == body, "the key still has its answer"
    for session, (how, key, body) in memory.ended.items():
        if how == "complete":
            again = send_end(account, session, how, key)
            assert again.status_code == 200 and again.content == body, "the key still has its answer"
    for session in [s for s in memory.confirmed if s not in memory.ended]:
        assert account.delete("/v1/sessions/" + session).status_code in (200, 204)
    total = len(memory.confirmed)
    memory.confirmed, memory.started, memory.ended = {}, set(), {}
    return total


@pytest.mark.parametrize("journal", ["wal", "truncate"])
def test_eight_clients_lose_nothing_acknowledged(small, journal):
    harness.add_user(small, "admin", "admin@example.org")
    services = [row["id"] for row in harness.read_rows(harness.SERVICES, 60)]
    flags = [*FLAGS, "--journal", journal]
    server = Server(small, *flags).start()
    emails = [f"{uuid.uuid4().hex}@example.org" for _ in range(CLIENTS)]
    accounts = [Account.register(server, email) for email in emails]
    memories = [Memory() for _ in emails]
    total, kinds = 0, {}
    for round in range(ROUNDS[journal]):
        if round % 20 == 19:
            accounts = [Account.login(server, email) for email in emails]
        customers = [Customer(server, *each) for each in zip(accounts, [services] * CLIENTS, memories)]
        [customer.start() for customer in customers]
        how = kill_somehow(server, small)
        kinds[how] = kinds.get(how, 0) + 1
        [customer.join(60) for customer in customers]
        assert not [c.trouble for c in customers if c.trouble], [c.trouble for c in customers]
        audit.dead(small, small.parent / "copy")
        server = Server(small, *flags).start()
        with audit.reading(small / "record.db") as connection:
            audit.snapshot(connection)
        for account, memory in zip(accounts, memories):
            account.server = server
            total += check(account, memory)
        report = Account.login(server, "admin@example.org").get("/v1/ledger/verify").json()
        assert report["sound"] is True, report
    assert total > ROUNDS[journal], "sessions were confirmed in the time"
    assert server.stop() == 0
    audit.dead(small, small.parent / "copy")
    print(f"\n{journal}: {total} sessions over {ROUNDS[journal]} kills: {kinds}")
