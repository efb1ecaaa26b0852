"""A clock that a test sets: moment.c, compiled and preloaded into the server."""

import mmap
import os
import struct
import time

from faults import compiled


class Moment:
    """The day's clock of a server: it stands at a moment, or goes some time ahead of the real one."""

    def __init__(self, folder):
        self.library, self.path = compiled("moment.c", folder), folder / "moment"
        self.path.write_bytes(bytes(16))
        descriptor = os.open(self.path, os.O_RDWR)
        self.memory = mmap.mmap(descriptor, 16)
        os.close(descriptor)

    @property
    def environment(self):
        return {"LD_PRELOAD": str(self.library), "WAYPOST_MOMENT": str(self.path)}

    @property
    def now(self):
        """Milliseconds, as the server reads them."""
        still, ahead = struct.unpack("<qq", self.memory[:])
        return still or time.time_ns() // 1_000_000 + ahead

    def stand(self, milliseconds):
        """Stops the clock at a moment."""
        self.memory[:8] = struct.pack("<q", milliseconds)

    def jump(self, milliseconds):
        """Sets the clock, which goes on, so far forward; back where it is less than 0."""
        ahead, = struct.unpack("<q", self.memory[8:])
        self.memory[8:] = struct.pack("<q", ahead + milliseconds)
