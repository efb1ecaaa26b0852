#!/usr/bin/env python3
"""Shows what tidily.py removes, what it keeps, and what it says.

usage: python3 -B Scripts/test_tidily.py
"""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).with_name("tidily.py")


class Tidily(unittest.TestCase):
    """One clone a case, with nothing in it but the script."""

    def setUp(self):
        clone = tempfile.TemporaryDirectory()
        self.addCleanup(clone.cleanup)
        self.script = Path(clone.name, "Scripts/tidily.py")
        self.script.parent.mkdir()
        shutil.copy(SCRIPT, self.script)
        self.folder = Path(clone.name, ".build/tmp")

    def start(self, command):
        process = subprocess.Popen(
            [self.script, "sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def run_shell(self, command):
        """The exit status and what was said to the error output."""
        process = self.start(command)
        said = process.communicate(timeout=60)[1]
        return process.returncode, said

    def names(self):
        return sorted(path.name for path in self.folder.iterdir())

    def test_what_a_compiler_leaves_goes(self):
        status, said = self.run_shell('mkdir "$TMPDIR/TemporaryDirectory.a" && touch "$TMPDIR/TemporaryDirectory.a/b" "$TMPDIR/c"')
        self.assertEqual((status, said, self.names()), (0, "", []))

    def test_what_we_leave_goes_and_is_a_fault(self):
        status, said = self.run_shell('mkdir "$TMPDIR/waypost-1"')
        self.assertEqual((status, self.names()), (1, []))
        self.assertIn("waypost-1", said)

    def test_a_failing_command_keeps_its_exit_code_and_leaves_nothing(self):
        status, said = self.run_shell('mkdir "$TMPDIR/waypost-1"; exit 7')
        self.assertEqual((status, said, self.names()), (7, "", []))

    def test_a_command_that_dies_of_a_signal_leaves_nothing(self):
        status, _ = self.run_shell('mkdir "$TMPDIR/waypost-1"; kill -9 $$')
        self.assertEqual((status, self.names()), (128 + signal.SIGKILL, []))

    def test_a_command_that_is_not_there_is_told(self):
        done = subprocess.run([self.script, "no-such-command"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 127)
        self.assertIn("no-such-command: No such file", done.stderr)

    def test_locks_and_failed_tests_stay(self):
        status, _ = self.run_shell('touch "$TMPDIR/_clone_.build.lock"; mkdir "$TMPDIR/pytest-of-me"')
        self.assertEqual((status, self.names()), (0, ["_clone_.build.lock", "pytest-of-me"]))

    def test_a_killed_run_is_cleaned_up_by_the_next(self):
        first = self.start('mkdir "$TMPDIR/waypost-1"; echo made; exec sleep 60')
        self.assertEqual(first.stdout.readline(), "made\n")
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(60)
        self.assertEqual(self.names(), ["waypost-1"])
        self.assertEqual(self.run_shell("true"), (0, ""))
        self.assertEqual(self.names(), [])

    def test_nothing_goes_while_another_runs(self):
        first = self.start('mkdir "$TMPDIR/waypost-1"; echo made; read line')
        self.assertEqual(first.stdout.readline(), "made\n")
        self.assertEqual(self.run_shell('mkdir "$TMPDIR/waypost-2"'), (0, ""))
        self.assertEqual(self.names(), ["waypost-1", "waypost-2"])
        said = first.communicate("go on\n", timeout=60)[1]
        self.assertEqual((first.returncode, self.names()), (1, []))
        self.assertIn("waypost-1 waypost-2", said)

    def test_what_ends_the_script_ends_the_command(self):
        first = self.start('trap "exit 5" TERM; echo made; while :; do sleep 0.05; done')
        self.assertEqual(first.stdout.readline(), "made\n")
        first.terminate()
        self.assertEqual(first.wait(60), 5)


if __name__ == "__main__":
    unittest.main()
