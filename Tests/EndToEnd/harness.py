"""What the end-to-end tests share: the command, a server as a process, an HTTP client, server-sent events."""

import atexit
import json
import os
import pathlib
import queue
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("WAYPOST_BINARY", str(ROOT / ".build/release/waypost"))
HOME = os.environ.get("WAYPOST_HOME", str(ROOT / ".waypost"))
EMPTY = tempfile.TemporaryDirectory(prefix="waypost-no-model-")  # removed at the end of the run
NO_MODEL = EMPTY.name
HAS_MODEL = os.path.exists(os.path.join(HOME, "model", "model.safetensors"))
LONG = os.environ.get("WAYPOST_LONG") == "1"
PASSWORD = "three cedars at dawn"
SANDBOX = "waypost-sandbox"
SERVICES = ROOT / "Fixtures/services.jsonl"
MODELS = ROOT / "Fixtures/models.jsonl"
MODEL_ROWS = 600


def environment(home=NO_MODEL, **more):
    """The caller's environment without its own WAYPOST settings, so that a test means what it says."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("WAYPOST_")}
    env["WAYPOST_HOME"] = str(home)
    env["SWIFT_BACKTRACE"] = "enable=no"
    env.update(more)
    return env


def cli(*arguments, stdin="", home=NO_MODEL, check=True, timeout=120, cwd=None, env=None):
    """Runs a command to its end."""
    done = subprocess.run(
        [BINARY, *map(str, arguments)], input=stdin, capture_output=True, text=True,
        env=environment(home, **(env or {})), timeout=timeout, cwd=cwd)
    if check and done.returncode != 0:
        raise AssertionError(f"waypost {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def add_user(data, role, email, provider=None):
    more = ["--provider", provider] if provider else []
    cli("user", "add", "--role", role, "--email", email, "--data", data, *more, stdin=PASSWORD + "\n")


def add_key(data, provider=SANDBOX):
    return cli("keys", "new", "--provider", provider, "--data", data).stdout.strip().splitlines()[-1]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def read_rows(path, count=None):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    return rows[:count]


def free_port():
    """A port of 127.0.0.1 that stays free: below those that connections are given, which come and go all the time."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            pass  # taken


def until(check, seconds=20, pause=0.05):
    """What the check gives, as soon as it gives something; a failure where it does not in that time."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, f"it did not come to that in {seconds} s"
        time.sleep(pause)
    return found


def vectors_ready(server, seconds=300):
    """Waits until every service has its vector; at once without a model."""
    if HAS_MODEL and server.home == HOME:
        until(lambda: server.get("/readyz").json()["vectors"], seconds, 0.2)


STARTED = []


@atexit.register
def end_what_failed_tests_left():
    """By pid, and only what this run started."""
    for process in STARTED:
        if process.poll() is None:
            process.kill()
            process.wait(10)


class Server:
    """`waypost serve` on a free port of 127.0.0.1, ended by its own pid only."""

    def __init__(self, data, *flags, home=NO_MODEL, demo=True, limits=True, env=None):
        self.data = pathlib.Path(data)
        self.home = home
        self.flags = list(flags)
        if demo:
            self.flags += ["--demo"]
        if limits:
            self.flags += ["--rate-limit", "0", "--login-limit", "0"]
            if "--llm-tokens-per-day" not in flags:
                self.flags += ["--llm-tokens-per-day", "0"]
        self.extra = env or {}
        self.process = None
        self.log_path = self.data.parent / (self.data.name + ".log")

    def start(self, seconds=30):
        log = open(self.log_path, "ab")
        command = [BINARY, "serve", "--json", "--data", str(self.data), "--port", "0", *self.flags]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env=environment(self.home, **self.extra))
        STARTED.append(self.process)
        log.close()
        lines = queue.Queue()
        self.stdout = []

        def read(pipe):
            for line in pipe:
                self.stdout.append(line)
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, args=(self.process.stdout,), daemon=True).start()
        line = lines.get(timeout=seconds)
        assert line, "the server ended before it was ready:\n" + self.log()
        self.url = json.loads(line)["address"]
        assert self.url.startswith("http://127.0.0.1:")
        self.port = int(self.url.rsplit(":", 1)[1])
        self.started = time.monotonic()
        self.wait_for_writes()
        return self

    def wait_for_writes(self, seconds=20):
        """Until the start has verified its ledger, which a busy machine may be late with."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if self.get("/readyz").json().get("reason") != "ledger_verifying":
                    return
            except requests.RequestException:
                return
            time.sleep(0.02)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self, seconds=30):
        """SIGTERM, and the exit code."""
        # The server says that it is ready a moment before it listens for signals: test_http holds that against it.
        time.sleep(max(0.0, self.started + 0.3 - time.monotonic()))
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        code = self.stop()
        if kind is None:
            assert code == 0, f"SIGTERM ended with {code}:\n{self.log()[-2000:]}"

    def get(self, path, **more):
        return requests.get(self.url + path, timeout=30, **more)

    def post(self, path, body=None, **more):
        return requests.post(self.url + path, json=body, timeout=60, **more)

    def search(self, **body):
        answer = self.post("/v1/providers/search", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def socket(self, timeout=15):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)


