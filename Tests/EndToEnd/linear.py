"""Linearizability of small histories: the search of Wing and Gong with Lowe's memory of states seen.

An operation runs from `start` to `end` and has an `outcome`; without an answer (a kill, a time-out) its end is never and
its outcome None: it may have happened at any moment after its start, or not at all.
"""

import dataclasses
import math
import threading
import time


@dataclasses.dataclass
class Operation:
    client: int
    name: str
    argument: object
    start: float
    end: float = math.inf
    outcome: object = None

    @property
    def is_known(self):
        return self.end < math.inf


class History:
    """Operations of many threads on one object, as they were seen from outside."""

    def __init__(self):
        self.operations = []
        self.lock = threading.Lock()

    def invoke(self, client, name, argument=None):
        operation = Operation(client, name, argument, time.monotonic())
        with self.lock:
            self.operations.append(operation)
        return operation

    @staticmethod
    def answer(operation, outcome):
        operation.outcome = outcome
        operation.end = time.monotonic()

    def explanation(self, step, initial):
        """An order in which a single thread could have seen all this, or None.

        `step(state, operation)` gives the state after it, or None where its outcome does not fit the state; for an
        operation without an outcome it gives the state that it would leave.
        """
        operations = sorted(self.operations, key=lambda o: o.start)
        known = sum(1 << n for n, o in enumerate(operations) if o.is_known)
        seen, stack = set(), [(0, initial, ())]
        while stack:
            done, state, order = stack.pop()
            if done & known == known:
                return [operations[n] for n in order]
            if (done, state) in seen:
                continue
            seen.add((done, state))
            # Nothing may come before what had ended when it began.
            limit = min(o.end for n, o in enumerate(operations) if not done >> n & 1)
            for n, operation in enumerate(operations):
                if done >> n & 1 or operation.start > limit:
                    continue
                after = step(state, operation)
                if after is not None:
                    stack.append((done | 1 << n, after, (*order, n)))
        return None

    def __str__(self):
        first = min((o.start for o in self.operations), default=0)
        return "\n".join(
            f"{o.client}: {o.start - first:.4f}..{o.end - first:.4f} {o.name}({o.argument}) = {o.outcome}"
            for o in sorted(self.operations, key=lambda o: o.start))
