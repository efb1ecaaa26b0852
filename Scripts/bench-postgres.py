#!/usr/bin/env python3
"""Durable single-row updates a second of PostgreSQL, as the peer of `waypost bench ledger`.

Makes a cluster in a temporary folder, reached by a Unix socket there alone, lets pgbench update random rows with
synchronous_commit=on, and takes everything away again. Prints one JSON line. PostgreSQL comes from Debian
(apt-get install postgresql); it refuses to run as root, so root lends it the user `postgres`.
"""
import argparse
import glob
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROWS = 10_000
SCRIPT = f"\\set id random(1, {ROWS})\nUPDATE account SET pending = pending + 1 WHERE id = :id;\n"
SETUP = ("CREATE TABLE account(id bigint PRIMARY KEY, pending bigint NOT NULL, owner bytea NOT NULL);"
         f"INSERT INTO account SELECT n, 0, '\\x00' FROM generate_series(1, {ROWS}) n; CHECKPOINT")


def programs():
    """The folder of PostgreSQL's programs: the newest version of Debian's, or what is on the path."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(p.split("/")[4]))
    if found:
        return pathlib.Path(found[-1]).parent
    on_path = shutil.which("postgres")
    if on_path:
        return pathlib.Path(on_path).resolve().parent
    sys.exit("PostgreSQL is not installed: apt-get install postgresql")


def as_owner():
    """What goes before a command so that it does not run as root."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        sys.exit("there is no user postgres: apt-get install postgresql")
    return ["runuser", "-u", "postgres", "--"]


def room(wanted, owner):
    """A folder of its own on the wanted disk, or the nearest that the owner can reach."""
    for parent in (wanted, "/var/tmp", "/tmp"):
        made = tempfile.mkdtemp(prefix="waypost-pg-", dir=parent)
        if owner:
            shutil.chown(made, "postgres", "postgres")
        if subprocess.run([*owner, "test", "-w", made]).returncode == 0:
            return made, os.stat(made).st_dev == os.stat(wanted).st_dev
        os.rmdir(made)
    sys.exit("no folder can be used by PostgreSQL")


def run(command, **more):
    """Runs a command to its end; its last words where it fails."""
    more.setdefault("timeout", 120)
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd="/", **more)
    except subprocess.TimeoutExpired:
        sys.exit(f"{command} did not end")
    if done.returncode != 0:
        sys.exit(f"{command}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return done.stdout


def heed_signals():
    """Takes signals again that the caller's threads had blocked: pgbench ends by one, and so does this script."""
    for number in (signal.SIGALRM, signal.SIGCHLD, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def main():
    """One measurement."""
    heed_signals()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--folder", default="/tmp", help="a folder on the disk to measure")
    wanted = parser.parse_args()
    bin, owner = programs(), as_owner()
    folder, same_disk = room(wanted.folder, owner)
    data, script = folder + "/data", folder + "/update.sql"
    server = None
    try:
        run([*owner, bin / "initdb", "-D", data, "-A", "trust", "-U", "waypost", "--no-sync", "-E", "UTF8"])
        pathlib.Path(script).write_text(SCRIPT)
        os.chmod(script, 0o644)
        run([*owner, bin / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", folder + "/log", "-o",
             f"-k {folder} -c listen_addresses='' -c synchronous_commit=on -c fsync=on", "start"])
        server = data
        reach = ["-h", folder, "-U", "waypost"]
        run([*owner, bin / "psql", *reach, "-q", "-c", SETUP, "postgres"])
        load = [*owner, bin / "pgbench", *reach, "-n", "-c", wanted.clients, "-j", min(2, wanted.clients), "-M",
                "prepared", "-f", script, "postgres"]
        run([*load, "-T", 1])
        answer = run([*load, "-T", wanted.seconds], timeout=wanted.seconds + 60)
        rate = float(re.search(r"tps = ([\d.]+)", answer)[1])
        latency = float(re.search(r"latency average = ([\d.]+)", answer)[1])
        print(json.dumps({"peer": "postgresql", "what": "durable updates", "per_second": rate, "mean_ms": latency,
                          "clients": wanted.clients, "same_disk": same_disk}))
    finally:
        if server:
            subprocess.run([*owner, str(bin / "pg_ctl"), "-D", server, "-m", "immediate", "-w", "stop"],
                           capture_output=True, cwd="/")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
