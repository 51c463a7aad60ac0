"""One run at a time in an object store, which has no locks: numbered leases that grow old.

`run.lease/00000001` is made only if absent, so one of two runs gets it. Its holder writes it anew
every quarter of its term. A run that finds a lease watches it by its own clock: if it changes,
its holder lives and the run is refused; if it stays the same for its whole term, or was given
back, the run makes the next number. Nobody ever writes another's number, and numbers only rise:
whoever sees a higher one than its own has lost the lease and writes nothing more.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from synthstudio.core.errors import DatasetError, SynthStudioError
from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.store import Store

LEASES = "run.lease"
TERM_S = 60.0
_MOST_TERM_S = 3600.0
_BEATS_A_TERM = 4
_LOOKS_A_TERM = 20

log = logging.getLogger("synthstudio")


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A lease as it lies in the store. `number` 0: there is none."""

    number: int = 0
    data: bytes = b""
    owner: str = "an unknown run"
    term_s: float = TERM_S
    free: bool = True


@dataclass
class Lease:
    """A held lease; `check` before anything that another holder must not meet."""

    store: Store
    number: int
    owner: str
    term_s: float
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    beat: int = 0

    def check(self) -> None:
        """Raise DatasetError when another run has taken the lease over, or somebody deleted it."""
        numbers = _numbers(self.store)
        if numbers and numbers[-1] == self.number:
            return
        seen = _seen(self.store, numbers)
        raise DatasetError(
            "another run has taken this data set over, so this one writes nothing more",
            where=str(self.store.url),
            got=seen.owner if seen.number > self.number else "no lease",
            then=f"It was not heard of for {self.term_s:.0f} s: its machine was stopped or cut "
            "off. What it had put in place stays; --resume goes on when the other has ended.",
        )

    def data(self, *, released: bool = False) -> bytes:
        """The bytes that say whose it is, others at each beat."""
        value = {
            "owner": self.owner,
            "token": self.token,
            "term_s": self.term_s,
            "beat": self.beat,
            "released": released,
        }
        return canonical_json(value)

    def renew(self) -> None:
        """Say that its holder lives."""
        self.beat += 1
        self.store.write(_name(self.number), self.data())

    def release(self) -> None:
        """Give it back; those before it go. It stays itself, so that numbers only rise."""
        self.store.write(_name(self.number), self.data(released=True))
        for number in _numbers(self.store):
            if number < self.number:
                self.store.delete(_name(number))


@contextmanager
def hold_lease(store: Store) -> Iterator[Lease]:
    """Hold the lease of a data set at a URL; DatasetError naming the run that has it.

    Waits for the term of a lease whose holder may have died.
    """
    lease = _taken(store)
    ended = threading.Event()
    beats = threading.Thread(target=_beat, args=(lease, ended), daemon=True, name="lease")
    beats.start()
    try:
        yield lease
    finally:
        ended.set()
        beats.join()
        with suppress(SynthStudioError):  # the store is gone: the lease will grow old
            lease.release()


def _beat(lease: Lease, ended: threading.Event) -> None:
    """Renew a lease until its holder ends."""
    while not ended.wait(lease.term_s / _BEATS_A_TERM):
        with suppress(SynthStudioError):  # `check` will say what became of it
            lease.renew()


def _taken(store: Store) -> Lease:
    """Make the next lease, when the last one is free or has grown old."""
    owner = f"process {os.getpid()} on {platform.node() or 'an unnamed machine'}"
    while True:
        last = _look(store)
        if not last.free:
            last = _outlived(store, last)
        lease = Lease(store=store, number=last.number + 1, owner=owner, term_s=TERM_S)
        name = _name(lease.number)
        if not store.create(name, lease.data()):
            continue  # another run was faster
        try:
            replaced = store.create(name, b"other bytes")
        except BaseException:
            with suppress(SynthStudioError):  # it will grow old
                store.delete(name)
            raise
        if replaced:
            store.delete(name)
            raise DatasetError(
                "this store cannot make an object only if it is absent, so it cannot keep a "
                "second run out",
                where=str(store.url),
                then="Write to a folder and copy it, or to a store that has If-None-Match.",
            )
        return lease


def _outlived(store: Store, first: _Seen) -> _Seen:
    """Watch a held lease; return it when it has grown old or is free, refuse when it lives."""
    log.info(
        "%s: %s has not ended; waiting up to %.0f s to see whether it is alive",
        store.url,
        first.owner,
        first.term_s,
    )
    until = time.monotonic() + first.term_s
    while time.monotonic() < until:
        time.sleep(first.term_s / _LOOKS_A_TERM)
        now = _look(store)
        if now.free:
            return now
        if (now.number, now.data) != (first.number, first.data):
            raise DatasetError(
                "another run is writing to this place",
                where=str(store.url),
                got=now.owner,
                then="Wait for it or stop it, or choose another --out.",
            )
    return first


def _look(store: Store) -> _Seen:
    return _seen(store, _numbers(store))


def _seen(store: Store, numbers: list[int]) -> _Seen:
    """The last of some leases; one that cannot be read is held by nobody knows whom."""
    data = store.read(_name(numbers[-1])) if numbers else None
    if data is None:
        return _Seen(number=numbers[-1] if numbers else 0)
    try:
        value = json.loads(data)
        term = min(float(value["term_s"]), _MOST_TERM_S)
        return _Seen(
            number=numbers[-1],
            data=data,
            owner=str(value["owner"])[:200],
            term_s=term if term > 0 else TERM_S,
            free=value["released"] is True,
        )
    except (ValueError, KeyError, TypeError):
        return _Seen(number=numbers[-1], data=data, term_s=TERM_S, free=False)


def _numbers(store: Store) -> list[int]:
    """The numbers of all leases, rising."""
    names = store.names(LEASES)
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def _name(number: int) -> str:
    return f"{LEASES}/{number:08d}"
