"""A mail server on loopback (aiosmtpd) that comes and goes, for the tests of e-mail."""

import contextlib
import email
import re
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from harness import free_port


class Post:
    """Takes e-mails from who does not sign in: no password is right. `refusals` are the answers to the next MAIL."""

    def __init__(self):
        self.mails = []
        self.wants_sign_in = False
        self.refusals = []
        self.senders = self.sign_ins = 0
        self.taken = lambda: None

    def refuse_sign_in(self, server, session, envelope, mechanism, data):
        self.sign_ins += 1
        return AuthResult(success=False, handled=False)

    async def handle_MAIL(self, server, session, envelope, address, options):
        self.senders += 1
        if self.wants_sign_in:
            return "530 5.7.0 sign in first"
        if self.refusals:
            return self.refusals.pop(0)
        envelope.mail_from = address
        return "250 known"

    async def handle_RCPT(self, server, session, envelope, recipient, options):
        if recipient.startswith("refused"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(recipient)
        return "250 known"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        self.taken()
        return "250 taken"

    def wait(self, count, seconds=15):
        end = time.monotonic() + seconds
        while len(self.mails) < count and time.monotonic() < end:
            time.sleep(0.02)
        assert len(self.mails) == count, f"{len(self.mails)} e-mails"
        return self.mails[-1]

    def token(self, count):
        return re.search(r"#token=([A-Za-z0-9_-]{43})\s", self.wait(count)[2].get_payload()).group(1)


class Office:
    """An address that e-mails go to; somebody is there from `open` to `close`."""

    def __init__(self):
        self.post, self.port, self.controller = Post(), free_port(), None

    @property
    def flags(self):
        return ["--smtp-url", f"smtp://127.0.0.1:{self.port}", "--smtp-from", "waypost@example.org", "--smtp-tls", "none"]

    def open(self):
        self.controller = Controller(
            self.post, hostname="127.0.0.1", port=self.port, authenticator=self.post.refuse_sign_in,
            auth_require_tls=False)
        self.controller.start()

    def close(self):
        if self.controller:
            self.controller.stop()
            self.controller = None


@contextlib.contextmanager
def mailbox():
    """A server that takes e-mails, and the settings that lead to it."""
    office = Office()
    office.open()
    try:
        yield office.post, office.flags
    finally:
        office.close()
