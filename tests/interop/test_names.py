"""The names that the JavaScript client knows are those that have a number here."""

from __future__ import annotations

import re
from pathlib import Path

from heliograph.protocol.wire_ids import STRATEGY_WIRE_IDS


def test_the_map_of_strategies_is_ours() -> None:
    page = (Path(__file__).parent / "protocol.js").read_text(encoding="utf-8")
    found = re.search(r"const STRATEGY = \{(.*?)\};", page, re.DOTALL)
    assert found is not None
    known = {name: int(number) for name, number in re.findall(r"\"?([\w-]+)\"?: (\d+)", found[1])}
    assert known == {name: STRATEGY_WIRE_IDS.of(name) for name in STRATEGY_WIRE_IDS.names()}
