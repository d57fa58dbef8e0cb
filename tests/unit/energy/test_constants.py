"""Every number has a source, and a file of somebody else's is refused by name where it is wrong."""

from __future__ import annotations

import math

import pytest

from heliograph.energy.constants import Constant, Row, load_catalogue
from heliograph.energy.radios import board_named, radio_named
from heliograph.errors import FileUnreadableError, UnknownNameError
from heliograph.reasons import FileFault

CATALOGUE = load_catalogue()

OWN = """
[constants.mine-transmit]
unit = "W"
about = "my radio, sending"
rows = [{ value = 0.5, basis = "measured", source = "my bench" }]
[constants.mine-rate]
unit = "bit/s"
about = "my radio"
rows = [{ value = 8000, basis = "modelled", source = "my bench" }]
[radios.mine]
about = "my radio"
source = "my bench"
airtime = "rate"
rate = "mine-rate"
max_payload_bytes = 100
header_bytes = 4
transmit = "mine-transmit"
[boards.mine]
about = "my board"
cores = 2
idle = "mine-transmit"
busy = "mine-transmit"
"""


def test_every_shipped_radio_and_board_can_be_used():
    assert len(CATALOGUE.radios) >= 17
    for name in CATALOGUE.radios:
        radio = radio_named(CATALOGUE, name)
        assert radio.source
        assert radio.airtime.seconds(radio.header_bytes + radio.max_payload_bytes) > 0
    for name in CATALOGUE.boards:
        board = board_named(CATALOGUE, name)
        assert 0 < board.idle.centre < board.busy.centre


def test_every_shipped_constant_is_used():
    used = {
        value
        for entry in (*CATALOGUE.radios.values(), *CATALOGUE.boards.values())
        for value in entry.fields.values()
        if isinstance(value, str)
    }
    assert sorted(set(CATALOGUE.constants) - used) == []


def test_a_power_has_a_band_over_all_its_sources_and_a_time_has_none():
    rows = (Row(0.1, "modelled", "a"), Row(0.4, "measured", "b"))
    power = Constant("p", "about", "W", rows)
    assert (power.low, power.high) == pytest.approx((0.05, 0.8))
    assert power.centre == pytest.approx(0.2)
    time = Constant("t", "about", "s", rows)
    assert time.low == time.high == time.centre == pytest.approx(0.2)


def test_the_sources_of_lora_disagree_as_much_as_they_do():
    transmit = CATALOGUE.constants["lora-transmit"]
    low, high = (row.value for row in transmit.rows)
    assert high / low == pytest.approx(4.54, abs=0.01)
    assert math.isclose(transmit.high / transmit.low, 4 * high / low)


def test_a_file_of_ones_own_adds_to_what_is_there(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    catalogue = load_catalogue(path)
    assert board_named(catalogue, "mine").cores == 2
    assert radio_named(catalogue, "mine").of_bytes(150).airtime_s == pytest.approx(0.158)
    assert radio_named(catalogue, "lte").about == "LTE"


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ('unit = "bit/s"', 'unit = "baud"', "constant mine-rate: unit"),
        ("value = 0.5", "value = 0", "constant mine-transmit: value"),
        ("value = 0.5", "value = inf", "constant mine-transmit: value"),
        ("value = 0.5", "value = true", "constant mine-transmit: value"),
        ('basis = "measured"', 'basis = "guessed"', "constant mine-transmit: basis"),
        ('source = "my bench" }', 'source = "" }', "constant mine-transmit: source"),
        ('"my bench" }', '"my bench", note = 1 }', "constant mine-transmit: a row has"),
        ('rate = "mine-rate"', 'rate = "nbiot-message"', "radio mine: rate"),
        ('rate = "mine-rate"', "rate = 8000", "radio mine: rate"),
        ('transmit = "mine-transmit"', 'transmit = "nothing"', "radio mine: transmit"),
        ('transmit = "mine-transmit"', 'transmit = "mine-transmit"\nwake = "mine-transmit"', "radio mine: wake"),
        ('airtime = "rate"', 'airtime = "smoke"', "radio mine: airtime"),
        ('airtime = "rate"', 'airtime = "lora"\nbandwidth_hz = 125000\nspreading_factor = 5', "radio mine: airtime"),
        ("max_payload_bytes = 100", "max_payload_bytes = 0", "radio mine: max_payload_bytes"),
        ("header_bytes = 4", "header_bytes = 4\ncolour = 1", "radio mine: colour"),
        ("header_bytes = 4", 'header_bytes = 4\nmissing = "all"', "radio mine: missing"),
        ("header_bytes = 4", "header_bytes = 4\nduty_cycle = 2", "radio mine: duty_cycle"),
        ("header_bytes = 4", 'header_bytes = 4\nwebsocket = "yes"', "radio mine: websocket"),
        ("cores = 2", "cores = 0", "board mine: cores"),
        ("[boards.mine]", "[boats.mine]", "boats"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(before, after, named, tmp_path):
    path = tmp_path / "own.toml"
    assert before in OWN
    path.write_text(OWN.replace(before, after, 1))

    def use() -> None:
        catalogue = load_catalogue(path)
        radio_named(catalogue, "mine")
        board_named(catalogue, "mine")

    with pytest.raises(FileUnreadableError) as refused:
        use()
    assert refused.value.fault is FileFault.CONTENT
    assert f"{path}: {named}" in refused.value.__notes__[0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [("radios = 3", FileFault.CONTENT), ("[radios]\nmine = 3", FileFault.CONTENT), ("not toml", FileFault.CONTENT)],
)
def test_a_file_that_is_none_is_refused(text, fault, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(FileUnreadableError) as refused:
        load_catalogue(path)
    assert refused.value.fault is fault


def test_unknown_names_list_the_choices():
    for named, kind in ((radio_named, "radio"), (board_named, "board")):
        with pytest.raises(UnknownNameError) as refused:
            named(CATALOGUE, "smoke-signals")
        assert refused.value.kind == kind
        assert len(refused.value.choices) > 3
