"""What a device finds in words: its reader's lines, what its own model says; refused where there is neither."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from heliograph.boxes import PixelBox
from heliograph.codec.bundle import Bundle
from heliograph.edge import reader as reader_module
from heliograph.edge.device import Device
from heliograph.edge.reader import Line
from heliograph.errors import BundleDamagedError, MissingExtraError
from heliograph.reference.assets import demo_photo_path
from heliograph.strategies.perception import ReadLine

PHOTO = Image.new("RGB", (400, 200))


def test_lines_are_in_shares_of_the_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Line("OPEN", PixelBox(100, 20, 200, 60), 40.0, 0.75)]
    monkeypatch.setattr(reader_module, "Reader", lambda: SimpleNamespace(lines=lambda photo: found))
    assert Device(None).text_lines(PHOTO) == [ReadLine("OPEN", 0.25, 0.1, 0.5, 0.3, 0.1, 0.75)]


def test_a_device_without_a_reader_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(MissingExtraError) as caught:
        Device(None).encode(PHOTO, "read")
    assert "heliograph[ocr]" in str(caught.value)


def test_the_local_model_describes_the_photo(reference_pair: Any) -> None:
    device = Device(Bundle.load(reference_pair.bundle))
    with Image.open(demo_photo_path()) as photo:
        text = device.describe(photo.convert("RGB"))
    assert "a sign K52 top right" in text
    assert text.endswith(".")


def test_a_bundle_without_a_language_model_is_refused_before_the_tower_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle: Any = SimpleNamespace(local_model_path=None, folder="here")
    device = Device(bundle)
    monkeypatch.setattr(Device, "encode_tokens", lambda *given: pytest.fail("the tower ran"))
    for refused in (device, Device(None)):
        with pytest.raises(BundleDamagedError):
            refused.encode(PHOTO, "caption")
