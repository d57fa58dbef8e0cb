"""RAPL on a folder that looks like Linux's: what is counted, what is left out, and a counter that goes round."""

from __future__ import annotations

import pytest

from heliograph.energy import rapl
from heliograph.energy.meters import available_meters
from heliograph.energy.rapl import RaplMeter
from heliograph.errors import FileUnreadableError
from heliograph.reasons import FileFault

RANGE = 262_143_328_850


def zone(root, name, domain, energy_uj, range_uj=RANGE):
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(f"{domain}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder / "energy_uj"


@pytest.fixture
def tree(tmp_path):
    """Two packages with what is within them, memory, the platform, and the first package by another way."""
    (tmp_path / "intel-rapl").mkdir()
    return {
        "package-0": zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000),
        "core": zone(tmp_path, "intel-rapl:0:0", "core", 500),
        "dram": zone(tmp_path, "intel-rapl:0:1", "dram", 7_000_000),
        "package-1": zone(tmp_path, "intel-rapl:1", "package-1", RANGE - 500_000),
        "psys": zone(tmp_path, "intel-rapl:2", "psys", 0),
        "mmio": zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000),
    }


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(rapl, "now_s", lambda: now[0])
    return now


def test_packages_are_added_and_what_overlaps_is_not(tree, tmp_path, clock):
    meter = RaplMeter(tmp_path)
    assert meter.domains == {"package", "dram", "psys"}
    clock[0] += 4.0
    tree["package-0"].write_text("3000000")
    tree["core"].write_text("999999999")
    tree["mmio"].write_text("3000000")
    tree["dram"].write_text("7500000")
    tree["psys"].write_text("9000000")
    used = meter.read()
    assert {domain: one.joules for domain, one in used.items()} == pytest.approx(
        {"package": 2.0, "dram": 0.5, "psys": 9.0}
    )
    assert {one.seconds for one in used.values()} == {4.0}
    assert (used["package"] + used["dram"]).joules == pytest.approx(2.5)
    with pytest.raises(ValueError, match="the same joules"):
        used["psys"] + used["package"]


def test_a_counter_that_goes_round_goes_on(tree, tmp_path):
    meter = RaplMeter(tmp_path)
    tree["package-1"].write_text("499999")
    assert meter.read()["package"].joules == pytest.approx(1.0)
    tree["package-1"].write_text("1499999")
    assert meter.read()["package"].joules == pytest.approx(1.0)
    assert meter.read()["package"].joules == 0


def test_a_machine_without_counters_has_nothing_to_say(tmp_path):
    for root in (tmp_path, tmp_path / "nothing"):
        meter = RaplMeter(root)
        assert (meter.domains, meter.read()) == (frozenset(), {})


def forbid(path, monkeypatch):
    """As root may read everything, the system's refusal is put in its place."""
    real = rapl.read_text

    def refusing(asked, **how):
        if asked == path:
            raise FileUnreadableError(FileFault.FORBIDDEN).noted(f"{asked}: Permission denied.")
        return real(asked, **how)

    monkeypatch.setattr(rapl, "read_text", refusing)


def test_a_counter_that_may_not_be_read_is_named(tree, tmp_path, monkeypatch):
    forbid(tree["dram"], monkeypatch)
    with pytest.raises(FileUnreadableError) as refused:
        RaplMeter(tmp_path)
    assert refused.value.subject == str(tree["dram"])
    assert "root" in refused.value.next_step
    notes = available_meters(tmp_path).notes
    assert str(tree["dram"]) in notes[0]
    assert "Permission denied" in notes[0]
    assert "root" in notes[0]


@pytest.mark.parametrize("text", ["", "-5", "12e3", "1" * 30])
def test_a_counter_that_is_no_number_is_refused(text, tree, tmp_path):
    tree["psys"].write_text(text)
    with pytest.raises(FileUnreadableError, match="lacks an entry"):
        RaplMeter(tmp_path)
