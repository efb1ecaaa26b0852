"""kill -9 at random moments: the next start is clean and nothing that was acknowledged is lost."""

import json
import random
import subprocess
import threading
import time
import uuid

import pytest
import requests

import harness
from harness import BINARY, HAS_MODEL, HOME, LONG, Account, Server, cli, until

ROUNDS = 20 if LONG else 3
# The public address stays over restarts, as it does in earnest: the terms of a proposal name the sandbox's redirect.
FLAGS = ["--trials-per-day", "1000000", "--trial-repeats", "1000000", "--public-url", "http://127.0.0.1:65000"]


def verified(server):
    """Ready, searchable as a whole, and a sound ledger."""
    ready = server.get("/readyz").json()
    assert ready["status"] == "ready" and ready["asOf"] == ready["revision"]
    report = Account.login(server, "admin@example.org").get("/v1/ledger/verify").json()
    assert report["sound"] is True and report["faults"] == [], report
    return ready


def test_an_import_that_is_killed_leaves_whole_batches_and_can_be_repeated(tmp_path):
    row = {"kind": "api", "providerName": "Bulk", "description": "A listing among very many. " * 20}
    rows = [{**row, "id": f"bulk-{n:06d}", "name": f"Bulk {n}"} for n in range(12_000)]
    file = harness.write_rows(tmp_path / "bulk.jsonl", rows)
    seen = []
    for number in range(ROUNDS):
        data = tmp_path / f"data{number}"
        harness.add_user(data, "admin", "admin@example.org")
        command = [BINARY, "import", str(file), "--data", str(data), "--no-embed"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=harness.environment())
        time.sleep(random.uniform(0.02, 0.3))
        process.kill()
        process.wait(30)
        with Server(data) as server:
            ready = verified(server)
            seen.append(ready["services"])
            last = ready["services"] - 1
            if last >= 0:
                assert server.get(f"/v1/services/bulk-{last:06d}").status_code == 200, "a prefix, without a hole"
            assert ready["services"] % 64 == 0 or ready["services"] == 12_000, "batches are whole"
    again = cli("import", file, "--data", data, "--no-embed")
    assert f"{12_000 - seen[-1]} new, 0 changed, {seen[-1]} the same, 0 refused" in again.stdout
    print(f"\nservices after each kill: {seen}")


class Worker(threading.Thread):
    """Acts until the server dies, and remembers what was acknowledged and what was only asked for."""

    def __init__(self, server, ids):
        super().__init__(daemon=True)
        self.email = f"{uuid.uuid4().hex}@example.org"
        self.account = Account.register(server, self.email)
        self.ids = ids
        self.acknowledged, self.pending = {}, None

    def run(self):
        try:
            for service in self.ids:
                proposal = self.account.propose(service)["id"]
                key = uuid.uuid4().hex
                self.pending = (proposal, key)
                answer = self.account.confirm(proposal, key=key)
                if answer.status_code != 201:
                    raise AssertionError(answer.text)
                self.acknowledged[answer.json()["id"]] = (proposal, key, answer.content)
                self.pending = None
        except requests.RequestException:
            pass


class Writer(threading.Thread):
    """A provider that changes its listings until the server dies."""

    def __init__(self, server, round):
        super().__init__(daemon=True)
        self.account = Account.login(server, "maker@example.org")
        self.round = round
        self.acknowledged = {}

    def run(self):
        try:
            for number in range(100_000):
                id, text = f"made-{number % 5}", f"Round {self.round}, change {number}."
                answer = self.account.put("/v1/provider/services/" + id, {
                    "name": "Made", "kind": "tool", "description": text})
                if answer.status_code not in (200, 201):
                    raise AssertionError(answer.text)
                self.acknowledged[id] = (answer.json()["revision"], text)
        except requests.RequestException:
            pass


