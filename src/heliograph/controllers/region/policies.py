"""When to look again at a region, and where: what policies see, decide and share; each has a file ``region_NAME``.

Policies are pure functions of one first answer: rows of arXiv 2512.16349 (never, always, at random, min-entropy above
a threshold) and what this project adds, a calibrated chance that the answer is right against the price of a look,
which depends on the link and on what is left.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from heliograph.boxes import PixelBox
from heliograph.controllers.region import MAX_LOOKS
from heliograph.controllers.region.find import Found
from heliograph.errors import UsageError

WORTH_S = 8.0
"""Seconds of waiting that a right answer in place of a wrong one is worth."""

RECOVERED = 0.8
"""Share of wrong answers that a look may be hoped to put right."""

_DRAW_BYTES = 6


@dataclass(frozen=True)
class Price:
    """What a look costs on this link, and what is left to spend.

    Attributes:
        rate_bit_s: of the uplink; 0 where unknown.
        rtt_s: round trip.
        region_bytes: payload that a region usually has.
        budget_bytes: payload bytes that this question may still cost; None for no limit.
        looks, most_looks: that the session has had, and may have.
    """

    rate_bit_s: float = 0.0
    rtt_s: float = 0.0
    region_bytes: int = 0
    budget_bytes: int | None = None
    looks: int = 0
    most_looks: int = MAX_LOOKS


@dataclass(frozen=True)
class FirstLook:
    """What a policy may read.

    Attributes:
        min_entropy_bits: of the first answer; infinite where it says nothing.
        right: calibrated chance that it is right; None where nothing is calibrated.
        found: where attention points.
        photo_size: width and height in pixels.
        key: of question and photo; what is drawn at random is drawn from it, so that runs repeat.
        price: of a look.
    """

    min_entropy_bits: float
    right: float | None
    found: Found
    photo_size: tuple[int, int]
    key: bytes
    price: Price = Price()


def least_chance(price: Price) -> float:
    """The chance of being right above which a first answer stays: 0 where a look is out of the question.

    A look is worth it while (1 - chance) x ``RECOVERED`` exceeds its price in right answers: the seconds it takes over
    ``WORTH_S``, the share of the byte budget it uses up (half counted: bytes that are left over buy nothing), and all
    of that dearer by the share of the session's looks that is gone. A free look has the limit 1: any doubt is enough.

    Raises:
        UsageError: a negative number, or no time that could be computed.
    """
    numbers = (price.rate_bit_s, price.rtt_s, price.region_bytes, price.looks, price.most_looks)
    if not all(0 <= number < float("inf") for number in numbers):
        raise UsageError().noted("a price must consist of finite numbers from 0 up.")
    budget = price.budget_bytes
    if price.looks >= price.most_looks or (budget is not None and price.region_bytes > budget):
        return 0.0
    seconds = price.rtt_s + (8 * price.region_bytes / price.rate_bit_s if price.rate_bit_s else 0.0)
    cost = seconds / WORTH_S + (price.region_bytes / (2 * budget) if budget else 0.0)
    left = 1 - price.looks / price.most_looks
    return max(0.0, 1 - cost / (RECOVERED * left))


class RegionPolicy(ABC):
    """Decides whether a first answer is looked at again, and at which box."""

    name: ClassVar[str]

    @abstractmethod
    def wants(self, first: FirstLook) -> bool:
        """Whether to ask for a region."""

    def box(self, first: FirstLook) -> PixelBox:
        """The box to ask for: where attention points."""
        return first.found.box

    def decide(self, first: FirstLook) -> PixelBox | None:
        """The box to ask for, None where the first answer stays; never more looks than the session may have."""
        capped = first.price.looks >= first.price.most_looks
        return None if capped or not self.wants(first) else self.box(first)


def drawn(key: bytes, purpose: bytes) -> float:
    """0 to below 1, the same for the same key and purpose."""
    digest = hashlib.blake2b(key, digest_size=_DRAW_BYTES, person=purpose).digest()
    return int.from_bytes(digest, "big") / (1 << 8 * _DRAW_BYTES)
