"""NVML's total energy counter, with a stand-in for NVIDIA's module."""

from __future__ import annotations

import sys

import pytest

from heliograph.energy.meters import available_meters
from heliograph.energy.nvml import NvmlMeter
from heliograph.errors import MissingExtraError


class Nvml:
    """Cards by their counters in millijoules; None for one that has no counter."""

    class NVMLError(Exception):
        pass

    def __init__(self, *counters, driver=True):
        self.counters = list(counters)
        self.driver = driver

    def nvmlInit(self):
        if not self.driver:
            raise self.NVMLError

    def nvmlDeviceGetCount(self):
        return len(self.counters)

    def nvmlDeviceGetHandleByIndex(self, number):
        return number

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if self.counters[handle] is None:
            raise self.NVMLError
        return self.counters[handle]


def test_cards_that_count_are_added():
    nvml = Nvml(5_000, None, 70_000)
    meter = NvmlMeter(nvml)
    assert (meter.cards, meter.domains) == (2, {"gpu"})
    nvml.counters[:] = 6_500, None, 70_500
    assert meter.read()["gpu"].joules == pytest.approx(2.0)
    assert meter.read()["gpu"].joules == 0


def test_a_driver_that_was_loaded_anew_says_nothing_once():
    nvml = Nvml(5_000)
    meter = NvmlMeter(nvml)
    nvml.counters[0] = 100
    assert meter.read() == {}
    nvml.counters[0] = 1_100
    assert meter.read()["gpu"].joules == pytest.approx(1.0)
    nvml.counters[0] = None
    assert meter.read() == {}


@pytest.mark.parametrize("nvml", [Nvml(driver=False), Nvml(), Nvml(None)])
def test_without_driver_card_or_counter_there_is_no_meter(nvml, tmp_path):
    meter = NvmlMeter(nvml)
    assert (meter.cards, meter.domains, meter.read()) == (0, frozenset(), {})
    assert "no graphics card" in available_meters(tmp_path, nvml).notes[1]


def test_without_the_module_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingExtraError, match=r"heliograph\[gpu\]"):
        NvmlMeter()
    assert "heliograph[gpu]" in available_meters(tmp_path).notes[1]


def test_meters_sum_what_was_used_while_they_measured(tmp_path):
    nvml = Nvml(0)
    meters = available_meters(tmp_path, nvml)
    nvml.counters[0] = 10_000  # before the block
    for _ in range(2):
        with meters.measuring():
            nvml.counters[0] += 1_500
        nvml.counters[0] += 99_000
    assert meters.measured["gpu"].joules == pytest.approx(3.0)
    assert set(meters.measured) == {"gpu"}
