"""A disk that fails when a test says so: faults.c, compiled and preloaded into the server."""

import pathlib
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(__file__).parent / "faults.c"


class Faults:
    """A server's disk, which fails when it is told to."""

    def __init__(self, folder):
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler:
            pytest.skip("no C compiler")
        self.library, self.mode = folder / "faults.so", folder / "faults.mode"
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", self.library, SOURCE, "-ldl"], check=True)
        self.mode.write_bytes(b"n")

    @property
    def environment(self):
        return {"LD_PRELOAD": str(self.library), "WAYPOST_FAULTS": str(self.mode)}

    def set(self, mode):
        with open(self.mode, "r+b") as file:
            file.write(mode)
