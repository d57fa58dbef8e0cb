"""Start-time fair queueing: whose turn it is, by what each has had of the model.

After P. Goyal, H. M. Vin and H. Cheng, "Start-time Fair Queueing" (SIGCOMM 1996). A party's *tag* is virtual time: what
it has had of the model, in seconds through its weight. Who has the smallest is next, and virtual time is that tag. A
party that comes back begins at virtual time: what it did not use is gone, and what it used while nobody else wanted
the model is not held against it. Between two parties that both have work all the time, shares differ by no more than
one job of each.

What a job takes is known when it is done: at its start it is charged what is expected, and the difference afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from heliograph.serving.fair.parties import Party

MAX_OWING = 1024
"""Parties without work that are remembered, as they have had more than virtual time says; the oldest go first."""


class FairShares:
    """Tags of those who have work, and of those who are ahead of virtual time.

    Args:
        max_owing: bound of the latter.
    """

    def __init__(self, max_owing: int = MAX_OWING) -> None:
        self._max_owing = max_owing
        self._now = 0.0  # virtual time
        self._active: dict[bytes, float] = {}
        self._owing: dict[bytes, float] = {}
        self._begun: Counter[bytes] = Counter()  # jobs that have not ended, which may yet have taken more

    def __len__(self) -> int:
        """Parties that are remembered."""
        return len(self._active) + len(self._owing)

    def join(self, party: Party) -> None:
        """It has work from now on."""
        if party.key not in self._active:
            self._active[party.key] = max(self._owing.pop(party.key, self._now), self._now)

    def leave(self, party: Party) -> None:
        """It has no work that waits any more."""
        tag = self._active.pop(party.key, self._now)
        if self._is_ahead(party.key, tag):
            self._owing[party.key] = tag
        if len(self._owing) > self._max_owing:
            self._owing = {key: owed for key, owed in self._owing.items() if self._is_ahead(key, owed)}
        while len(self._owing) > self._max_owing:
            del self._owing[next(iter(self._owing))]

    def _is_ahead(self, key: bytes, tag: float) -> bool:
        return tag > self._now or self._begun[key] > 0

    def first(self, parties: Iterable[Party]) -> Party:
        """Whose turn it is among some of those who have work; of equal ones the first."""
        return min(parties, key=lambda party: self._active[party.key])

    def begin(self, party: Party, expected_s: float) -> None:
        """It has its turn, with a job that is expected to take so long."""
        tag = self._active[party.key]
        self._now = max(self._now, tag)
        self._active[party.key] = tag + expected_s / party.weight
        self._begun[party.key] += 1

    def settle(self, party: Party, expected_s: float, took_s: float) -> None:
        """The job took so long."""
        self._begun -= Counter([party.key])
        for tags in (self._active, self._owing):
            if party.key in tags:
                tags[party.key] += (took_s - expected_s) / party.weight
        if not self._is_ahead(party.key, self._owing.get(party.key, self._now)):
            self._owing.pop(party.key, None)

    def reset(self) -> None:
        """Nobody has work, and none is being done: what was had counts no more."""
        self._now = 0.0
        self._active, self._owing, self._begun = {}, {}, Counter()
