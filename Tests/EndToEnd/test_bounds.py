"""What one caller can take from all the others: threads, memory, allowances, the model's good name."""

import os
import re
import sqlite3
import subprocess
import threading
import time
import uuid

import pytest
import requests

import harness
from harness import Account, Chat, Server, problem, until
from scripted import Reply, ScriptedModel, text
from test_model import model_environment


@pytest.fixture
def slow_model():
    """A model that says one sentence and then nothing, until the gate opens."""
    model = ScriptedModel()
    model.gate = threading.Event()
    model.play(*[Reply(text("It fits well. Look")[:-2], hold=model.gate) for _ in range(200)])
    yield model
    model.gate.set()
    model.close()


class Open:
    """A turn whose stream stays open, in a thread of its own."""

    def __init__(self, server, said="calendar"):
        self.body = {"clientMessageId": uuid.uuid4().hex, "text": said}
        self.answer = requests.post(server.url + "/v1/chat/discovery", json=self.body, stream=True, timeout=60)
        self.stream = self.answer.iter_content(None)
        self.raw = b""
        while b"\n\n" not in self.raw:
            self.raw += next(self.stream)
        start = harness.events(self.raw[:self.raw.index(b"\n\n") + 2])[0]
        self.mode, self.id, self.secret = start.data["mode"], start.conversation, start.data["conversationSecret"]

    def rest(self):
        self.raw += b"".join(self.stream)
        return harness.Turn(self.raw)


