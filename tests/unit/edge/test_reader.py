"""The reader and the detector of rapidocr."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from heliograph.bench.second_look.questions import legible, vqa_form
from heliograph.boxes import PixelBox
from heliograph.controllers.region.find import holds
from heliograph.edge.reader import Detector, Reader, enlarged
from heliograph.errors import MissingExtraError


def test_small_pictures_are_enlarged_twice_and_large_ones_not() -> None:
    assert enlarged(Image.new("RGB", (224, 100))).size == (448, 200)
    assert enlarged(Image.new("RGB", (300, 800))).size == (384, 1024)
    assert enlarged(Image.new("RGB", (1024, 700))).size == (1024, 700)


@pytest.mark.parametrize("make", [Reader, lambda: Detector(448)])
def test_without_the_package_the_extra_is_named(make: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(MissingExtraError) as caught:
        make()
    assert caught.value.extra == "ocr"


def test_a_sign_is_found_and_read_and_neither_disturbs_the_other() -> None:
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    photo = Image.new("RGB", (400, 300), "white")
    font = ImageFont.load_default(size=40)
    ImageDraw.Draw(photo).text((80, 120), "PLATFORM 42", fill="black", font=font)
    shown = PixelBox(*map(round, ImageDraw.Draw(photo).textbbox((80, 120), "PLATFORM 42", font=font)))
    reader, detector = Reader(), Detector(200)
    (found,) = detector.lines(photo)
    (line,) = reader.lines(photo)  # after a detector's call: what that leaves out must not be left out here
    assert legible(["platform 42"], [vqa_form(line.text)])
    assert found.text == ""
    assert 20 < found.height < 80
    middle = PixelBox(shown.left + 20, shown.top + 10, shown.right - 20, shown.bottom - 10)
    assert holds(found.box, middle)
    assert holds(line.box, middle)
    assert reader.lines(Image.new("RGB", (400, 300), "white")) == detector.lines(Image.new("RGB", (64, 64))) == []


def test_a_line_of_text_is_read_at_its_own_size_and_not_enlarged_by_its_shorter_edge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """rapidocr 3.10.0 enlarges until the shorter edge has 736 pixels: findings/rapidocr-enlarges-a-line-of-text.sh."""
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    det = import_module("rapidocr.ch_ppocr_det")
    given: list[tuple[int, int]] = []
    usual = det.TextDetector.__call__

    def watched(self: Any, picture: Any) -> Any:
        network = self.session
        self.session = lambda values: (given.append(values.shape[2:]), network(values))[1]
        made = usual(self, picture)
        self.session = network
        return made

    monkeypatch.setattr(det.TextDetector, "__call__", watched)
    Reader().lines(Image.new("RGB", (480, 96), "white"))
    Detector(320).lines(Image.new("RGB", (480, 96), "white"))
    assert given == [(192, 960), (64, 320)]  # enlarged twice by the reader itself; shrunk by the detector


def test_the_package_reads_from_files_of_its_own() -> None:
    rapidocr = pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    models = Path(rapidocr.__file__).parent / "models"
    assert {"PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"} <= {path.name for path in models.iterdir()}