def test_a_kill_during_confirmations_and_changes_loses_nothing_acknowledged(small):
    harness.add_user(small, "admin", "admin@example.org")
    harness.add_user(small, "provider", "maker@example.org", "maker")
    ids = [row["id"] for row in harness.read_rows(harness.SERVICES, 60)]
    held, confirmed = 0, 0
    server = Server(small, *FLAGS).start()
    for round in range(ROUNDS):
        workers = [Worker(server, random.sample(ids, len(ids))) for _ in range(4)]
        writer = Writer(server, round)
        [thread.start() for thread in [*workers, writer]]
        time.sleep(random.uniform(0.1, 0.6))
        server.kill()
        [thread.join(60) for thread in [*workers, writer]]
        server = Server(small, *FLAGS).start()
        verified(server)
        for worker in workers:
            own = Account.login(server, worker.email)
            listed = {s["id"]: s for s in own.get("/v1/sessions?limit=100").json()["sessions"]}
            for id, (proposal, key, body) in worker.acknowledged.items():
                assert listed[id]["state"] == "pending" and listed[id]["heldMicrotokens"] == 250_000_000
                again = own.confirm(proposal, key=key)
                assert again.status_code == 201 and again.content == body, "the key still has its answer"
            if worker.pending:
                proposal, key = worker.pending
                again = own.confirm(proposal, key=key)
                assert again.status_code == 201, f"happened once, or can be repeated: {again.text}"
            count = len(own.get("/v1/sessions?limit=100").json()["sessions"])
            assert count == len(worker.acknowledged) + bool(worker.pending)
            held += count * 250_000_000
            confirmed += count
        for id, (revision, text) in writer.acknowledged.items():
            stored = server.get("/v1/services/" + id).json()["service"]
            assert stored["revision"] >= revision
            if stored["revision"] == revision:
                assert stored["description"] == text
            assert server.search(filter=f"id = {id}")["hits"][0]["service"] == stored
        verified(server)
    assert server.stop() == 0
    sandbox = harness.add_key(small)
    with Server(small, *FLAGS) as server:
        rows, cursor = [], None
        key = Account(server, sandbox)
        while True:
            page = key.get("/v1/tokens/transactions?limit=100" + (f"&cursor={cursor}" if cursor else "")).json()
            rows += page["transactions"]
            cursor = page["nextCursor"]
            if not cursor:
                break
        holds = [row["amountMicrotokens"] for row in rows if row["kind"] == "hold"]
        assert len(holds) == confirmed and sum(holds) == held
    print(f"\n{confirmed} sessions confirmed over {ROUNDS} kills")
    assert confirmed > 0


@pytest.mark.skipif(not HAS_MODEL, reason=f"no embedding model in {HOME}/model")
def test_a_kill_during_reindex_keeps_the_old_generation_or_the_new(small):
    harness.add_user(small, "admin", "admin@example.org")
    begin = time.monotonic()
    generations = {cli_generation(small)}
    whole = time.monotonic() - begin
    for _ in range(ROUNDS):
        command = [BINARY, "reindex", "--data", str(small)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=harness.environment(HOME))
        time.sleep(random.uniform(0.1, 1.3) * whole)
        process.kill()
        process.wait(30)
        with Server(small, home=HOME) as server:
            harness.vectors_ready(server)
            ready = verified(server)
            assert ready["services"] == 60 and ready["vectors"] is True
            answer = server.search(q="booking appointments", facets=["kind"])
            assert answer["degraded"] == [] and answer["hits"]
            assert sum(v["count"] for v in answer["facets"]["kind"]["values"]) == answer["total"]
            generations.add(answer["generation"])
    print(f"\ngenerations served: {sorted(generations)}")


def cli_generation(data):
    return json.loads(cli("reindex", "--data", data, "--json", home=HOME).stdout)["generation"]


def test_a_kill_in_the_middle_of_a_turn_leaves_a_conversation_that_goes_on(small):
    with_chat = Server(small).start()
    chat = harness.Chat(with_chat)
    chat.say("calendar")
    answered = []
    thread = threading.Thread(target=lambda: [answered.append(_quietly(chat)) for _ in range(200)])
    thread.start()
    until(lambda: len(answered) > 2)
    with_chat.kill()
    thread.join(60)
    with Server(small) as server:
        chat.server = server
        assert chat.get().status_code == 200
        assert chat.say("music").last.type == "done"


def _quietly(chat):
    try:
        chat.send({"text": "calendar for a studio"})
    except requests.RequestException:
        pass
