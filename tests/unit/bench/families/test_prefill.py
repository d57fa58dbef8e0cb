"""Fewer visual tokens in the cloud, on the reference model itself."""

from __future__ import annotations

from heliograph.bench.families.prefill import LADDER, measure_prefill
from heliograph.bench.families.work import reference_work
from heliograph.bench.tasks import scene_items
from heliograph.bench.tools import open_bench
from heliograph.codec.bundle import Bundle
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.training.progress import Progress
from heliograph.vlm.model import VisionLanguageModel


def test_work_falls_with_tokens_and_the_model_is_left_as_it_was() -> None:
    bench = open_bench(VisionLanguageModel.load("reference"), Bundle.load(shipped_bundle_folder()))
    items = list(scene_items(8_100_000, 2, descriptions=False))
    with Progress(quiet=True) as progress:
        found = measure_prefill(bench, items, reference_work().prefill, progress)
    assert [row[0] for row in found.table.body] == [*map(str, LADDER), "64"]
    work = [float(row[1]) for row in found.table.body]
    assert work == sorted(work)
    assert work[-1] == 136.9  # of docs/macs.md: 64 visual tokens and 32 of text
    assert found.table.body[-1][3] == "1.00"
    assert found.figure.must == 0.6
    assert bench.model.images.visual_tokens is None
