"""The suite on stand-ins: photos with a sign that a reader sees only where it is large enough."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.bench.metrics import ALL
from heliograph.bench.redraw import read_result
from heliograph.bench.report import markdown
from heliograph.bench.results import SuiteResult
from heliograph.bench.second_look.figures import RATIO_FIGURE, READABLE, cheapest_good, cheapest_within, crossed
from heliograph.bench.second_look.pieces import Piece, Pieces
from heliograph.bench.second_look.plan import second_look_plan
from heliograph.bench.second_look.plot import plot_legible
from heliograph.bench.second_look.policies import Outcome, affordable
from heliograph.bench.second_look.questions import asked_of
from heliograph.bench.second_look.suite import SecondLookSuite, first_questions
from heliograph.boxes import PixelBox
from heliograph.edge.reader import Line
from heliograph.errors import DataMissingError
from heliograph.registry import SUITES
from heliograph.strategies.baseline.pixels import WebpStrategy

LEGIBLE_FROM = 14  # pixels of height
PHOTOS = 4


class SignReader:
    """Finds a white sign, and reads it where it is high enough; names of photos are in the signs' widths."""

    def __init__(self, reads: bool, finds: bool = True) -> None:
        self.reads, self.finds, self.calls = reads, finds, 0

    def lines(self, picture: Image.Image) -> list[Line]:
        self.calls += 1
        bright = np.asarray(picture.convert("L")) > 200
        if not bright.any() or not self.finds:
            return []
        rows, columns = np.nonzero(bright.any(axis=1))[0], np.nonzero(bright.any(axis=0))[0]
        box = PixelBox(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        high = box.bottom - box.top
        text = "Way out" if high >= LEGIBLE_FROM else "blur"
        return [Line(text if self.reads else "", box, float(high))]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    lines = []
    for number in range(PHOTOS):
        values = np.full((450, 600, 3), 40, dtype=np.uint8)
        values[::7] = 90
        values[200:217, 100 + 40 * number : 200 + 40 * number] = 255  # 17 pixels high: 6 in the first stage, 13 at 448
        name = f"{number:04}.jpg"
        Image.fromarray(values).save(tmp_path / "photos" / name, quality=95)
        for answer in ("way out", "yes" if number else "exit now"):
            lines.append(json.dumps({"photo": name, "question": f"{answer}?", "answers": [answer] * 10}))
    (tmp_path / "questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def suite(data: Path, reader: SignReader | None = None, finds: bool = True) -> SecondLookSuite:
    made = reader or SignReader(reads=True)
    return SecondLookSuite(lambda: made, lambda size: SignReader(reads=False, finds=finds), data, data / "kept")


def share(result: SuiteResult, way: str, task: str = ALL, setting: str = "") -> float:
    found = [row for row in result.rows if row.strategy == way and row.task == task and setting in row.setting]
    assert found, (way, setting)
    assert found[0].accuracy is not None
    return found[0].accuracy


def test_a_crop_shows_what_the_first_stage_does_not(data: Path) -> None:
    result = suite(data).run(quiet=True)
    assert share(result, "whole", setting="size=224") == 0
    assert share(result, "whole", setting="size=1024") == share(result, "full") == pytest.approx(4 / 5)
    assert share(result, "text") == share(result, "true place") == pytest.approx(4 / 5)
    assert share(result, "text", READABLE) == 1
    counts = {row.task: row.questions for row in result.rows}
    assert counts == {ALL: 5, READABLE: 4}  # three of eight are yes or no, one answer is nowhere
    (ratio,) = [figure for figure in result.figures if figure.name == RATIO_FIGURE]
    assert ratio.value is not None
    assert 0 < ratio.value < 1
    assert (ratio.must, ratio.aim) == (0.35, 0.2)


def test_a_detector_that_finds_nothing_leaves_the_first_stage_and_no_ratio(data: Path) -> None:
    result = suite(data, finds=False).run(quiet=True)
    assert share(result, "text") == 0
    (ratio,) = [figure for figure in result.figures if figure.name == RATIO_FIGURE]
    assert ratio.value is None


def test_payload_is_that_of_the_files_and_boxes(data: Path) -> None:
    result = suite(data).run(limit=1, quiet=True)
    ((kept, facts),) = [(path, json.loads(path.read_text())) for path in (data / "kept").iterdir()]
    (first,) = [seen for key, seen in facts.items() if key.startswith("whole size=224")]
    photo = Image.open(data / "photos" / f"{kept.stem}.jpg")
    encoded = WebpStrategy().encode(photo, None, {"size": 224, "quality": second_look_plan().first.quality})  # type: ignore[arg-type]
    assert first["pieces"][0]["bytes"] == encoded.payload_bytes
    (text,) = [row for row in result.rows if row.strategy == "text" and row.task == ALL and "first=224" in row.setting][
        :1
    ]
    (crop,) = next(seen for key, seen in facts.items() if key.startswith("text "))["pieces"]
    assert text.payload_bytes is not None
    assert text.wire_bytes is not None
    assert 4 <= text.payload_bytes - encoded.payload_bytes - crop["bytes"] <= 8
    assert text.wire_bytes > text.payload_bytes + 10


def test_a_second_run_reads_nothing_and_finds_the_same(data: Path) -> None:
    first = suite(data).run(quiet=True)

    def never() -> SignReader:
        raise AssertionError("nothing is left to read")

    again = SecondLookSuite(never, lambda size: never(), data, data / "kept").run(quiet=True)
    assert again.rows == first.rows
    assert again.figures == first.figures


def test_a_new_setting_is_read_and_what_was_kept_stays(data: Path) -> None:
    suite(data).run(limit=1, quiet=True)
    (path,) = (data / "kept").iterdir()
    facts = json.loads(path.read_text())
    gone = next(key for key in facts if key.startswith("whole size=1024"))
    before = facts.pop(gone)
    path.write_text(json.dumps(facts))
    reader = SignReader(reads=True)
    suite(data, reader).run(limit=1, quiet=True)
    assert reader.calls == 1
    assert json.loads(path.read_text())[gone]["pieces"] == before["pieces"]


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_file_of_what_was_kept_is_named(content: str, data: Path) -> None:
    suite(data).run(limit=1, quiet=True)
    (path,) = (data / "kept").iterdir()
    path.write_text(content)
    with pytest.raises(DataMissingError) as caught:
        suite(data).run(limit=1, quiet=True)
    assert str(path) in "".join(caught.value.__notes__)


def test_questions_without_any_text_are_refused_by_name(data: Path) -> None:
    line = {"photo": "0000.jpg", "question": "q", "answers": ["yes"] * 10}
    (data / "questions.jsonl").write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(DataMissingError):
        suite(data).run(quiet=True)


def test_a_part_of_the_questions_is_of_whole_photos_in_one_order() -> None:
    asked = [asked_of(f"{number // 2}.jpg", "q", ["go"] * 10) for number in range(40)]
    part = first_questions(asked, 7)
    assert len(part) == 8
    assert part == first_questions(list(reversed(asked)), None)[:8]
    assert sorted(first_questions(asked, None), key=str) == sorted(asked, key=str)


def test_a_budget_takes_what_still_fits() -> None:
    pieces = [Piece(size, PixelBox(0, 0, 1, 1), ()) for size in (300, 900, 100)]
    assert [one.payload_bytes for one in affordable(pieces, 500)] == [300, 100]
    assert affordable(pieces, None) == pieces
    assert affordable(pieces, 10) == []


def outcome(name: str, legible: list[float], size: float) -> Outcome:
    rest = [np.full(len(legible), size) for _ in range(4)]
    return Outcome("text", name, np.array(legible), *rest)


def test_each_half_gets_the_setting_that_the_other_half_chose() -> None:
    half = np.array([True, True, False, False])
    dear, cheap = outcome("dear", [1, 1, 1, 1], 100), outcome("cheap", [1, 1, 0, 0], 10)
    found = crossed([dear, cheap], half, cheapest_good)
    assert found.legible.tolist() == [
        1,
        1,
        0,
        0,
    ]  # cheap looks as good as dear on the first half, and is not on the other
    assert found.payload_bytes.tolist() == [100, 100, 10, 10]
    assert "dear" in found.setting
    assert "cheap" in found.setting


def test_crops_are_the_cheapest_within_two_points_and_else_the_best() -> None:
    every = np.ones(100, dtype=bool)
    whole = outcome("whole", [1.0] * 80 + [0.0] * 20, 1000)
    good, fair, poor = (outcome(f"{n}", [1.0] * n + [0.0] * (100 - n), n) for n in (80, 79, 70))
    assert cheapest_within([good, fair, poor], every, [whole]) is fair
    assert cheapest_within([poor, outcome("0", [0.0] * 100, 1)], every, [whole]) is poor


def test_the_picture_and_page_are_drawn_from_the_json(data: Path, tmp_path: Path) -> None:
    result = suite(data).run(quiet=True)
    again = read_result(json.loads(json.dumps(result.to_json())))
    path = tmp_path / "legible.png"
    assert again.pictures is not None
    draw: Callable[[SuiteResult, Path], bool] = again.pictures["legible.png"]
    assert draw is plot_legible
    assert draw(again, path)
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        assert picture.width > 1000
    assert "Processor time of a photo" in markdown(again)


def test_nothing_to_draw_leaves_no_picture(data: Path, tmp_path: Path) -> None:
    result = suite(data).run(quiet=True)
    bare = read_result({**result.to_json(), "rows": []})
    assert not plot_legible(bare, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_suite_is_registered_and_photos_are_its_data(data: Path) -> None:
    assert SUITES.load("second-look") is SecondLookSuite
    pieces = Pieces(second_look_plan(), lambda: SignReader(True), lambda size: SignReader(False), data / "photos")
    assert pieces.load("0000.jpg").size == (600, 450)
