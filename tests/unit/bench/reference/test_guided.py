"""Guided pictures against plain ones: what is swept, what is kept of a run, and what the table says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heliograph.bench.outcomes import Candidate, Outcome, PhotoOutcome
from heliograph.bench.reference import guided, tuning
from heliograph.bench.results import Row
from heliograph.bench.runner import UNCOMPRESSED
from heliograph.strategies.base import Setting
from heliograph.strategies.selection import strategy_class
from heliograph.training.progress import Progress


def outcome(strategy: str, payload: int, agreeing: int, setting: Setting | None = None) -> Outcome:
    """Two photos of two questions each, of which so many agree in all."""
    found = Outcome(Candidate(strategy, setting or {"size": payload}))
    for photo in range(2):
        name = f"scene-{photo}"
        found.photos[name] = PhotoOutcome(payload + photo, 0.0, 0.0)
        answers = [float(2 * photo + number < agreeing) for number in range(2)]
        for task, value in zip(("colour", "shape"), answers, strict=True):
            found.scores[name, task], found.agreements[name, task] = [1.0], [value]
    return found


def swept(monkeypatch: pytest.MonkeyPatch, *how: Any) -> list[Candidate]:
    asked: list[Candidate] = []

    class Runner:
        def __init__(self, bench: Any, candidates: list[Candidate], **more: Any) -> None:
            asked.extend(candidates)

        def run(self, *arguments: Any) -> list[Outcome]:
            return []

    monkeypatch.setattr(tuning, "Runner", Runner)
    plan: Any = SimpleNamespace(pixel_sizes=(32, 64), pixel_qualities=(20,))
    with Progress(quiet=True) as progress:
        tuning.tuned_candidates(None, plan, [], progress, *how)  # type: ignore[arg-type]
    return asked


def test_guidance_is_swept_with_size_and_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    guidance = strategy_class("roi-avif").guidance
    assert len(guidance) == 3
    settings = [one.setting for one in swept(monkeypatch, ["roi-avif", "webp"], {"guide": "contrast"})]
    assert settings == [
        *({"size": size, "quality": 20, **one, "guide": "contrast"} for size in (32, 64) for one in guidance),
        *({"size": size, "quality": 20, "guide": "contrast"} for size in (32, 64)),
    ]
    every = swept(monkeypatch)
    assert {"size": 32, "quality": 20, **guidance[0]} in [one.setting for one in every if one.strategy == "roi-avif"]
    assert {"size": 64, "quality": 20} in [one.setting for one in every if one.strategy == "avif-bare"]


def test_a_guide_is_asked_of_those_that_take_it() -> None:
    own = [one.name for one in guided.series_of("")]
    assert own[:3] == ["jpeg-bare", "webp-bare", "avif-bare"]
    assert own[3:] == ["roi-jpeg", "roi-webp", "roi-avif", "prefilter", "cotam"]
    asked = guided.series_of("question")
    assert [one.name for one in asked] == [f"{name} question" for name in own[3:] if name != "cotam"]
    assert all(one.fixed == {"guide": "question"} for one in asked)


def test_settings_are_chosen_on_other_scenes_than_they_are_measured_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def scenes(start: int, count: int, *, descriptions: bool) -> list[tuple[int, int]]:
        assert not descriptions
        return [(start, count)]

    def chosen(bench: Any, plan: Any, items: Any, progress: Any, strategies: Any, fixed: Any) -> list[Candidate]:
        seen.update(tuning=items, strategies=strategies, fixed=fixed)
        return [Candidate("prefilter", {"size": 32})]

    class Runner:
        uncompressed = outcome(UNCOMPRESSED, 0, 4)

        def __init__(self, bench: Any, candidates: list[Candidate]) -> None:
            seen["candidates"] = candidates

        def run(self, items: Any, *arguments: Any) -> list[Outcome]:
            seen["test"] = items
            return [outcome("prefilter", 9, 4)]

    monkeypatch.setattr(guided, "scene_items", scenes)
    monkeypatch.setattr(guided, "tuned_candidates", chosen)
    monkeypatch.setattr(guided, "Runner", Runner)
    series = guided.Series("prefilter", {"guide": "question"})
    with Progress(quiet=True) as progress:
        found = guided.measured(None, guided.Plan(3, 5), series, progress)  # type: ignore[arg-type]
    assert [one.candidate.strategy for one in found] == [UNCOMPRESSED, "prefilter"]
    assert seen == {
        "tuning": [(8_000_000, 3)],
        "strategies": ["prefilter"],
        "fixed": {"guide": "question"},
        "candidates": [Candidate("prefilter", {"size": 32})],
        "test": [(8_140_000, 5)],
    }


def test_outcomes_come_back_from_their_file(tmp_path: Path) -> None:
    made = [outcome(UNCOMPRESSED, 0, 4), outcome("roi-webp", 100, 3, {"size": 32, "guide": "auto"})]
    path = tmp_path / "deep" / "roi-webp.json"
    guided.keep(path, made)
    assert guided.kept_outcomes(path) == made
    assert [one.name for one in path.parent.iterdir()] == ["roi-webp.json"]


def test_a_row_is_bytes_at_agreement_and_over_the_best_bare_codec() -> None:
    base = outcome(UNCOMPRESSED, 0, 4)
    found = {
        "avif-bare": [base, outcome("avif-bare", 100, 2), outcome("avif-bare", 400, 4)],
        "webp-bare": [base, outcome("webp-bare", 900, 4)],
        "roi-avif": [base, outcome("roi-avif", 200, 4)],
        "cotam": [base, outcome("cotam", 10, 3)],
    }
    head, line, *rows = guided.table(found).splitlines()
    assert head.count("|") == line.count("|") == 7
    cells = {row.split(" | ")[0].strip("| "): row.strip("| ").split(" | ") for row in rows}
    at_90 = guided.crossings(found["avif-bare"])[0].value
    assert at_90 is not None
    assert 100.5 < at_90 < 400.5
    assert [cells[name][1] for name in found] == ["2", "1", "1", "1"]
    assert cells["avif-bare"][2].startswith(f"{at_90:.0f}")
    assert cells["avif-bare"][3].startswith("1.00")
    assert cells["roi-avif"][2].startswith("200 ")
    assert cells["roi-avif"][3].startswith(f"{200.5 / at_90:.2f}")
    assert cells["cotam"][2:] == ["never", "never", "never", "never"]


def test_published_settings_give_the_same_table_without_intervals() -> None:
    def row(strategy: str, payload: float, agreement: float, task: str = "all", link: float | None = None) -> Row:
        return Row(strategy, str(payload), task, 9, agreement=agreement, payload_bytes=payload, link_mbit=link)

    rows = [
        row("webp-bare", 300, 0.9),
        row("webp-bare", 400, 0.96),
        row("avif-bare", 200, 0.91),
        row("roi-avif", 150, 0.9),
        row("roi-avif", 20, 1.0, task="colour"),
        row("roi-avif", 20, 1.0, link=1.0),
        row("klt", 20, 1.0),
    ]
    cells = {
        line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:]
        for line in guided.published_table(rows).splitlines()[2:]
    }
    assert list(cells) == [one.name for one in guided.series_of("")]
    at_95 = 300 * (400 / 300) ** (5 / 6)  # linear in agreement against log bytes
    assert cells["webp-bare"] == ["2", "300", "1.50", f"{at_95:.0f}", "1.00"]
    assert cells["roi-avif"] == ["1", "150", "0.75", "never", "never"]
    assert cells["cotam"] == ["0", "never", "never", "never", "never"]
