"""Pinned numbers of strategies (on the wire and in ``.hgs`` files), controllers, confidences and region policies.

Standard library only.

The numbers are a format: a number is never given to another name, and a retired name keeps its number.
Registry order has no influence on them.
"""

from __future__ import annotations

from types import MappingProxyType

from heliograph.errors import UnknownNameError

STRATEGY_WIRE_IDS = MappingProxyType(
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
    }
)
CONTROLLER_WIRE_IDS = MappingProxyType({"fixed": 0, "energy": 1, "push": 2, "pull": 3})
CONFIDENCE_WIRE_IDS = MappingProxyType(
    {"combined": 0, "min-entropy": 1, "entropy": 2, "margin": 3, "error-head": 4, "stability": 5}
)
REGION_WIRE_IDS = MappingProxyType(
    {"never": 0, "always": 1, "random": 2, "threshold": 3, "calibrated": 4, "random-box": 5}
)

STRATEGIES_THAT_NEED_THE_BUNDLE = frozenset({"klt", "meta", "int8", "int4", "pq", "downsample", "random-drop"})
"""Strategies that send visual tokens: restoring them is meaningless unless both ends hold the same bundle."""

_STRATEGY_NAMES = {number: name for name, number in STRATEGY_WIRE_IDS.items()}
_CONTROLLER_NAMES = {number: name for name, number in CONTROLLER_WIRE_IDS.items()}
_CONFIDENCE_NAMES = {number: name for name, number in CONFIDENCE_WIRE_IDS.items()}
_REGION_NAMES = {number: name for name, number in REGION_WIRE_IDS.items()}


def strategy_wire_id(name: str) -> int:
    """The number (1 to 127) of a strategy.

    Raises:
        UnknownNameError: no number is pinned for this name.
    """
    if name not in STRATEGY_WIRE_IDS:
        raise UnknownNameError("strategy", tuple(STRATEGY_WIRE_IDS))
    return STRATEGY_WIRE_IDS[name]


def strategy_name(wire_id: int) -> str:
    """The strategy behind a number.

    Raises:
        UnknownNameError: no strategy has this number in this version.
    """
    if wire_id not in _STRATEGY_NAMES:
        raise UnknownNameError("strategy", tuple(STRATEGY_WIRE_IDS))
    return _STRATEGY_NAMES[wire_id]


def controller_wire_id(name: str) -> int:
    """The number (0 to 15) of a controller.

    Raises:
        UnknownNameError: no number is pinned for this name.
    """
    if name not in CONTROLLER_WIRE_IDS:
        raise UnknownNameError("controller", tuple(CONTROLLER_WIRE_IDS))
    return CONTROLLER_WIRE_IDS[name]


def controller_name(wire_id: int) -> str:
    """The controller behind a number.

    Raises:
        UnknownNameError: no controller has this number in this version.
    """
    if wire_id not in _CONTROLLER_NAMES:
        raise UnknownNameError("controller", tuple(CONTROLLER_WIRE_IDS))
    return _CONTROLLER_NAMES[wire_id]


def confidence_wire_id(name: str) -> int:
    """The number (0 to 7) of a confidence.

    Raises:
        UnknownNameError: no number is pinned for this name.
    """
    if name not in CONFIDENCE_WIRE_IDS:
        raise UnknownNameError("confidence", tuple(CONFIDENCE_WIRE_IDS))
    return CONFIDENCE_WIRE_IDS[name]


def confidence_name(wire_id: int) -> str:
    """The confidence behind a number.

    Raises:
        UnknownNameError: no confidence has this number in this version.
    """
    if wire_id not in _CONFIDENCE_NAMES:
        raise UnknownNameError("confidence", tuple(CONFIDENCE_WIRE_IDS))
    return _CONFIDENCE_NAMES[wire_id]


def region_wire_id(name: str) -> int:
    """The number (0 to 255) of a region policy.

    Raises:
        UnknownNameError: no number is pinned for this name.
    """
    if name not in REGION_WIRE_IDS:
        raise UnknownNameError("region policy", tuple(REGION_WIRE_IDS))
    return REGION_WIRE_IDS[name]


def region_name(wire_id: int) -> str:
    """The region policy behind a number.

    Raises:
        UnknownNameError: no region policy has this number in this version.
    """
    if wire_id not in _REGION_NAMES:
        raise UnknownNameError("region policy", tuple(REGION_WIRE_IDS))
    return _REGION_NAMES[wire_id]
