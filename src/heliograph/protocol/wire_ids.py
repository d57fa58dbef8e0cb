"""Pinned numbers of strategies (on the wire and in ``.hgs`` files), controllers, confidences and region policies.

The numbers are a format: a number is never given to another name, and a retired name keeps its number.
Registry order has no influence on them. Plug-ins take theirs from a range that is never pinned here, and pin them
themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.errors import UnknownNameError
from heliograph.registry import CONTROLLERS, REGION_POLICIES, STRATEGIES, Registry


class WireIds:
    """Names and numbers of one kind, one to one.

    >>> ids = WireIds("fruit", range(8), {"apple": 0, "pear": 1})
    >>> ids.of("pear"), ids.name_of(0), ids.names()
    (1, 'apple', ('apple', 'pear'))

    Args:
        kind: for the message of an unknown name.
        numbers: that the frame's field can hold.
        pinned: numbers by name.
        registry: whose plug-ins have numbers of this kind; None where there can be none.
    """

    def __init__(self, kind: str, numbers: range, pinned: Mapping[str, int], registry: Registry | None = None) -> None:
        self.kind, self.numbers = kind, numbers
        self._registry = registry
        self._ids = dict(pinned)
        self._names = {number: name for name, number in pinned.items()}

    def names(self) -> tuple[str, ...]:
        """Every name that has a number, those of plug-ins last; imports nothing."""
        return (*self._ids, *(self._registry.plug_in_names() if self._registry else ()))

    def of(self, name: str) -> int:
        """The number of a name.

        Raises:
            UnknownNameError: no number is pinned for this name.
            PlugInError: it is that of a plug-in that cannot be used.
        """
        if name in self._ids:
            return self._ids[name]
        if self._registry is None or name not in self._registry.plug_in_names():
            raise UnknownNameError(self.kind, self.names())
        return int(self._registry.load(name).wire_id)

    def name_of(self, number: int) -> str:
        """The name behind a number.

        Raises:
            UnknownNameError: no name has this number in this version, nor a plug-in that is installed here.
        """
        if number in self._names:
            return self._names[number]
        if self._registry is not None and number in self._registry.private:
            for name, wire_id in self._registry.numbers().items():
                if wire_id == number:
                    return name
        raise UnknownNameError(self.kind, self.names())


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
        "jpeg-bare": 13,
        "webp-bare": 14,
        "avif-bare": 15,
        "dynamicvit": 16,
        "visionzip": 17,
        "divprune": 18,
        "tome": 19,
        "dfmr": 20,
        "latent-neck": 21,
        "tokens-1d": 22,
        "question-coded": 23,
        "jpeg-dct": 24,
        "feature-adapt": 25,
        "caption": 26,
        "read": 27,
        "side-info": 28,
        "entropic-student": 29,
        "frankensplit": 30,
        "split-k": 31,
        "roi-jpeg": 32,
        "roi-webp": 33,
        "roi-avif": 34,
        "prefilter": 35,
        "cotam": 36,
        "nnc": 37,
        "klt-nnc": 38,
        "feature-video": 39,
    },
    STRATEGIES,
)
CONTROLLER_WIRE_IDS = WireIds(
    "controller", range(16), {"fixed": 0, "energy": 1, "push": 2, "pull": 3, "level": 4}, CONTROLLERS
)
CONFIDENCE_WIRE_IDS = WireIds(
    "confidence",
    range(8),
    {"combined": 0, "min-entropy": 1, "entropy": 2, "margin": 3, "error-head": 4, "stability": 5},
)
REGION_WIRE_IDS = WireIds(
    "region policy",
    range(256),
    {"never": 0, "always": 1, "random": 2, "threshold": 3, "calibrated": 4, "random-box": 5},
    REGION_POLICIES,
)
