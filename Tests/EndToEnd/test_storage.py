"""The record's files: a full or failing disk, journals, backups, restores, one writer."""

import hashlib
import re
import shutil
import sqlite3
import subprocess
import threading
import uuid

import apsw
import pytest

import audit
import harness
from faults import Faults
from harness import Account, Server, cli, problem

ONE, OTHER = "acuity-scheduling", "adobe-speech-enhancer"
PUBLIC = ["--public-url", "http://127.0.0.1:65000"]


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path)


def metric(server, name):
    found = re.search(rf"^{name} (\d+)$", server.get("/metrics").text, re.M)
    assert found, name
    return int(found[1])


def sound(server):
    report = Account.login(server, "admin@example.org").get("/v1/ledger/verify").json()
    assert report["sound"] is True, report


def sessions(account):
    return [s["id"] for s in account.get("/v1/sessions?limit=100").json()["sessions"]]


@pytest.mark.parametrize("mode, journal", [(b"f", "wal"), (b"h", "wal"), (b"f", "truncate"), (b"h", "truncate")])
def test_a_full_disk_refuses_writes_whole_and_takes_them_again_once_there_is_room(small, faults, mode, journal):
    harness.add_user(small, "admin", "admin@example.org")
    with Server(small, "--journal", journal, env=faults.environment) as server:
        user = Account.register(server)
        proposal = user.propose(ONE)["id"]
        faults.set(mode)
        key = uuid.uuid4().hex
        for _ in range(3):
            answer = user.confirm(proposal, key=key)
            problem(answer, 503, "storage_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        assert sessions(user) == [], "reads go on, and nothing is there"
        assert server.search(q="appointments")["total"] > 0
        assert server.get("/readyz").json()["writable"] is True
        faults.set(b"n")
        answer = user.confirm(proposal, key=key)
        assert answer.status_code == 201, answer.text
        assert sessions(user) == [answer.json()["id"]]
        sound(server)
    assert audit.dead(small, small.parent / "copy") > 0


@pytest.mark.parametrize("mode", [b"w", b"s"])
def test_a_failed_write_or_sync_ends_writing_until_the_restart_and_reads_go_on(small, faults, mode):
    harness.add_user(small, "admin", "admin@example.org")
    server = Server(small, *PUBLIC, env=faults.environment).start()
    email = f"{uuid.uuid4().hex}@example.org"
    user = Account.register(server, email)
    proposal = user.propose(ONE)["id"]
    begun = user.confirm(user.propose(OTHER)["id"]).json()["id"]
    assert metric(server, "waypost_record_writable") == 1
    faults.set(mode)
    key = uuid.uuid4().hex
    problem(user.confirm(proposal, key=key), 503, "storage_unavailable")
    faults.set(b"n")
    for _ in range(3):
        problem(user.confirm(proposal, key=key), 503, "storage_unavailable")
    assert user.get("/v1/me").status_code == 200
    assert sessions(user) == [begun]
    assert user.get("/v1/sessions/" + begun).json()["state"] == "pending"
    assert server.get("/v1/services/" + ONE).status_code == 200
    ready = server.get("/readyz").json()
    assert (ready["writable"], ready["reason"]) == (False, "write_failed")
    assert metric(server, "waypost_record_writable") == 0
    server.kill()
    with Server(small, *PUBLIC, env=faults.environment) as server:
        assert server.get("/readyz").json()["writable"] is True
        user = Account.login(server, email)
        answer = user.confirm(proposal, key=key)
        assert answer.status_code == 201, answer.text
        sound(server)
    audit.dead(small, small.parent / "copy")


def journal_of(data):
    return {1: "truncate", 2: "wal"}[(data / "record.db").read_bytes()[18]]


# The protocol of the files: how often a commit waits for the disk (D1, D4)

class Watch(apsw.VFS):
    """Passes everything on to the system's own files, and counts their syncs."""

    def __init__(self, name):
        self.name, self.syncs = name, 0
        super().__init__(name, base="")

    def xOpen(self, name, flags):
        return WatchedFile(self, name, flags)


class WatchedFile(apsw.VFSFile):
    def __init__(self, watch, name, flags):
        self.watch = watch
        super().__init__("", name, flags)

    def xSync(self, flags):
        self.watch.syncs += 1
        super().xSync(flags)


@pytest.mark.parametrize("journal, synchronous, least, most", [
    ("WAL", "FULL", 1.0, 1.02), ("WAL", "NORMAL", 0.0, 0.1), ("TRUNCATE", "EXTRA", 4.0, 4.0)])
def test_sqlite_syncs_as_often_as_the_choice_of_journals_counts_on(tmp_path, journal, synchronous, least, most):
    watch = Watch(f"watch-{journal}-{synchronous}")
    database = apsw.Connection(str(tmp_path / "watched.db"), vfs=watch.name)
    pages = 0 if synchronous == "FULL" else 100  # the record's own connection checkpoints by itself (D3)
    for sql in (f"PRAGMA journal_mode = {journal}", f"PRAGMA synchronous = {synchronous}",
                f"PRAGMA wal_autocheckpoint = {pages}", "CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT) STRICT"):
        database.execute(sql).fetchall()
    before, count = watch.syncs, 500
    for number in range(count):
        database.execute("BEGIN IMMEDIATE; INSERT INTO t(body) VALUES (?); COMMIT", ("x" * 200,)).fetchall()
    rate = (watch.syncs - before) / count
    database.close()
    print(f"\n{journal}/{synchronous}: {rate:.3f} syncs a commit with SQLite {apsw.sqlite_lib_version()}")
    assert least <= rate <= most, rate


@pytest.mark.parametrize("journal, syncs", [("wal", 1), ("truncate", 4)])
def test_the_server_syncs_once_a_commit_in_wal_and_four_times_in_truncate(small, faults, journal, syncs):
    with Server(small, "--journal", journal, env=faults.environment) as server:
        user = Account.register(server)
        for _ in range(20):  # a checkpoint syncs too: until there is a stretch without one
            commits, done = metric(server, "waypost_record_commits"), faults.syncs
            for number in range(25):
                assert user.put("/v1/tokens/limits", {"dayMicrotokens": number}).status_code == 200
            commits, done = metric(server, "waypost_record_commits") - commits, faults.syncs - done
            assert commits >= 25 and done >= commits * syncs, f"{done} syncs of {commits} commits"
            if done == commits * syncs:
                return
    raise AssertionError(f"{done} syncs of {commits} commits in {journal}")


def test_a_record_keeps_its_journal_until_another_is_named(small):
    harness.add_user(small, "admin", "admin@example.org")
    assert journal_of(small) == "wal"
    for flags, wanted in [([], "wal"), (["--journal", "truncate"], "truncate"), ([], "truncate"), (["--journal=wal"], "wal")]:
        with Server(small, *flags) as server:
            user = Account.register(server)
            assert user.confirm(user.propose(ONE)["id"]).status_code == 201
            assert journal_of(small) == wanted
            sound(server)
        cli("user", "add", "--role", "user", "--email", f"{uuid.uuid4().hex}@example.org", "--data", small,
            stdin=harness.PASSWORD + "\n")
        assert journal_of(small) == wanted, "other commands take it as it is"
    refused = cli("serve", "--journal", "delete", "--data", small, check=False)
    assert refused.returncode == 2 and "wal or truncate" in refused.stderr


def test_the_start_names_sqlite_and_warns_where_it_is_affected(small):
    for journal in ("wal", "truncate"):
        with Server(small, "--journal", journal) as server:
            found = re.findall(r"SQLite (\d+)\.(\d+)\.(\d+), journal (\w+)", server.log())
            assert found and found[-1][3] == journal
            version = tuple(map(int, found[-1][:3]))
            line = server.log()[server.log().rindex("SQLite "):].splitlines()[0]
            assert ("WAL-reset" in line) == (version < (3, 51, 3) and journal == "wal")


def test_a_second_process_is_refused_and_the_first_goes_on(small):
    with Server(small) as server:
        for command in (["serve", "--port", "0"], ["restore", str(small / "record.db")],
                        ["user", "add", "--role", "user", "--email", "a@b.example"]):
            done = cli(*command, "--data", small, check=False, stdin=harness.PASSWORD + "\n")
            assert done.returncode == 1 and "in use" in done.stderr, (command, done.stderr)
        Account.register(server)


def test_metrics_show_the_log_and_what_a_commit_carries(small):
    with Server(small) as server:
        before = metric(server, "waypost_record_writes"), metric(server, "waypost_record_commits")
        threads = [threading.Thread(target=Account.register, args=(server,)) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join(60) for thread in threads]
        after = metric(server, "waypost_record_writes"), metric(server, "waypost_record_commits")
        assert after[0] - before[0] >= 8 and 1 <= after[1] - before[1] <= after[0] - before[0]
        assert metric(server, "waypost_wal_bytes") > 0
        assert metric(server, "waypost_read_longest_microseconds") > 0
        assert metric(server, "waypost_read_running_microseconds") < 5_000_000


def test_a_backup_of_a_running_server_is_whole_and_can_be_restored(small, tmp_path):
    harness.add_user(small, "admin", "admin@example.org")
    email, target = f"{uuid.uuid4().hex}@example.org", tmp_path / "backup.db"
    stop = threading.Event()
    with Server(small, *PUBLIC) as server:
        user = Account.register(server, email)
        kept = user.confirm(user.propose(ONE)["id"]).json()["id"]

        def write():
            while not stop.is_set():
                Account.register(server)

        thread = threading.Thread(target=write)
        thread.start()
        admin = Account.login(server, "admin@example.org")
        done = cli("backup", target, "--data", small, env={"WAYPOST_TOKEN": admin.token})
        stop.set()
        thread.join(60)
        assert "whole" in done.stdout and "sound" in done.stdout
        assert not list((small / "backups").glob("*")), "it was moved"
        assert cli("backup", target, "--data", small, check=False, env={"WAYPOST_TOKEN": admin.token}).returncode == 1
        assert cli("backup", tmp_path / "other.db", "--data", small, check=False).returncode == 1, "admins only"
        problem(user.post("/v1/admin/backups", {}), 403, "forbidden")
        lost = user.confirm(user.propose(OTHER)["id"]).json()["id"]
        assert set(sessions(user)) == {kept, lost}
    with sqlite3.connect(target) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert audit.snapshot(connection) > 0
    done = cli("restore", target, "--data", small)
    assert "sound" in done.stdout and "record.db.before-" in done.stderr
    with Server(small, *PUBLIC) as server:
        user = Account.login(server, email)
        assert sessions(user) == [kept], "the record is what it was when the backup was made"
        assert user.delete("/v1/sessions/" + kept).status_code in (200, 204)
        sound(server)
    before = next(small.glob("record.db.before-*"))
    cli("restore", before, "--data", small)
    with Server(small, *PUBLIC) as server:
        assert set(sessions(Account.login(server, email))) == {kept, lost}, "the old one was kept and can come back"
        sound(server)


def test_a_backup_without_a_server_and_into_an_empty_folder(small, tmp_path):
    harness.add_user(small, "admin", "admin@example.org")
    cli("backup", tmp_path / "cold.db", "--data", small)
    fresh = tmp_path / "fresh"
    cli("restore", tmp_path / "cold.db", "--data", fresh)
    with Server(fresh) as server:
        assert server.get("/readyz").json()["services"] == 60
        sound(server)


def test_a_damaged_or_tampered_backup_is_refused_and_changes_nothing(small, tmp_path):
    harness.add_user(small, "admin", "admin@example.org")
    with Server(small) as server:
        user = Account.register(server)
        assert user.confirm(user.propose(ONE)["id"]).status_code == 201
    good = tmp_path / "good.db"
    cli("backup", good, "--data", small)
    before = hashlib.sha256((small / "record.db").read_bytes()).hexdigest()

    damaged = tmp_path / "damaged.db"
    bytes_ = bytearray(good.read_bytes())
    for place in range(4096, len(bytes_), 4096):
        bytes_[place:place + 64] = b"\xff" * 64
    damaged.write_bytes(bytes_)

    tampered = tmp_path / "tampered.db"
    shutil.copy(good, tampered)
    with sqlite3.connect(tampered) as connection:
        connection.execute("DROP TRIGGER transfer_no_update")
        connection.execute("UPDATE transfer SET amount = amount + 1 WHERE seq = 2")

    text = tmp_path / "text.db"
    text.write_text("this is no database " * 1000)
    for file in (damaged, tampered, text, tmp_path / "absent.db"):
        done = cli("restore", file, "--data", small, check=False)
        assert done.returncode == 1, (file, done.stdout)
        assert not list(small.glob("record.db.restoring*"))
        assert hashlib.sha256((small / "record.db").read_bytes()).hexdigest() == before
    with Server(small) as server:
        sound(server)
