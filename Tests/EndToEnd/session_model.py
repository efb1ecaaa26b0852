"""Users, holds, proposals and sessions as the specification has them, in plain Python: what a server is compared with.

Times are milliseconds, amounts microtokens. A refusal is raised as its code. Nothing here knows of the server.
"""

import dataclasses

TOKEN = 1_000_000
MINUTE, DAY = 60_000, 86_400_000
REDEEM, IDLE, ABANDONED, CAP = 300_000, 120_000, 1_800_000, DAY
FEE = 2_000
OPEN = ("pending", "active", "paused")
STATUS = {"insufficient_funds": 402, "proposal_expired": 410, "validation_failed": 422, "id_exists_different": 422,
          "exceeds_capture": 422, "amount_out_of_range": 422, "idempotency_conflict": 422, "token_invalid": 401,
          "token_expired": 401, "not_found": 404}


class Refused(Exception):
    """What the server must refuse, by its code."""

    def __init__(self, code, or_else=()):
        super().__init__(code)
        self.code, self.or_else = code, or_else
        self.status = STATUS.get(code, 409)


def price(rate, milliseconds):
    """F(t) of L6."""
    return rate * milliseconds // 3_600_000


def share(amount):
    return amount * FEE // 10_000


@dataclasses.dataclass
class Service:
    """A listing with one offer."""
    id: str
    rate: int = 0  # an hour
    unit_price: int = 0
    trial: bool = False
    minutes: int = 0
    cap: int = 0

    @property
    def plan(self):
        return "trial" if self.trial else "usage" if self.unit_price else "hourly"


@dataclasses.dataclass
class User:
    available: int = 0
    day_limit: int | None = None
    frozen: bool = False
    holds: list = dataclasses.field(default_factory=list)

    @property
    def held(self):
        return sum(hold.left for hold in self.holds)

    def used_since(self, start):
        return sum(h.amount if h.is_open else h.captured for h in self.holds if h.at >= start)


@dataclasses.dataclass
class Hold:
    amount: int
    at: int
    captured: int = 0
    is_open: bool = True

    @property
    def left(self):
        return self.amount - self.captured if self.is_open else 0


@dataclasses.dataclass
class Capture:
    session: "Session"
    amount: int
    refunded: int = 0
    fee_returned: int = 0


@dataclasses.dataclass
class Proposal:
    user: User
    service: Service
    minutes: int
    max_tokens: int | None
    at: int
    state: str = "proposed"

    def require_open(self, now):
        if self.state != "proposed":
            raise Refused("proposal_" + self.state)
        if now >= self.at + 300_000:
            raise Refused("proposal_expired")


@dataclasses.dataclass
class Session:
    user: User
    service: Service
    duration: int
    created: int
    state: str = "pending"
    reason: str | None = None
    started: int | None = None
    redeemed: int | None = None
    last: int | None = None
    paused_at: int | None = None
    paused: int = 0
    active: int = 0
    ended: int | None = None
    seq: int = 0
    charged: int = 0
    fee: int = 0
    refunded: int = 0
    units: int = 0
    flagged: bool = False
    holds: list = dataclasses.field(default_factory=list)
    reports: dict = dataclasses.field(default_factory=dict)

    @property
    def plan(self):
        return self.service.plan

    @property
    def held(self):
        return sum(hold.amount for hold in self.holds)

    @property
    def used(self):
        return self.charged if self.plan == "usage" else min(price(self.service.rate, self.active), self.held)

    @property
    def is_open(self):
        return self.state in OPEN

    @property
    def limit(self):
        return self.started + self.duration + self.paused

    @property
    def due(self):
        """The next moment at which something happens by itself, and what; ties in the order of the table."""
        if self.state == "pending":
            return self.created + REDEEM + 1, "not_redeemed"
        if self.state == "active":
            return min((self.limit, 0, "time_limit"), (self.started + CAP, 1, "wall_clock_cap"),
                       (self.last + IDLE + 1, 2, "idle"))[::2]
        if self.state == "paused":
            return min((self.started + CAP, 0, "wall_clock_cap"), (self.last + ABANDONED + 1, 1, "abandoned"))[::2]
        return None

    def remaining(self, now):
        return {"pending": self.duration, "paused": max(0, self.duration - self.active)}.get(
            self.state, max(0, min(self.limit, self.started + CAP) - now) if self.state == "active" else 0)

    def view(self, now):
        """What a reader is told of it."""
        end = self.ended
        if end is None and self.started is not None:
            pause = now - self.paused_at if self.paused_at is not None else 0
            end = min(self.limit + pause, self.started + CAP)
        return {
            "state": self.state, "reason": self.reason, "kind": "trial" if self.service.trial else "paid",
            "plan": self.plan, "durationMinutes": self.duration // MINUTE, "heldMicrotokens": self.held,
            "usedMicrotokens": self.used, "chargedMicrotokens": self.charged, "units": self.units,
            "releasedMicrotokens": 0 if self.is_open else self.held - self.charged,
            "refundedMicrotokens": self.refunded, "feeMicrotokens": self.fee, "flagged": self.flagged,
            "activeSeconds": self.active // 1_000, "remainingSeconds": self.remaining(now) // 1_000,
            "startedAt": self.started, "endsAt": end}


