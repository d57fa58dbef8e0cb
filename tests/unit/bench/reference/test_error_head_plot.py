"""The picture of the error head is drawn from a codec's own facts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from heliograph.bench.reference import error_head_plot
from heliograph.reference.assets import shipped_bundle_folder


def test_the_shipped_codecs_facts_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = shipped_bundle_folder() / "meta.training.json"
    trust = json.loads(facts.read_text(encoding="utf-8"))["error_head"]
    assert trust["auroc"] > 0.8
    assert sum(samples for _, _, samples in trust["reliability"]) == trust["samples"]
    out = tmp_path / "head.png"
    monkeypatch.setattr("sys.argv", ["error_head_plot", str(facts), str(out)])
    error_head_plot.main()
    with Image.open(out) as image:
        assert image.width > 1000
