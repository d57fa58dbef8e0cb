"""Wrong access tokens: answered more and more slowly, counted by address, told to the log once a minute."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_FREE = 3
"""Wrong tokens of one address that are answered at once: somebody who mistypes is not made to wait."""

_FIRST_DELAY_S = 0.25
_FORGET_AFTER_S = 600.0
LOG_EVERY_S = 60.0
_MAX_ADDRESSES = 4096
_MAX_LINES = 20
"""Lines a minute; what else there is is said together, or a crowd of addresses would fill the disk."""

OTHERS = "other addresses"


@dataclass(slots=True)
class _Record:
    last_s: float
    next_line_s: float
    recent: int = 0  # since the address was last quiet for long
    unreported: int = 0  # since the last line in the log


class Refusals:
    """What is known of addresses that showed wrong tokens; a bounded table, the longest quiet is forgotten first.

    Args:
        longest_delay_s: bound of the delay.
        clock: seconds, ascending.
        say: takes an address and how many wrong tokens it has shown since the last report.
    """

    def __init__(self, longest_delay_s: float, clock: Callable[[], float], say: Callable[[str, int], None]) -> None:
        self._longest_delay_s, self._clock, self._say = longest_delay_s, clock, say
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._minute_s, self._lines, self._unreported_of_others = clock(), 0, 0

    def note(self, address: str) -> float:
        """One more wrong token.

        Returns:
            Seconds to wait before it is answered: none for the first three, then doubled each time.
        """
        now = self._clock()
        record = self._records.pop(address, None) or _Record(now, now)
        self._records[address] = record  # the newest is last
        if now - record.last_s > _FORGET_AFTER_S:
            record.recent = 0
        record.recent, record.unreported, record.last_s = record.recent + 1, record.unreported + 1, now
        if now >= record.next_line_s:
            self._tell(address, record)
        while len(self._records) > _MAX_ADDRESSES:
            self._forget(next(iter(self._records)))
        doublings = min(record.recent - _FREE - 1, 32)
        return min(_FIRST_DELAY_S * 2.0**doublings, self._longest_delay_s) if doublings >= 0 else 0.0

    def tell(self) -> None:
        """Say what has come together and forget who has been quiet; to be called every few seconds."""
        now = self._clock()
        self._begin_minute(now)
        for address, record in list(self._records.items()):
            if record.unreported and now >= record.next_line_s:
                self._tell(address, record)
            if now - record.last_s > _FORGET_AFTER_S:
                self._forget(address)

    def _tell(self, address: str, record: _Record) -> None:
        now = self._clock()
        self._begin_minute(now)
        if self._lines < _MAX_LINES:
            self._lines += 1
            self._say(address, record.unreported)
        else:
            self._unreported_of_others += record.unreported
        record.unreported, record.next_line_s = 0, now + LOG_EVERY_S

    def _begin_minute(self, now: float) -> None:
        if now - self._minute_s < LOG_EVERY_S:
            return
        self._minute_s, self._lines = now, 0
        if self._unreported_of_others:
            self._say(OTHERS, self._unreported_of_others)
            self._unreported_of_others = 0

    def _forget(self, address: str) -> None:
        self._unreported_of_others += self._records.pop(address).unreported
