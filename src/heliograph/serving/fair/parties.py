"""Who shares the model: parties, each of any number of connections."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from types import MappingProxyType
from weakref import WeakValueDictionary

from heliograph.serving.fair.load import Load, Thresholds

USUAL_WEIGHT = 1.0
_KEY_BYTES = 16


class Party:
    """All connections of one access token, key or address.

    Args:
        key: by which it is known; empty for one that nobody else belongs to.
        weight: its share of the model in relation to others'.
        load: how long its answers wait.
    """

    def __init__(self, key: bytes = b"", weight: float = USUAL_WEIGHT, load: Load | None = None) -> None:
        self.key, self.weight, self.load = key or secrets.token_bytes(_KEY_BYTES), weight, load or Load()
        self.usual_s: float | None = None  # what a job of it has taken lately


class Parties:
    """Parties that have a connection, by key; one whose last connection is gone is forgotten.

    Args:
        weights: by key; 1 for all others.
        thresholds: of their load.
    """

    def __init__(
        self, weights: Mapping[bytes, float] = MappingProxyType({}), thresholds: Thresholds | None = None
    ) -> None:
        self._weights, self._thresholds = weights, thresholds or Thresholds()
        self._known: WeakValueDictionary[bytes, Party] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many are known now."""
        return len(self._known)

    def of(self, key: bytes) -> Party:
        """The party with this key; a new one where nobody holds it."""
        party = self._known.get(key)
        if party is None:
            party = self._known[key] = Party(key, self._weights.get(key, USUAL_WEIGHT), Load(self._thresholds))
        return party
