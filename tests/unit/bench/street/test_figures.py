"""Bytes at equal agreement and their ratios, by hand; what the notes say of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.bench.report import draw_pictures
from heliograph.bench.results import Provenance, SuiteResult
from heliograph.bench.street.agreement import Agreement
from heliograph.bench.street.asked import QUESTIONS, Answered
from heliograph.bench.street.figures import StreetFigures, where_pixels_win
from heliograph.bench.street.judge import Kept, Measured
from heliograph.bench.street.plot import PICTURES
from heliograph.bench.street.rows import Standards, rows_of, sentence_table, truth_of
from heliograph.bench.street.sent import Sent
from heliograph.bench.street.sentences import CaptionScores
from heliograph.bench.street.ways import spread_over
from heliograph.training.field.photos import Photo

PHOTOS = 100


def whole() -> Answered:
    places = np.tile((np.arange(PHOTOS) % 2)[:, None], (1, len(QUESTIONS))).astype(np.int16)
    return Answered(places, np.full(places.shape, 5.0, np.float32))


def measured(strategy: str, payload: float, agreement: float, wire: float | None = None) -> Measured:
    """Every second photo of each answer changes first, so that agreement is the same for both answers."""
    exact = whole()
    changed = np.arange(PHOTOS) // 2 >= round(agreement * PHOTOS / 2)
    places = np.where(changed[:, None], 1 - exact.places, exact.places).astype(np.int16)
    full = np.full(PHOTOS, payload)
    sent = Sent(strategy, f"at={payload:g}", full, np.full(PHOTOS, wire or payload + 60), full / 100, full / 200)
    return Measured(sent, Answered(places, exact.leads), CaptionScores(np.full(10, 20.0), np.ones(10)))


@pytest.fixture(scope="module")
def every() -> list[Measured]:
    klt = [measured("klt", size, share) for size, share in ((50, 0.7), (100, 0.8), (200, 0.9), (400, 0.96))]
    meta = [measured("meta", size, share) for size, share in ((40, 0.8), (80, 0.9))]
    pixels = [measured("avif-bare", size, share) for size, share in ((800, 0.8), (1600, 0.9), (3200, 1.0))]
    return [*klt, *meta, *pixels, measured("jpeg-progressive", 900, 0.8), measured("jpeg-progressive", 4000, 0.96)]


@pytest.fixture(scope="module")
def figures(every: list[Measured]) -> StreetFigures:
    return StreetFigures(every, Agreement(whole(), QUESTIONS))


def test_ratios_are_read_at_equal_agreement(figures: StreetFigures) -> None:
    found = {one.name: one for one in figures.all()}
    payload = found["bytes, best progressive codec / best tuned pixel codec at agreement 0.90"]
    assert payload.value == pytest.approx(80 / 1600)
    assert (payload.must, payload.aim) == (0.20, 0.05)
    wire = found[
        "wire bytes of an exchange on an open connection, best progressive codec / best tuned pixel codec"
        " at agreement 0.90"
    ]
    assert wire.value == pytest.approx(140 / 1660)
    assert (wire.must, wire.aim) == (0.35, 0.15)
    assert (payload.source, wire.source) == ("measured", "modelled")
    learned = found["bytes of meta / klt at agreement 0.90"]
    assert learned.value == pytest.approx(0.4)
    assert (learned.must, learned.aim) == (0.9, 0.6)
    assert found["bytes of meta / klt at agreement 0.95"].value is None
    assert found["bytes of klt at agreement 0.95"].value == pytest.approx(400 * 0.5 ** (1 / 6))
    assert found["agreement of the same answers about every photo (chance)"].value == pytest.approx(0.5)
    assert found["highest agreement of the pixel codecs"].value == 1.0


def test_it_is_said_plainly_where_pixels_win(every: list[Measured], figures: StreetFigures) -> None:
    device = {"device": 40.0, "jpeg": 2.0}
    (only_time,) = where_pixels_win(figures, device)
    assert "2.0 ms" in only_time
    cheap = [*every, measured("webp-bare", 30, 0.8), measured("webp-bare", 300, 0.9), measured("webp-bare", 350, 0.96)]
    without_meta = [one for one in cheap if one.sent.strategy != "meta"]
    said = where_pixels_win(StreetFigures(without_meta, Agreement(whole(), QUESTIONS)), {"device": 1.0, "jpeg": 2.0})
    assert any("0.80" in one and "fewer bytes" in one for one in said)
    assert any("0.95" in one for one in said)
    assert not any("0.90" in one for one in said)
    no_klt = [one for one in every if one.sent.strategy != "klt"]
    said = where_pixels_win(StreetFigures(no_klt, Agreement(whole(), QUESTIONS)), {"device": 1.0, "jpeg": 2.0})
    assert len(said) == 1
    assert "only pixels answer" in said[0]


def test_settings_are_spread_over_the_agreements_of_the_figures() -> None:
    agreements = [0.55, 0.6, 0.77, 0.79, 0.86, 0.9, 0.93, 0.975, 0.99]
    assert [agreements[place] for place in spread_over(agreements, 4)] == [0.77, 0.86, 0.9, 0.975]
    assert spread_over(agreements[:2], 4) == [0, 1]


def test_what_was_measured_is_read_again_and_never_under_another_key(tmp_path: Path) -> None:
    made: list[str] = []

    def once() -> list[Measured]:
        made.append("made")
        return [measured("klt", 100, 0.8), measured("klt", 200, 0.9)]

    first = Kept(tmp_path, ["model"]).get("klt", once)
    again = Kept(tmp_path, ["model"]).get("klt", once)
    assert made == ["made"]
    for one, other in zip(first, again, strict=True):
        assert (one.sent.strategy, one.sent.setting) == (other.sent.strategy, other.sent.setting)
        np.testing.assert_array_equal(one.answers.places, other.answers.places)
        np.testing.assert_array_equal(one.sent.wire, other.sent.wire)
        np.testing.assert_array_equal(one.captions.nats, other.captions.nats)
    Kept(tmp_path, ["another model"]).get("klt", once)
    assert made == ["made", "made"]


def captioned(count: int = 20) -> list[Photo]:
    return [Photo(Path(f"{i}.jpg"), ("A dog on grass",) if i % 2 else ("A man",)) for i in range(count)]


def test_rows_have_presence_accuracy_against_captions_and_the_table_its_sentences(every: list[Measured]) -> None:
    truth = truth_of(captioned())
    texts = whole().texts(QUESTIONS)
    standards = Standards(Agreement(whole(), QUESTIONS), truth, texts, np.full(10, 10.0), None)
    assert {one.thing for one in truth.counting()} == {"person", "animal", "man", "dog", "grass"}
    seen = np.zeros((PHOTOS, len(QUESTIONS)), np.int16)
    for number, one in enumerate(QUESTIONS):
        if one.thing in ("dog", "animal", "grass"):
            seen[1:20:2, number] = 1
        if one.thing == "person":
            seen[0:20:2, number] = 1
    right = standards.right(Answered(seen, np.ones(seen.shape, np.float32)))
    assert right.value == pytest.approx((4 + 0.5) / 5)  # man is never said
    rows = rows_of(every[0], standards)
    assert [row.task for row in rows] == ["all", "presence", "number", "kind"]
    assert rows[0].agreement == pytest.approx(0.7)
    sure = standards.agreement.balanced(every[0].answers, margin=True)
    assert (rows[0].sure_agreement, rows[0].sure_agreement_ci) == (sure.value, sure.interval)
    undecided = Answered(whole().places, np.zeros_like(whole().leads))
    tied = Standards(Agreement(undecided, QUESTIONS), truth, texts, np.full(10, 10.0), None)
    assert {row.sure_agreement for row in rows_of(every[0], tied)} == {None}
    assert rows[0].accuracy is None
    assert rows[1].accuracy is not None
    assert rows[0].wire_bytes == pytest.approx(110)
    assert rows[0].source == "modelled"
    (line, *_) = sentence_table(every, standards).body
    assert line[:3] == ("klt", "at=50", "50")
    assert line[-2].startswith("2.00")
    assert line[-1].startswith("100.0")


def test_its_picture_is_drawn_from_its_json(every: list[Measured], figures: StreetFigures, tmp_path: Path) -> None:
    standards = Standards(
        Agreement(whole(), QUESTIONS), truth_of(captioned()), whole().texts(QUESTIONS), np.full(10, 10.0), None
    )
    result = SuiteResult(
        suite="street",
        provenance=Provenance("machine", "commit", "2026-01-01"),
        rows=tuple(row for one in every for row in rows_of(one, standards)),
        b99={},
        figures=tuple(figures.all()),
    )
    again = SuiteResult.from_json(result.to_json())
    (path,) = draw_pictures(SuiteResult(**{**vars(again), "pictures": PICTURES}), tmp_path, "street-")
    assert path.name == "street-agreement.png"
    with Image.open(path) as picture:
        assert picture.width > 1000