def open_turns(server, count):
    turns = []
    threads = [threading.Thread(target=lambda: turns.append(Open(server))) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert len(turns) == count
    return turns


def timed(action, count=60):
    times = []
    for _ in range(count):
        start = time.monotonic()
        assert action().status_code == 200
        times.append(time.monotonic() - start)
    return sorted(times)[int(count * 0.95)]


def test_models_that_hang_hold_nobody_else_up(small, slow_model):
    with Server(small, env=model_environment(slow_model.url)) as server:
        turns = open_turns(server, 20)
        assert {turn.mode for turn in turns} == {"agent"}
        # The models say nothing until the gate opens: whoever waited for one of them would wait for good.
        until(lambda: len(slow_model.requests) == 20)
        assert timed(lambda: server.get("/healthz")) < 1
        assert timed(lambda: server.get("/v1/providers/search?q=calendar")) < 1
        slow_model.gate.set()
        assert all(turn.rest().last.type in ("done", "error") for turn in turns)


def test_a_stranger_can_neither_delete_nor_abort_a_running_turn(small, slow_model):
    with Server(small, env=model_environment(slow_model.url)) as server:
        turn = Open(server)
        path = f"/v1/chat/conversations/{turn.id}"
        problem(requests.delete(server.url + path, timeout=10), 404, "not_found")
        problem(server.post(path + "/cancel"), 404, "not_found")
        time.sleep(0.3)
        slow_model.gate.set()
        ended = turn.rest()
        assert ended.of("aborted") == [] and ended.last.type in ("done", "error")
        own = {"Waypost-Conversation": turn.secret}
        assert requests.delete(server.url + path, headers=own, timeout=10).status_code == 204


def parallel(count, action):
    """What so many threads get that start together."""
    got, gate = [], threading.Barrier(count)

    def run():
        gate.wait(10)
        got.append(action())

    threads = [threading.Thread(target=run) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    assert len(got) == count
    return got


def test_a_message_that_is_sent_many_times_at_once_is_one_whole_turn(small):
    with Server(small) as server:
        chat = Chat(server)
        chat.say("calendar")
        for _ in range(60):
            body = {"clientMessageId": uuid.uuid4().hex, "text": "hello"}
            answers = parallel(4, lambda: chat.send(body))
            assert {answer.status_code for answer in answers} == {200}
            assert len({answer.content for answer in answers}) == 1
            assert harness.Turn(answers[0].content).last.type == "done"


def test_a_first_message_that_a_user_sends_twice_starts_one_conversation(small):
    with Server(small) as server:
        user = Account.register(server)
        body = {"clientMessageId": "m1", "text": "calendar"}
        answers = parallel(4, lambda: Chat(server, user).send(body))
        assert len({answer.content for answer in answers}) == 1
        assert harness.Turn(answers[0].content).last.type == "done"
        other = Chat(server, user).say(clientMessageId="m1", text="music")
        assert other.conversation != harness.Turn(answers[0].content).conversation, "other words are another need"
        assert len(user.get("/v1/chat/conversations").json()["conversations"]) == 2


def test_cancelled_turns_say_nothing_against_the_model(small, slow_model):
    with Server(small, env=model_environment(slow_model.url)) as server:
        for _ in range(8):
            turn = Open(server)
            assert turn.mode == "agent"
            while b"text.delta" not in turn.raw:
                turn.raw += next(turn.stream)
            headers = {"Waypost-Conversation": turn.secret}
            assert server.post(f"/v1/chat/conversations/{turn.id}/cancel", headers=headers).status_code == 204
            assert turn.rest().last.type == "aborted"
        assert Open(server).mode == "agent"


def test_answers_that_the_guard_drops_say_nothing_against_the_model(small, slow_model):
    with Server(small, env=model_environment(slow_model.url)) as server:
        slow_model.play(*[Reply(text("Visit https://evil.example now.")) for _ in range(8)])
        modes = [Chat(server).say("calendar").one("turn.start")["mode"] for _ in range(8)]
        assert modes == ["agent"] * 8


@pytest.mark.skipif(not harness.LONG, reason="waits 31 seconds; WAYPOST_LONG=1 runs it")
def test_after_a_while_one_turn_tries_the_model_again(small, slow_model):
    with Server(small, env=model_environment(slow_model.url)) as server:
        slow_model.play(*[Reply([b"{}"], status=401, kind="application/json") for _ in range(4)])
        for _ in range(4):
            assert Chat(server).say("calendar").last.type == "done"
        assert Chat(server).say("calendar").one("turn.start")["mode"] == "guide"
        time.sleep(31)
        slow_model.play(Reply(text("It fits well. Look")[:-2], hold=slow_model.gate))
        asked = len(slow_model.requests)
        probe = Open(server)
        assert probe.mode == "agent"
        # A turn says its mode before it asks: only one that asks keeps the others away.
        until(lambda: len(slow_model.requests) > asked)
        assert Open(server).mode == "guide", "one at a time"
        slow_model.gate.set()
        probe.rest()
        time.sleep(0.2)
        assert Chat(server).say("calendar").one("turn.start")["mode"] == "guide", "the probe was cut off: closed again"


def follow_up(server, turn):
    """A conversation that goes on where an open turn began it."""
    chat = Chat(server)
    chat.id, chat.secret = turn.id, turn.secret
    return chat


def test_a_turn_that_cannot_be_stored_at_once_is_stored_later_and_locks_nothing(small, slow_model):
    with Server(small, env=model_environment(slow_model.url)) as server:
        turn = Open(server)
        other = sqlite3.connect(server.data / "record.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        slow_model.gate.set()
        time.sleep(6)  # longer than a write waits for another
        other.execute("ROLLBACK")
        other.close()
        ended = turn.rest()
        chat = follow_up(server, turn)
        last = chat.say("music").last
        # The stand-in has nothing more to say, so that the model's part may fail; the turn is taken and ends.
        assert last.type in ("done", "error"), last.data
        states = chat.get("/export").json()
        assert [one["state"] for one in states["turns"]] == [ended.last.type, last.type]
        assert [one["seq"] for one in states["events"]] == list(range(1, len(states["events"]) + 1))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_turn_that_the_end_of_the_server_cuts_off_has_one_end(small, slow_model, end):
    server = Server(small, env=model_environment(slow_model.url)).start()
    turn = Open(server)
    message = turn.body
    turn.answer.close()
    until(lambda: slow_model.requests)
    getattr(server, end)()
    slow_model.play()
    with Server(small, env=model_environment(slow_model.url)) as server:
        chat = follow_up(server, turn)
        replayed = chat.say(**message, conversationId=turn.id) if end == "stop" else harness.Turn(
            chat.send({**message, "conversationId": turn.id}).content)
        assert [kind for kind in replayed.types if kind in ("done", "error", "aborted")] == ["aborted"]
        assert replayed.last.data == {"reason": "shutdown"}
        export = chat.get("/export").json()
        assert export["turns"][0]["state"] == "aborted" and export["events"][-1]["type"] == "aborted"
        assert chat.say("music").last.type == "done"


def forwarded(server, *hops, path="/v1/providers"):
    return server.get(path, headers={"X-Forwarded-For": ", ".join(hops)}).status_code


def test_callers_behind_a_trusted_proxy_are_counted_one_by_one(small):
    flags = ["--rate-limit", "3", "--trusted-proxies", "127.0.0.1, 10.0.0.0/8"]
    with Server(small, *flags, limits=False) as server:
        assert [forwarded(server, "203.0.113.7") for _ in range(4)] == [200, 200, 200, 429]
        assert forwarded(server, "203.0.113.8") == 200, "another caller has an allowance of its own"
        assert forwarded(server, "198.51.100.1", "203.0.113.7") == 429, "what stands left of it may be invented"
        assert forwarded(server, "203.0.113.7", "10.1.2.3") == 429, "a second proxy of ours is passed over"
        assert forwarded(server, "203.0.113.7:4711") == 429
        assert [forwarded(server, f"2001:db8::{n}") for n in range(4)] == [200, 200, 200, 429], "a /64 is one caller"
        assert forwarded(server, "2001:db8:0:1::1") == 200
        assert forwarded(server, "[2001:db8:0:2::1]:443") == 200
        assert server.get("/v1/providers").status_code == 200, "the proxy itself"


def test_nobody_else_is_believed_about_addresses(small):
    with Server(small, "--rate-limit", "3", limits=False) as server:
        assert [forwarded(server, f"203.0.113.{n}") for n in range(4)] == [200, 200, 200, 429]


def test_a_proxy_that_is_no_address_is_refused(small):
    done = harness.cli("serve", "--data", small, "--port", "0", "--trusted-proxies", "proxy.example", check=False)
    assert done.returncode == 1 and "--trusted-proxies" in done.stderr and "proxy.example" in done.stderr


def test_staying_signed_in_does_not_use_up_the_sign_ins(small):
    with Server(small, "--login-limit", "2", "--rate-limit", "100", limits=False) as server:
        people = [requests.Session() for _ in range(2)]
        for number, http in enumerate(people):
            body = {"email": f"p{number}@example.org", "password": harness.PASSWORD}
            made = http.post(server.url + "/v1/auth/register", json=body, headers=harness.fresh_key(), timeout=10)
            assert made.status_code == 201
        codes = [server.post("/v1/auth/login", {"email": "a@b.example", "password": "wrong wrong"}).status_code for _ in range(3)]
        assert codes == [401, 401, 429]
        for http in people * 3:
            assert http.post(server.url + "/v1/auth/refresh", timeout=10).status_code == 200


def test_a_stale_token_keeps_nobody_from_signing_in_and_out(small):
    with Server(small) as server:
        http = requests.Session()
        http.headers["Authorization"] = "Bearer stale.access.token"
        body = {"email": "p@example.org", "password": harness.PASSWORD}
        for path, code in [("register", 201), ("login", 200), ("refresh", 200), ("logout", 204)]:
            answer = http.post(server.url + "/v1/auth/" + path, json=body, headers=harness.fresh_key(), timeout=10)
            assert answer.status_code == code, path
        for path in ("/healthz", "/readyz", "/.well-known/jwks.json", "/demo/app"):
            assert http.get(server.url + path, timeout=10).status_code == 200, path
        assert http.get(server.url + "/v1/me", timeout=10).status_code == 401


def test_credentials_cannot_be_tried_for_ever(small):
    key = harness.add_key(small)
    with Server(small, "--rate-limit", "100", limits=False) as server:
        person = Account.register(server)
        for token in ("wpk_wrong", "a.b.c"):
            codes = [Account(server, token).get("/v1/me").status_code for _ in range(12)]
            assert codes[-1] == 429 and set(codes) <= {401, 429}, codes
        assert Account(server, key).get("/v1/tokens/balance").status_code == 429, "keys are not even looked up"
        assert person.get("/v1/me").status_code == 200 and server.get("/v1/providers").status_code == 200


def test_what_strangers_send_a_provider_does_not_lock_it_out(small):
    """Anybody can open a provider's page with a token that is none; its server passes it on in good faith."""
    key = harness.add_key(small)
    with Server(small, "--rate-limit", "100", limits=False) as server:
        provider = Account(server, key)
        codes = [provider.post("/v1/sessions/validate", {"token": "a.b.c"}).status_code for _ in range(15)]
        assert codes == [401] * 15
        assert provider.get("/v1/tokens/balance").status_code == 200
        codes = [server.post("/v1/sessions/validate", {"token": "a.b.c"}).status_code for _ in range(15)]
        assert codes[-1] == 429 and set(codes) == {401, 429}, "who proves nothing may not try for ever"


def test_each_session_has_its_own_heartbeats(small):
    with Server(small, "--rate-limit", "8", limits=False) as server:
        tokens = []
        for number in range(2):
            body = {"email": f"p{number}@example.org", "password": harness.PASSWORD}
            account = Account(server, server.post("/v1/auth/register", body, headers=harness.fresh_key()).json()["accessToken"])
            session = account.confirm(account.propose("acuity-scheduling")["id"]).json()
            launch = re.search("marketplace_session=([^&]+)", session["redirectUrl"]).group(1)
            redeemed = server.post("/v1/sessions/validate", {"token": launch}, headers={"Origin": server.url}).json()
            tokens.append((Account(server, redeemed["token"]), f"/v1/sessions/{session['id']}/heartbeat"))
        for bearer, path in tokens:
            codes = [bearer.post(path, {"seq": n, "active": True}).status_code for n in range(1, 10)]
            assert codes == [200] * 8 + [429]


@pytest.mark.skipif(not harness.HAS_MODEL, reason=f"no embedding model in {harness.HOME}/model")
def test_the_end_of_the_server_does_not_wait_for_a_rebuild(tmp_path):
    data = tmp_path / "data"
    harness.cli("import", harness.MODELS, "--data", data, "--no-embed")
    harness.add_user(data, "admin", "admin@example.org")
    server = Server(data, home=harness.HOME).start()
    admin = Account.login(server, "admin@example.org")

    def rebuild():
        try:
            admin.post("/v1/admin/index/rebuild")
        except requests.RequestException:
            pass

    thread = threading.Thread(target=rebuild)
    thread.start()
    time.sleep(2)
    start = time.monotonic()
    assert server.stop(60) == 0
    assert time.monotonic() - start < 25
    thread.join(10)
    with Server(data, home=harness.HOME) as server:
        assert server.get("/readyz").json()["services"] == len(harness.read_rows(harness.MODELS))


def chips(turn):
    return turn.one("constraints")["constraints"]


def test_a_conversation_holds_a_bounded_list_and_says_what_goes(small):
    fruits = ["apple", "banana", "cherry", "damson", "elder", "fig", "grape", "hazel", "iris"]
    with Server(small) as server:
        chat = Chat(server)
        for number, fruit in enumerate(fruits):
            turn = chat.say(f"{fruit} orchard")
            said = re.search("no longer look for: (.*?)\\.", turn.text)
            assert (said and said.group(1)) == (f"{fruits[number - 6]} orchard" if number >= 6 else None)
        assert [chip["value"] for chip in chips(turn)] == [f"{fruit} orchard" for fruit in fruits[-6:]]
        before = chips(turn)
        for number in range(20):
            turn = chat.say(edit={"ops": [{"op": "set", "filter": f"contextWindow >= {number + 1}"}]})
            assert len(chips(turn)) == min(12, 7 + number)
        assert "19" in chips(turn)[-2]["value"] and "20" in chips(turn)[-1]["value"]
        for _ in range(20):
            turn = chat.say("undo")
        assert chips(turn) == before, "undo still goes twenty steps back"


def test_a_conversation_ends_at_its_limit(small):
    with Server(small) as server:
        chat = Chat(server)
        for _ in range(200):
            chat.say("hello")
        problem(chat.send({"text": "hello"}), 409, "conversation_full")
        assert chat.get().status_code == 200 and Chat(server).say("hello").last.type == "done"


def test_strangers_of_one_address_store_so_much_a_day(small):
    with Server(small, "--anonymous-mb", "1") as server:
        codes, chat = [], Chat(server)
        while len(codes) < 400 and codes[-1:] != [429]:
            answer = chat.send({"text": "calendar"})
            codes.append(answer.status_code)
        assert codes[-1] == 429 and len(codes) > 10
        assert int(answer.headers["Retry-After"]) <= 86_400 and answer.json()["code"] == "rate_limited"
        assert Chat(server, Account.register(server)).say("calendar").last.type == "done"


def memory(server):
    """Resident bytes of the server's process."""
    for line in open(f"/proc/{server.process.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024


def head(path, length, *more):
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *more,
                        f"Content-Length: {length}", "", ""]).encode()


def test_large_bodies_of_strangers_take_no_memory(small):
    with Server(small) as server:
        before, wires = memory(server), []
        for path in ("/v1/auth/login", "/v1/admin/import", "/v1/nothing/here"):
            for _ in range(10):
                wire = server.socket()
                wires.append(wire)
                wire.sendall(head(path, 15_500_000))
                try:
                    for _ in range(15):
                        wire.sendall(b"x" * 1_000_000)
                except OSError:
                    pass
        assert memory(server) - before < 40_000_000
        for wire in wires:
            wire.close()
        assert server.get("/healthz").status_code == 200


@pytest.mark.parametrize("path, token, code, name", [
    ("/v1/auth/login", None, 413, "body_too_large"), ("/v1/admin/import", None, 401, "unauthenticated"),
    ("/v1/admin/import", "a.b.c", 401, "token_invalid"), ("/v1/admin/import", "wpk_wrong", 403, "forbidden"),
    ("/v1/admin/import", "person", 403, "forbidden")])
def test_a_large_body_is_answered_from_its_head(small, path, token, code, name):
    with Server(small) as server:
        if token == "person":
            token = Account.register(server).token
        with server.socket() as wire:
            wire.sendall(head(path, 5_000_000, *([f"Authorization: Bearer {token}"] if token else [])))
            answer = wire.recv(65536)
        assert answer.startswith(b"HTTP/1.1 %d " % code) and f'"code":"{name}"'.encode() in answer
        assert b"application/problem+json" in answer and b'"detail":"' in answer
        assert (b"\r\nWWW-Authenticate: Bearer resource_metadata=" in answer) == (code == 401)


def test_all_bodies_together_have_a_bound(small):
    harness.add_user(small, "admin", "admin@example.org")
    with Server(small) as server:
        lines, wires = [f"Authorization: Bearer {Account.login(server, 'admin@example.org').token}"], []
        before = memory(server)
        for _ in range(14):
            wire = server.socket()
            wires.append(wire)
            wire.sendall(head("/v1/admin/import", 15_000_000, *lines))
            try:
                for _ in range(14):
                    wire.sendall(b"\n" * 1_000_000)
            except OSError:
                pass
        with server.socket() as wire:
            wire.sendall(head("/v1/admin/import", 15_000_000, *lines))
            answer = wire.recv(65536)
        assert answer.startswith(b"HTTP/1.1 503 ") and b'"code":"too_many_bodies"' in answer and b"Retry-After: 1" in answer
        for header in (b"X-Request-Id: ", b"Content-Security-Policy: ", b"Cross-Origin-Resource-Policy: same-origin"):
            assert b"\r\n" + header in answer
        assert memory(server) - before < 250_000_000
        assert server.search(q="calendar")["hits"], "short bodies still have room"
        for wire in wires:
            wire.close()


def test_a_providers_person_has_sessions_of_its_own(small):
    harness.add_user(small, "provider", "p@example.org", "maker")
    with Server(small) as server:
        person = Account.login(server, "p@example.org")
        session = person.confirm(person.propose("acuity-scheduling")["id"]).json()
        path = "/v1/sessions/" + session["id"]
        assert person.get(path).json()["id"] == session["id"]
        launch = re.search("marketplace_session=([^&]+)", session["redirectUrl"]).group(1)
        assert server.post("/v1/sessions/validate", {"token": launch}, headers={"Origin": server.url}).status_code == 200
        assert person.post(path + "/pause", {}, key="p").json()["state"] == "paused"
        assert person.post(path + "/resume", {}, key="r").json()["state"] == "active"
        problem(person.post(path + "/complete", {"outcome": "failed"}, key="f"), 422, "validation_failed")
        assert person.post(path + "/complete", {}, key="c").json()["state"] == "completed"
        problem(person.post(path + "/heartbeat", {"seq": 1, "active": True}), 403, "forbidden")
        for name, code in (("user", 200), ("provider", 200), ("admin", 422)):
            assert person.get("/v1/tokens/balance?account=" + name).status_code == code
        problem(Account.register(server).get(path), 404, "not_found")
        problem(Account.register(server).get("/v1/tokens/balance?account=provider"), 403, "forbidden")


@pytest.mark.parametrize("mode", [[], ["--json"]], ids=["words", "json"])
def test_a_failure_of_ours_is_logged_in_words_and_in_json(small, mode):
    log = small.parent / "out.log"
    with open(log, "wb") as file:
        process = subprocess.Popen([harness.BINARY, "serve", "--data", str(small), "--port", "0", *mode], stdout=subprocess.PIPE,
                                   stderr=file, env=harness.environment())
    harness.STARTED.append(process)
    url = re.search(rb"http://[0-9.:]+", process.stdout.readline()).group(0).decode()
    other = sqlite3.connect(small / "record.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    body = {"email": "p@example.org", "password": harness.PASSWORD}
    answer = requests.post(url + "/v1/auth/register", json=body, headers=harness.fresh_key(), timeout=30)
    other.execute("ROLLBACK")
    other.close()
    assert answer.status_code >= 500
    process.terminate()
    assert process.wait(30) == 0
    assert answer.json()["requestId"] in log.read_text()


def test_nobody_else_on_the_machine_reads_the_record(tmp_path):
    file = harness.write_rows(tmp_path / "few.jsonl", harness.read_rows(harness.SERVICES, 3))
    before = os.umask(0o022)
    try:
        harness.cli("import", file, "--data", tmp_path / "data", "--no-embed")
        with Server(tmp_path / "data") as server:
            Account.register(server)
            found = [path for path in (tmp_path / "data").rglob("*")] + [tmp_path / "data"]
            assert tmp_path / "data" / "record.db" in found
            assert [str(path) for path in found if path.stat().st_mode & 0o077] == []
    finally:
        os.umask(before)


def test_a_small_rate_limit_limits_chat_too(small):
    with Server(small, "--rate-limit", "3", limits=False) as server:
        codes = [Chat(server).send({"text": "hello"}).status_code for _ in range(3)]
        assert codes == [200, 429, 429]


def test_a_switch_can_be_turned_off(small):
    for flags, env, code in [(["--demo=false"], {}, 404), (["--demo=false"], {"WAYPOST_DEMO": "1"}, 404),
                             (["--demo=true"], {}, 200), ([], {"WAYPOST_DEMO": "1"}, 200), ([], {"WAYPOST_DEMO": "no"}, 404)]:
        with Server(small, *flags, demo=False, env=env) as server:
            assert server.get("/demo/app").status_code == code, (flags, env)
    done = harness.cli("serve", "--demo=perhaps", "--data", small, check=False)
    assert done.returncode == 2 and "perhaps" in done.stderr


def test_a_browser_of_an_allowed_origin_reads_the_headers(small):
    with Server(small, "--cors-origins", "https://one.example") as server:
        answer = server.get("/healthz", headers={"Origin": "https://one.example"})
        shown = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"Retry-After", "RateLimit", "Idempotent-Replayed", "X-Request-Id"} <= set(shown)


def test_an_api_key_can_be_listed_and_revoked(small):
    secret = harness.add_key(small)
    line = next(line for line in harness.cli("keys", "list", "--data", small).stdout.splitlines() if harness.SANDBOX in line)
    harness.cli("keys", "revoke", line.split()[0], "--data", small)
    assert "revoked" in harness.cli("keys", "list", "--data", small).stdout and secret not in line
    with Server(small) as server:
        problem(Account(server, secret).get("/v1/tokens/balance"), 401, "token_invalid")
        done = harness.cli("keys", "list", "--data", small, check=False)
        assert done.returncode == 1 and "stop it first" in done.stderr
    assert harness.cli("keys", "revoke", "nonsense", "--data", small, check=False).returncode == 1
