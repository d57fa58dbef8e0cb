"""Names and the numbers that stand for them on the wire, plug-ins among them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from heliograph.errors import UnknownNameError
from heliograph.protocol.wire_ids import WireIds
from heliograph.registry import Registry


@pytest.fixture
def ids() -> WireIds:
    """One pinned name, and two plug-ins of one program."""
    registry = Registry("fruit", {"apple": "json:dumps"}, private=range(96, 128), needed=("name",))
    for name, number in (("pear", 97), ("plum", 96)):
        registry.register(name, SimpleNamespace(name=name, wire_id=number))
    return WireIds("fruit", range(1, 128), {"apple": 1}, registry)


def test_every_number_finds_its_own_name(ids: WireIds) -> None:
    assert [ids.name_of(number) for number in (1, 96, 97)] == ["apple", "plum", "pear"]
    assert [ids.of(name) for name in ("apple", "plum", "pear")] == [1, 96, 97]


@pytest.mark.parametrize("number", [0, 2, 95, 98, 127, 128])
def test_a_number_that_nothing_has_is_unknown(ids: WireIds, number: int) -> None:
    with pytest.raises(UnknownNameError):
        ids.name_of(number)


def test_a_name_that_nothing_has_is_unknown(ids: WireIds) -> None:
    with pytest.raises(UnknownNameError):
        ids.of("cherry")
