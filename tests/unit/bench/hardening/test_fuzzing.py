"""The tool finds what it looks for, says which case it was, and shares its runs out."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path

import pytest

from heliograph.bench.hardening.fuzz_cases import mutated_json, mutated_stream, stated_sizes
from heliograph.bench.hardening.fuzz_targets import Target, file_targets, reference_streams, wire_targets
from heliograph.bench.hardening.fuzzing import MAX_CASE_MB, case_source, report, run_all, run_target
from heliograph.bench.results import Provenance
from heliograph.codec.bundle import Bundle
from heliograph.codec.header import parse_header
from heliograph.errors import HeliographError, StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.training.progress import Progress
from heliograph.types import EncodedImage, Grid


def test_named_errors_are_counted_and_others_are_findings() -> None:
    def case(source: random.Random) -> str | None:
        number = source.randrange(4)
        if number == 0:
            raise StreamDamagedError(StreamFault.CHECKSUM)
        if number == 1:
            raise KeyError("found")
        return "session closed" if number == 2 else None

    steps: list[int] = []
    found = run_target(Target("it", 1, case), 450, 3, steps.append)
    assert (found.runs, sum(steps)) == (450, 450)
    assert set(found.errors) == {"stream-damaged", "session closed"}
    assert found.named == sum(found.errors.values())
    assert 1 <= len(found.failures) <= 20
    assert not found.passed
    for number, what in found.failures:
        assert what == "KeyError: 'found'"
        with pytest.raises(KeyError):
            case(case_source("it", 3, number))  # made again from its number
    text = report({"it": found}, 3, Provenance("m", "c", "d"))
    assert json.loads(json.dumps(text))["passed"] is False


def test_memory_is_looked_at() -> None:
    def hungry(source: random.Random) -> None:
        if tracemalloc.is_tracing():  # every other one would be taken and given back unseen
            bytearray(int(MAX_CASE_MB * 1e6) + 1)

    found = run_target(Target("hungry", 1, hungry), 500, 1)
    assert found.case_mb > MAX_CASE_MB
    assert not found.passed
    assert run_target(Target("modest", 1, lambda source: None), 500, 1).passed


def test_runs_are_shared_out() -> None:
    targets = [Target("a", 3, lambda source: None), Target("b", 1, lambda source: None)]
    with Progress(quiet=True) as progress:
        found = run_all(targets, 400, 1, progress)
    assert {name: one.runs for name, one in found.items()} == {"a": 300, "b": 100}


def test_every_target_refuses_and_takes(reference_pair: object, tmp_path: Path) -> None:
    bundle = Bundle.load(reference_pair.bundle)  # type: ignore[attr-defined]
    targets = [*wire_targets(), *file_targets(bundle, reference_streams(bundle), tmp_path)]
    few = {"tables": 30, "networks": 10}
    for target in targets:
        found = run_target(target, few.get(target.name, 120), 5)
        assert found.passed, (target.name, found.failures)
        assert found.named, target.name
        assert found.named < found.runs, target.name


def test_changed_json_is_mostly_json() -> None:
    source = random.Random(1)
    value = {"a": [1, 2, {"b": "c"}], "d": 0.5}
    texts = [mutated_json(source, value) for _ in range(300)]
    assert sum(text != json.dumps(value).encode() for text in texts) > 290
    assert any(b"1e999" in text for text in texts)
    assert any(b"NaN" in text for text in texts)


def test_headers_state_what_they_shall() -> None:
    source = random.Random(2)
    encoded = EncodedImage("klt", bytes.fromhex("80"), (b"abc", b"d"))
    sizes = set()
    for _ in range(400):
        try:
            sizes.add(parse_header(stated_sizes(source, encoded).header, Grid(8, 8)).grid)
        except HeliographError:
            continue
    assert any(grid.photo_width >= 1 << 14 for grid in sizes)
    assert any(grid.tokens != 64 for grid in sizes)
    assert len({mutated_stream(source, encoded) for _ in range(50)}) > 30
