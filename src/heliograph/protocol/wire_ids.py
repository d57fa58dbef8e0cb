"""Pinned numbers of strategies (on the wire and in ``.hgs`` files), controllers, confidences and region policies.

The numbers are a format: a number is never given to another name, and a retired name keeps its number.
Registry order has no influence on them.
"""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.errors import UnknownNameError


class WireIds:
    """Names and numbers of one kind, one to one.

    >>> ids = WireIds("fruit", range(8), {"apple": 0, "pear": 1})
    >>> ids.of("pear"), ids.name_of(0), ids.names()
    (1, 'apple', ('apple', 'pear'))

    Args:
        kind: for the message of an unknown name.
        numbers: that the frame's field can hold.
        pinned: numbers by name.
    """

    def __init__(self, kind: str, numbers: range, pinned: Mapping[str, int]) -> None:
        self.kind, self.numbers = kind, numbers
        self._ids = dict(pinned)
        self._names = {number: name for name, number in pinned.items()}

    def names(self) -> tuple[str, ...]:
        """Every name that has a number."""
        return tuple(self._ids)

    def of(self, name: str) -> int:
        """The number of a name.

        Raises:
            UnknownNameError: no number is pinned for this name.
        """
        if name not in self._ids:
            raise UnknownNameError(self.kind, self.names())
        return self._ids[name]

    def name_of(self, number: int) -> str:
        """The name behind a number.

        Raises:
            UnknownNameError: no name has this number in this version.
        """
        if number not in self._names:
            raise UnknownNameError(self.kind, self.names())
        return self._names[number]


STRATEGY_WIRE_IDS = WireIds(
    "strategy",
    range(1, 128),
    {
        "klt": 1,
        "jpeg": 2,
        "webp": 3,
        "avif": 4,
        "rgb": 5,
        "int8": 6,
        "downsample": 7,
        "random-drop": 8,
        "local": 9,
        "meta": 10,
        "int4": 11,
        "pq": 12,
    },
)
CONTROLLER_WIRE_IDS = WireIds("controller", range(16), {"fixed": 0, "energy": 1, "push": 2, "pull": 3})
CONFIDENCE_WIRE_IDS = WireIds(
    "confidence",
    range(8),
    {"combined": 0, "min-entropy": 1, "entropy": 2, "margin": 3, "error-head": 4, "stability": 5},
)
REGION_WIRE_IDS = WireIds(
    "region policy",
    range(256),
    {"never": 0, "always": 1, "random": 2, "threshold": 3, "calibrated": 4, "random-box": 5},
)
