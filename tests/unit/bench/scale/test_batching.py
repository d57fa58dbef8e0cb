"""The bench of answers side by side counts what it says it counts, on a few requests to the reference model."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from heliograph.bench.scale import mixed_requests
from heliograph.bench.scale.batching import Speed, measure, reference_cases
from heliograph.bench.scale.mixed_requests import compare_mixed
from heliograph.training.progress import Progress
from heliograph.vlm.model import VisionLanguageModel


@pytest.fixture(scope="module")
def reference() -> VisionLanguageModel:
    return VisionLanguageModel.load("reference")


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixed_requests, "_SCENES", 8)


def test_mixed_requests_are_compared(reference: VisionLanguageModel) -> None:
    found = compare_mixed(reference, 24, 5, Progress(quiet=True))
    assert found.equal == found.ended == 24 - found.dropped
    assert found.failed == 0
    assert found.furthest < 1e-3


def test_another_answer_is_counted(reference: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, rng = reference.answer, random.Random(0)

    def other(*asked: Any, **options: Any) -> Any:
        made = answer(*asked, **options)
        return replace(made, text="something else") if rng.random() < 0.5 else made

    monkeypatch.setattr(reference, "answer", other)
    found = compare_mixed(reference, 12, 5, Progress(quiet=True))
    assert 0 < found.equal < found.ended


def test_turns_are_compared_with_each_other(reference: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.bench.scale import batching

    monkeypatch.setattr(batching, "_ROWS", 4)
    monkeypatch.setattr(mixed_requests, "_SCENES", 4)
    cases = reference_cases(reference)
    requests = next(one for name, one in cases.items() if name.endswith("short, one photo"))
    found = measure(reference, "few", requests, turns=2)
    assert found.equal
    assert len(found.alone_s) == len(found.batch_s) == len(found.offline_s) == 2
    assert min(*found.alone_s, *found.batch_s) > 0
    assert found.tokens >= 4


def test_a_row_of_the_table() -> None:
    speed = Speed("few", 20, (2.0, 4.0, 9.0), (1.0, 1.0, 3.0), (1.5, 0.5, 3.0), True)
    assert speed.ratio == 3.0
    assert str(speed) == "| few | 4000.0 | 1000.0 | 3.00 | 1.00 | 5.0 | 20.0 | yes |"