class World:
    """Everything that one run of the machine made."""

    def __init__(self, now, trials_per_day, trial_repeats):
        self.now = now
        self.trials_per_day, self.trial_repeats = trials_per_day, trial_repeats
        self.users, self.proposals, self.sessions, self.captures = [], [], [], []
        self.earned = self.fees = self.grants = self.promo = 0  # changes of the platform's and the provider's accounts

    # Time

    def advance(self, now):
        """Everything that was due by then, in the order of time."""
        self.now = now
        while True:
            due = [(*s.due, n) for n, s in enumerate(self.sessions) if s.is_open and s.due[0] <= now]
            if not due:
                return
            moment, what, number = min(due)
            self.fire(self.sessions[number], what, moment)

    def fire(self, session, what, moment):
        if what == "idle":
            session.state, session.reason, session.paused_at = "paused", "idle", session.last
        elif what == "time_limit":
            self.end(session, "completed", what, moment)
        else:
            self.end(session, "expired", what, moment if what == "wall_clock_cap" else moment - 1)

    # Money

    def grant(self, user, amount):
        user.available += amount
        self.promo -= amount

    def reserve(self, session, amount):
        if not amount:
            return
        user = session.user
        if not session.service.trial:
            if user.frozen:
                raise Refused("account_frozen")
            today = self.now - self.now % DAY
            if user.day_limit is not None and user.used_since(today) + amount > user.day_limit:
                raise Refused("spending_limit_reached")
            if amount > user.available:
                raise Refused("insufficient_funds")
            user.available -= amount
        else:
            self.grants -= amount
        hold = Hold(amount, self.now)
        session.holds.append(hold)
        if not session.service.trial:
            user.holds.append(hold)

    def capture(self, session, amount, keeps_open):
        """Oldest hold first; each capture carries its own share of the platform."""
        for hold in session.holds:
            part = min(amount, hold.left)
            if part > 0:
                hold.captured += part
                amount -= part
                self.captures.append(Capture(session, part))
                fee = 0 if session.service.trial else share(part)
                session.charged, session.fee = session.charged + part, session.fee + fee
                self.earned, self.fees = self.earned + part - fee, self.fees + fee
            if not keeps_open or hold.captured == hold.amount:
                self.release(session, hold)
        assert amount == 0, "within its holds"

    def release(self, session, hold):
        rest, hold.is_open = hold.left, False
        if session.service.trial:
            self.grants += rest
        else:
            session.user.available += rest

    def refund(self, capture, amount):
        if amount < 1:
            raise Refused("amount_out_of_range")
        if amount > capture.amount - capture.refunded:
            raise Refused("exceeds_capture")
        capture.refunded += amount
        capture.session.refunded += amount
        trial = capture.session.service.trial
        fee = 0 if trial else share(capture.amount) * capture.refunded // capture.amount - capture.fee_returned
        capture.fee_returned += fee
        self.fees, self.earned = self.fees - fee, self.earned + fee - amount
        if trial:
            self.grants += amount
        else:
            capture.session.user.available += amount

    # Proposals

    def require_trial(self, user, service):
        own = [s for s in self.sessions if s.user is user and s.service.trial]
        if any(s.service is service and s.is_open for s in own):
            raise Refused("trial_already_open")
        finished = [s for s in own if s.service is service and s.started is not None and not s.is_open
                    and s.created > self.now - 30 * DAY]
        if len([s for s in own if s.created > self.now - DAY]) >= self.trials_per_day or len(finished) >= self.trial_repeats:
            raise Refused("trial_limit_reached")

    def propose(self, user, service, minutes, max_tokens):
        if service.trial:
            self.require_trial(user, service)
            minutes = service.minutes
        elif not 5 <= minutes <= 180 or (service.unit_price and max_tokens is None):
            raise Refused("validation_failed")
        proposal = Proposal(user, service, minutes, max_tokens, self.now)
        self.proposals.append(proposal)
        return proposal

    def decline(self, proposal):
        if proposal.state != "declined":
            proposal.require_open(self.now)
            proposal.state = "declined"

    def confirm(self, proposal):
        proposal.require_open(self.now)
        service = proposal.service
        if service.trial:
            self.require_trial(proposal.user, service)
        session = Session(proposal.user, service, proposal.minutes * MINUTE, self.now)
        amount = price(service.rate, session.duration)
        if service.trial:
            amount = min(amount, service.cap)
        elif service.unit_price:
            amount = proposal.max_tokens * TOKEN
        self.reserve(session, amount)
        proposal.state = "consumed"
        self.sessions.append(session)
        return session

    # Sessions

    def meter(self, session, moment):
        passed = moment - session.last
        if session.state == "active" and 0 < passed <= IDLE:
            session.active = min(session.duration, session.active + passed)

    def end(self, session, state, reason, moment):
        was = session.state
        self.meter(session, moment) if was == "active" else None
        if session.paused_at is not None:
            session.paused += moment - session.paused_at
            session.paused_at = None
        session.state, session.reason, session.ended = state, reason, moment
        rest = 0 if was == "pending" or session.plan == "usage" else session.used - session.charged
        self.capture(session, rest, keeps_open=False)

    def redeem(self, session):
        """Whether it started now; the same once more where not."""
        if session.redeemed is not None:
            if self.now - session.redeemed <= 30_000 and session.is_open:
                return False
            session.flagged = True
            raise Refused("token_reused")
        if session.state != "pending":
            raise Refused("invalid_transition")
        session.state, session.started, session.last, session.redeemed = "active", self.now, self.now, self.now
        return True

    def beat(self, session, seq, active):
        if session.state not in ("active", "paused"):
            raise Refused("invalid_transition")
        if seq <= session.seq:
            return
        session.seq = seq
        if not active:
            return
        if session.state == "paused":
            self.wake(session)
        else:
            self.meter(session, self.now)
            session.last = self.now

    def wake(self, session):
        session.paused += self.now - session.paused_at
        session.state, session.reason, session.paused_at, session.last = "active", "resumed", None, self.now

    def pause(self, session):
        if (session.state, session.reason) == ("paused", "manual"):
            return
        if session.state != "active":
            raise Refused("invalid_transition")
        self.meter(session, self.now)
        session.state, session.reason, session.paused_at, session.last = "paused", "manual", self.now, self.now

    def resume(self, session):
        if session.state == "paused":
            self.wake(session)
        elif (session.state, session.reason) != ("active", "resumed"):
            raise Refused("invalid_transition")

    def complete(self, session, by):
        if session.state in ("active", "paused"):
            self.end(session, "completed", by, self.now)
        elif session.state != "completed" or session.reason == "time_limit":
            raise Refused("invalid_transition")

    def fail(self, session):
        if session.is_open:
            self.end(session, "failed", "provider_refused" if session.state == "pending" else "provider_error", self.now)
        elif session.state != "failed" or session.reason == "tokens_depleted":
            raise Refused("invalid_transition")

    def revoke(self, session):
        if session.is_open:
            self.end(session, "expired", "revoked", self.now)
        elif (session.state, session.reason) != ("expired", "revoked"):
            raise Refused("invalid_transition")

    def extend(self, session, minutes, max_tokens):
        longer = session.duration + minutes * MINUTE
        if longer > 180 * MINUTE or (session.plan == "usage") != (max_tokens is not None):
            raise Refused("validation_failed")
        if session.state not in ("active", "paused") or session.service.trial:
            raise Refused("invalid_transition")
        rate = session.service.rate
        amount = max_tokens * TOKEN if session.plan == "usage" else price(rate, longer) - price(rate, session.duration)
        self.reserve(session, amount)
        session.duration = longer

    def report(self, session, number, units):
        """What the report is worth."""
        if session.plan != "usage":
            raise Refused("validation_failed")
        if number in session.reports:
            if session.reports[number][0] != units:
                raise Refused("id_exists_different")
            return session.reports[number][1]
        if session.state != "active":
            raise Refused("invalid_transition")
        left = session.held - session.charged
        amount = min(units * session.service.unit_price, left)
        self.capture(session, amount, keeps_open=True)
        session.units += units
        session.reports[number] = (units, amount)
        if amount == left:
            self.end(session, "failed", "tokens_depleted", self.now)
        return amount
