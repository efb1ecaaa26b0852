"""A disk that fails when a test says so: faults.c, compiled and preloaded into the server."""

import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent


def compiled(source, folder):
    """A library to be preloaded, made of a C file of this folder."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        pytest.skip("no C compiler")
    library = folder / source.replace(".c", ".so")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, HERE / source, "-ldl"], check=True)
    return library


class Faults:
    """A server's disk, which fails when it is told to."""

    def __init__(self, folder):
        self.library, self.mode = compiled("faults.c", folder), folder / "faults.mode"
        self.mode.write_bytes(b"n" + bytes(15))

    @property
    def environment(self):
        return {"LD_PRELOAD": str(self.library), "WAYPOST_FAULTS": str(self.mode)}

    def set(self, mode):
        with open(self.mode, "r+b") as file:
            file.write(mode)

    @property
    def syncs(self):
        """How often the record's files were synced until now."""
        return int.from_bytes(self.mode.read_bytes()[8:], "little")
