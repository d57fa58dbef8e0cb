"""docs/energy.md: its worked numbers are computed again, and it names every radio and board."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heliograph.energy.airtime import LoRa
from heliograph.energy.constants import load_catalogue
from heliograph.energy.radios import radio_named

PAGE = (Path(__file__).parents[3] / "docs" / "energy.md").read_text(encoding="utf-8")
CATALOGUE = load_catalogue()
MODULATIONS = {"SF7": LoRa(7, 125e3), "LongFast": LoRa(11, 250e3, preamble_symbols=16), "SF12": LoRa(12, 125e3)}
# As the project's collection of facts has them, written out here once more.
WORKED = {"SF7": (0.215, 0.359, 0.374), "LongFast": (1.21, 1.95, 2.03), "SF12": (4.9, 8.2, 8.5)}


@pytest.mark.parametrize("name", MODULATIONS)
def test_airtimes_of_the_page_are_computed_and_are_the_known_ones(name):
    (line,) = re.findall(rf"^\| {name}[,:][^|]*\|([^\n]*)\|$", PAGE, re.MULTILINE)
    cells = [cell.strip() for cell in line.split("|")]
    for size, cell, known in zip((129, 229, 237), cells, WORKED[name], strict=True):
        places = len(cell.partition(".")[2])
        assert f"{MODULATIONS[name].seconds(size):.{places}f}" == cell
        assert float(cell) == known


def test_every_radio_and_board_is_on_the_page():
    named = set(re.findall(r"`([a-z0-9-]+)`", PAGE))
    named |= {f"meshtastic{name}" for name in named if name.startswith("-")}
    named |= {f"lorawan-sf{factor}" for factor in range(7, 13)}
    assert sorted({*CATALOGUE.radios, *CATALOGUE.boards} - named) == []


def test_the_tail_of_lte_is_what_the_page_says():
    lte = radio_named(CATALOGUE, "lte")
    ends = [one * lte.tail_s.centre for one in (lte.tail.low, lte.tail.high)]
    assert "the tail is {:.1f} to {:.0f} J".format(*ends) in PAGE


def test_the_radio_of_ones_own_on_the_page_works(tmp_path):
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "own.toml"
    path.write_text(text)
    radio = radio_named(load_catalogue(path), "my-radio")
    assert radio.of_bytes(400).packets == 2
    assert radio.of_bytes(192).airtime_s == pytest.approx(8 * 200 / 9600)
