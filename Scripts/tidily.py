#!/usr/bin/env python3
"""Runs a command and removes the temporary files that it leaves.

usage: Scripts/tidily.py COMMAND [ARGUMENT...]

They lie in the clone's .build/tmp, and go when the command ends; where all is killed, when the next one begins. The
Swift compiler leaves a folder there at each of its starts, and tests that are ended from outside leave theirs.

What a command that succeeds leaves of Waypost's own (waypost-*) is a fault: then the exit code is 1.
Two things stay: SwiftPM's lock files, which let a second build wait, and what pytest keeps of tests that failed.
"""
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".build/tmp"


def passed_on(child, number):
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(number)


def run(command):
    """The exit code of the command; what is to end this process ends the command instead."""
    try:
        child = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(FOLDER)})
    except OSError as error:
        print(f"tidily: {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _: passed_on(child, number))
    if os.isatty(0):
        signal.signal(signal.SIGINT, lambda *_: None)  # a terminal has sent it to the command as well
    status = child.wait()
    return status if status >= 0 else 128 - status


def leftovers():
    return sorted(path for path in FOLDER.iterdir()
                  if not path.match("_*.lock") and not path.match("pytest-of-*"))


def remove(paths):
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_alone(lock):
    """Whether nobody else runs here; who would begin waits until the lock is shared again or closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER.with_name("tmp.lock"), "w") as lock:
        if is_alone(lock):
            remove(leftovers())
        fcntl.flock(lock, fcntl.LOCK_SH)
        status = run(sys.argv[1:])
        if not is_alone(lock):
            return status  # Whoever ends last cleans up for all.
        left = leftovers()
        ours = [path.name for path in left if path.match("waypost-*")]
        remove(left)
    if ours and status == 0:
        print(f"tidily: {Path(sys.argv[1]).name} left behind: {' '.join(ours)}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
