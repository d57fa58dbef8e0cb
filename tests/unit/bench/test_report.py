import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from PIL import Image

from heliograph.bench.photos import suite as photos_suite
from heliograph.bench.plots import MAX_PICTURE_SERIES, _quickest, _rate_message
from heliograph.bench.report import markdown, publish, unreached_note, write_results
from heliograph.bench.results import Figure, Provenance, Row, SuiteResult
from heliograph.errors import DataMissingError
from heliograph.strategies.selection import strategies_with

KEYS = {"strategy", "setting", "task", "questions", "accuracy", "agreement", "payload_bytes", "wire_bytes", "source"}
KEYS |= {"encode_ms", "decode_ms", "link_mbit", "rtt_ms", "draft_ms", "final_ms", "consistency", "sure_agreement"}


def _result() -> SuiteResult:
    rows = []
    for strategy, start in (("klt", 32), ("jpeg", 600), ("webp", 500)):
        for step in range(4):
            row = Row(
                strategy,
                f"step={step}",
                "all",
                200,
                accuracy=0.5 + 0.1 * step,
                accuracy_ci=(0.45 + 0.1 * step, 0.55 + 0.1 * step),
                agreement=0.6 + 0.1 * step,
                payload_bytes=float(start * 2**step),
                source="modelled",
            )
            rows += [
                row,
                replace(row, task="colour", questions=40),
                replace(row, link_mbit=1.0, rtt_ms=50.0, draft_ms=60.0, final_ms=90.0 + start * step),
            ]
    figures = (
        Figure("ratio met", 0.05, (0.04, 0.06), 0.25, 0.1),
        Figure("ratio short of its aim", 0.09, (0.04, 0.11), 0.25, 0.1),
        Figure("ratio of one sample", 0.23, (0.2, 0.26), 0.25, 0.1),
        Figure("ratio from below", 0.9, (0.84, 0.95), 0.85, None, at_least=True),
        Figure("ratio between", 0.2, None, 0.25, 0.1),
        Figure("ratio missed", 0.3, None, 0.25, 0.1),
        Figure("ratio not reached", None, None, 0.25, 0.1),
    )
    b99 = {"klt": 120.5, "jpeg": 2400.0, "rgb": None}
    origin = Provenance("m", "c", "2026-11-21")
    return SuiteResult("smoke", origin, tuple(rows), b99, {"klt": (110.0, 130.0)}, figures, ("a note",))


def test_json_has_the_agreed_shape(tmp_path: Path) -> None:
    write_results(_result(), tmp_path)
    data = json.loads((tmp_path / "results.json").read_text())
    assert {"schema", "suite", "machine", "commit", "date", "rows", "b99"} <= data.keys()
    assert data["schema"] == 2
    assert data["b99"] == {"klt": 120.5, "jpeg": 2400.0, "rgb": None}
    for row in data["rows"]:
        assert row.keys() >= KEYS
        assert all(key in KEYS or key.removesuffix("_ci") in KEYS for key in row)
        assert row["source"] in ("measured", "modelled")
    assert data["rows"][0]["accuracy_ci"] == [0.45, 0.55]


def test_rows_are_nothing_but_the_schema() -> None:
    names = {f.name for f in fields(Row)}
    assert names >= KEYS
    assert {name.removesuffix("_ci") for name in names} == KEYS


def test_figures_that_resamples_do_not_reach_are_named() -> None:
    some = (Figure("a", 1.0, (0.5, 2.0)), Figure("b", 1.0), Figure("c", None))
    (note,) = unreached_note(some)
    assert note.endswith("reach the level: b.")
    assert unreached_note(some[:1]) == ()


def test_a_b99_without_an_interval_says_why() -> None:
    text = markdown(_result())
    assert "| klt | 120 [110, 130] |" in text
    assert "| jpeg | 2,400 (no interval: over 5 % of resamples never reach it) |" in text


def test_the_picture_names_the_best_bare_picture() -> None:
    made = replace(_result(), b99={"klt": 120.0, "roi-webp": 300.0, "avif-bare": 500.0, "jpeg": 2400.0})
    assert _rate_message(made) == "99 % of the accuracy: klt needs 120 bytes, avif-bare 500"
    assert _rate_message(_result()).endswith("jpeg 2,400")


def test_table_tells_what_is_met_and_what_is_not() -> None:
    text = markdown(_result())
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ratio")}
    assert "| aim |" in lines["ratio met"]
    assert "| must |" in lines["ratio between"]
    assert "| must |" in lines["ratio short of its aim"]  # a bound is met by the far end of an interval
    assert "| value alone |" in lines["ratio of one sample"]
    assert "| value alone |" in lines["ratio from below"]
    assert "| no |" in lines["ratio missed"]
    assert "not reached | ≤ 0.25 | ≤ 0.1 | no |" in lines["ratio not reached"]
    assert "| klt | 120 [110, 130] |" in text
    assert "| rgb | not reached |" in text
    assert "50.0 [45.0, 55.0]" in text
    assert "- a note" in text


def test_every_strategy_and_setting_is_in_the_table() -> None:
    text = markdown(_result())
    for strategy in ("klt", "jpeg", "webp"):
        for step in range(4):
            assert f"| {strategy} | step={step} |" in text


def test_plots_are_pictures_of_some_content(tmp_path: Path) -> None:
    written = write_results(_result(), tmp_path)
    assert {p.name for p in written} == {"results.json", "results.md", "rate_accuracy.png", "time_accuracy.png"}
    for name in ("rate_accuracy.png", "time_accuracy.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 400
            assert len(set(picture.convert("RGB").resize((200, 150)).get_flattened_data())) > 20
        assert f"]({name})" in (tmp_path / "results.md").read_text()


def test_pictures_leave_room_for_what_they_are_compared_with() -> None:
    pictures = strategies_with(tuned=True)
    assert len(pictures) > MAX_PICTURE_SERIES
    curves = {
        name: [(float(ms), 99.0, None)] for ms, name in enumerate([*reversed(pictures), "meta", "klt", "pq", "rgb"])
    }
    shown = _quickest({(1.0, 1.0): curves}, 0.99)
    assert set(shown) == {*pictures[-MAX_PICTURE_SERIES:], "meta", "klt", "pq"}


def test_published_results_carry_the_name_of_the_suite(tmp_path: Path) -> None:
    written = publish(_result(), tmp_path / "results")
    assert {p.name for p in written} == {
        "smoke.json",
        "smoke.md",
        "smoke-rate_accuracy.png",
        "smoke-time_accuracy.png",
    }


def test_no_times_no_time_plot(tmp_path: Path) -> None:
    result = _result()
    plain = replace(result, rows=tuple(r for r in result.rows if r.link_mbit is None))
    assert "time_accuracy.png" not in {p.name for p in write_results(plain, tmp_path)}


def test_provenance_is_taken_before_the_work_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def load(crops: int, limit: int | None) -> None:
        order.append("work")
        raise DataMissingError

    monkeypatch.setattr(photos_suite, "load_split_features", load)
    monkeypatch.setattr(Provenance, "now", lambda: order.append("provenance"))
    with pytest.raises(DataMissingError):
        photos_suite.PhotosSuite().run(quiet=True)
    assert order == ["provenance", "work"]