def fresh_key():
    """A header for a request that is asked for once."""
    return {"Idempotency-Key": uuid.uuid4().hex}


class Account:
    """A signed-in person, or a provider's key, with its own connection."""

    def __init__(self, server, token):
        self.server = server
        self.token = token
        self.http = requests.Session()
        self.http.headers["Authorization"] = "Bearer " + token

    @classmethod
    def register(cls, server, email=None):
        email = email or f"u{uuid.uuid4().hex[:12]}@example.org"
        answer = server.post("/v1/auth/register", {"email": email, "password": PASSWORD}, headers=fresh_key())
        assert answer.status_code == 201, answer.text
        return cls(server, answer.json()["accessToken"])

    @classmethod
    def login(cls, server, email):
        answer = server.post("/v1/auth/login", {"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return cls(server, answer.json()["accessToken"])

    def call(self, method, path, body=None, key=None, **headers):
        if key:
            headers["Idempotency-Key"] = key
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, self.server.url + path, json=body, headers=names, timeout=60)

    def get(self, path, **headers):
        return self.call("GET", path, **headers)

    def post(self, path, body=None, key=None, **headers):
        return self.call("POST", path, body, key, **headers)

    def put(self, path, body, **headers):
        return self.call("PUT", path, body, **headers)

    def delete(self, path, **headers):
        return self.call("DELETE", path, **headers)

    def propose(self, service):
        answer = self.post("/v1/proposals", {"serviceId": service}, key=uuid.uuid4().hex)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def confirm(self, proposal, key=None):
        return self.post("/v1/sessions", {"proposalId": proposal}, key=key or uuid.uuid4().hex)


class Event:
    """One server-sent event with its bytes as they came."""

    def __init__(self, raw):
        self.raw = raw
        fields = dict(line.split(b": ", 1) for line in raw.strip().split(b"\n"))
        self.id = fields[b"id"].decode()
        self.conversation, self.seq = self.id.split(".")[0], int(self.id.split(".")[1])
        self.type = fields[b"event"].decode()
        self.data = json.loads(fields[b"data"])

    def __repr__(self):
        return f"{self.seq}:{self.type}"


def events(raw):
    """The events of a whole stream; comments are left out."""
    blocks = [block for block in raw.split(b"\n\n") if block and not block.startswith(b":")]
    return [Event(block + b"\n\n") for block in blocks]


class Turn:
    """One turn: its raw bytes and its events."""

    def __init__(self, raw):
        self.raw = raw
        self.events = events(raw)

    def of(self, kind):
        return [event.data for event in self.events if event.type == kind]

    def one(self, kind):
        found = self.of(kind)
        assert len(found) == 1, f"{len(found)} {kind} in {self.events}"
        return found[0]

    @property
    def types(self):
        return [event.type for event in self.events]

    @property
    def last(self):
        return self.events[-1]

    @property
    def conversation(self):
        return self.events[0].conversation

    @property
    def text(self):
        return "\n".join(data["text"] for data in self.of("text.delta"))


class Chat:
    """A conversation, anonymous or of an account."""

    def __init__(self, server, account=None):
        self.server = server
        self.account = account
        self.id = None
        self.secret = None

    def headers(self):
        headers = {}
        if self.account:
            headers["Authorization"] = "Bearer " + self.account.token
        if self.secret:
            headers["Waypost-Conversation"] = self.secret
        return headers

    def send(self, body):
        body = {"clientMessageId": uuid.uuid4().hex, **body}
        if self.id:
            body.setdefault("conversationId", self.id)
        return self.server.post("/v1/chat/discovery", body, headers=self.headers())

    def say(self, text=None, **body):
        if text is not None:
            body["text"] = text
        answer = self.send(body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        turn = Turn(answer.content)
        self.id = turn.conversation
        self.secret = turn.one("turn.start").get("conversationSecret", self.secret)
        return turn

    def path(self, rest=""):
        return f"/v1/chat/conversations/{self.id}{rest}"

    def get(self, rest="", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.get(self.path(rest), headers={**self.headers(), **names})


def problem(answer, status, code):
    """Checks a refusal's whole shape and gives its document."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code and body["status"] == status, body
    assert isinstance(body["type"], str) and body["title"] and body["detail"]
    return body
