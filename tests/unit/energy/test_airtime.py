"""Airtime of LoRa packets against worked numbers, and of radios that have a rate or say how long a message takes."""

from __future__ import annotations

import pytest

from heliograph.energy.airtime import LoRa, Rate, Transfer
from heliograph.energy.constants import load_catalogue
from heliograph.energy.radios import radio_named
from heliograph.errors import UsageError

SIZES = (129, 229, 237)
LONG_FAST = LoRa(11, 250e3, preamble_symbols=16)


@pytest.mark.parametrize(
    ("lora", "seconds", "within"),
    [
        (LoRa(7, 125e3), (0.215, 0.359, 0.374), 0.0005),
        (LONG_FAST, (1.21, 1.95, 2.03), 0.005),
        (LoRa(12, 125e3), (4.9, 8.2, 8.5), 0.05),
    ],
)
def test_the_worked_numbers(lora, seconds, within):
    assert [lora.seconds(size) for size in SIZES] == pytest.approx(seconds, abs=within)


def test_a_packet_worked_out_by_hand():
    """SF7, 125 kHz: symbols of 1.024 ms; (8 x 10 - 28 + 28 + 16) / 28 = 3.43, so 4 blocks of 5 symbols."""
    assert LoRa(7, 125e3).seconds(10) == pytest.approx((8 + 4.25 + 8 + 4 * 5) * 1.024e-3)
    assert LoRa(7, 125e3, coding_rate=8).seconds(10) == pytest.approx((8 + 4.25 + 8 + 4 * 8) * 1.024e-3)
    assert LoRa(7, 125e3, crc=False, header=False).seconds(10) == pytest.approx((8 + 4.25 + 8 + 3 * 5) * 1.024e-3)
    assert LoRa(12, 500e3, crc=False, header=False).seconds(0) == pytest.approx((8 + 4.25 + 8) * 8.192e-3)


def test_symbols_of_16_ms_switch_low_data_rate_optimisation_on():
    """SF11 at 125 kHz has symbols of 16.4 ms; at 250 kHz of 8.2 ms."""
    assert LoRa(11, 125e3).seconds(100) == LoRa(11, 125e3, low_data_rate=True).seconds(100)
    assert LoRa(11, 250e3).seconds(100) == LoRa(11, 250e3, low_data_rate=False).seconds(100)
    assert LoRa(11, 125e3, low_data_rate=False).seconds(100) < LoRa(11, 125e3).seconds(100)


@pytest.mark.parametrize(
    "wrong", [{"spreading_factor": 6}, {"bandwidth_hz": 0.0}, {"coding_rate": 9}, {"preamble_symbols": 5}]
)
def test_modulation_that_there_is_not_is_refused(wrong):
    with pytest.raises(UsageError) as refused:
        LoRa(**{"spreading_factor": 7, "bandwidth_hz": 125e3, **wrong})
    assert next(iter(wrong)) in refused.value.__notes__[0]


def test_a_packet_has_255_bytes_at_most():
    with pytest.raises(UsageError):
        LONG_FAST.seconds(256)


def test_the_shipped_radios_are_these_modulations():
    catalogue = load_catalogue()
    assert radio_named(catalogue, "meshtastic-long-fast").airtime == LONG_FAST
    for factor in range(7, 13):
        assert radio_named(catalogue, f"lorawan-sf{factor}").airtime == LoRa(factor, 125e3)


def test_rates_and_transfers():
    assert Rate(1e6, 0.5).seconds(1000) == pytest.approx(0.508)
    transfer = Transfer(5.0, 70, 0.01)
    assert [transfer.seconds(size) for size in (0, 70, 170)] == pytest.approx([5.0, 5.0, 6.0])
