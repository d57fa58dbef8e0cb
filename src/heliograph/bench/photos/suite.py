"""Suite ``photos``: the codec on a real pretrained network and real photos, beside tuned pixel codecs.

Fit on 200 photos of ``textvqa-dev``, tested on the other 210. ``klt`` and ``meta`` (trained here,
:mod:`heliograph.bench.photos.codec`) send MobileNetV2's features at the split (7 x 7 x 320) and its tail reads what
a stream of every level restores; bare and standard JPEG, WebP and AVIF send the 224-pixel input over size x quality and
the whole network runs on the decoded pixels. Beside them stand strategies of the other families, as far as they need
nothing trained for this network (:mod:`heliograph.bench.photos.families`). Quality is top-1 agreement with the unsplit
network on the original pixels. Settings of every codec, ours too, are chosen on tuning photos, which are fitting
photos; what is reported comes from the test photos.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heliograph.bench.opponents import bare_pictures, picture_files
from heliograph.bench.photos.choosing import choose
from heliograph.bench.photos.codec import CROPS, train
from heliograph.bench.photos.families import OtherFamilies, measure_features
from heliograph.bench.photos.figures import crossing, figures, row_of, sure_figures
from heliograph.bench.photos.measuring import (
    Measured,
    PhotoTools,
    fit_codec,
    measure_codec,
    measure_pixels,
    tune_pixels,
)
from heliograph.bench.photos.mobilenet import FIT_PHOTOS, TUNING_EVERY, SplitFeatures, load_split_features
from heliograph.bench.report import unreached_note
from heliograph.bench.results import Provenance, SuiteResult
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.training.progress import Progress

B99_AGREEMENT = 0.99
SURE_STEPS = 2
MIN_FITTED = 60
"""Photos that codecs are made from at least, whatever the limit."""


class PhotosSuite:
    """``heliograph bench --suite photos``."""

    name = "photos"

    def run(self, *, limit: int | None = None, seed_start: int | None = None, quiet: bool = False) -> SuiteResult:
        """Runs it.

        Args:
            limit: use only so many test photos (and as many fitting photos, but at least 60); pixel codecs are tuned on
                all tuning photos.
            seed_start: has no meaning for photos; accepted so that every suite is called alike.
            quiet: show no progress.

        Raises:
            DataMissingError: the data folders are not there.
            MissingExtraError: the ``bench`` extra is not installed.
            OutputUnwritableError: the disk refuses.
        """
        provenance = Provenance.now()
        with Progress(quiet) as progress, tempfile.TemporaryDirectory() as name:
            progress.say("features of the photos and their crops")
            features = load_split_features(CROPS, None if limit is None else max(limit, MIN_FITTED))
            test = range(len(features.test))[:limit]
            codecs, chosen = _codecs(features, Path(name), progress)
            measured = [one for codec in codecs for one in measure_codec(codec, features, test, progress)]
            others = OtherFamilies.load()
            measured += measure_features(others.fixed, codecs[0], features, test, progress)
            measured += _pictures(others.guided, features, test, progress)
        sure = np.asarray(features.reference_lead)[test] >= SURE_STEPS
        b99 = {kind: crossing(measured, kind, B99_AGREEMENT) for kind in dict.fromkeys(m.strategy for m in measured)}
        found = (*figures(measured), *sure_figures([m.of(sure) for m in measured]))
        return SuiteResult(
            suite=self.name,
            provenance=provenance,
            rows=tuple(row_of(m, sure) for m in measured),
            b99={kind: value for kind, (value, _) in b99.items()},
            b99_ci={kind: interval for kind, (_, interval) in b99.items()},
            figures=found,
            notes=(*NOTES, chosen, *unreached_note(found)),
        )


NOTES = (
    "Agreement: top-1 class equal to that of the unsplit network on the original 224-pixel input; there are no labels, "
    "so accuracy is empty. The tail repeats the unsplit network exactly on unquantised features (agreement 1).",
    f"klt and meta are made from {FIT_PHOTOS} photos and crops of them; settings of all codecs, the pixel codecs' "
    f"size and quality among them, are chosen on {FIT_PHOTOS // TUNING_EVERY} of those photos; every reported "
    "number comes from the other 210 photos.",
    "b99 here is the mean payload at agreement 0.99.",
    "Of the other families those strategies are measured that need nothing trained for this network, ask for no "
    "attention and enter no tower; guided pictures are guided by their own contrast.",
    "The opponents are the bare pixel codecs, whose boilerplate does not travel; standard files stand beside them.",
    f"Sure classes lead by {SURE_STEPS} steps of the network's eight-bit logits or more; others are ties, which the "
    "smallest change decides.",
)


def _codecs(features: SplitFeatures, folder: Path, progress: Progress) -> tuple[tuple[KltCodec, MetaCodec], str]:
    """Both codecs, from all fitting photos at the settings that the tuning photos chose, and a note of these."""
    chosen = choose(features, folder, progress)
    progress.say(f"fitting klt: {chosen.finest_retained:g} of the energy")
    klt = fit_codec(features, chosen.finest_retained)
    progress.say(f"training meta: {chosen.meta.text}")
    return (klt, train(features, klt, folder / "meta", chosen.meta, progress=progress.say)), chosen.note


def _pictures(
    guided: Sequence[str], features: SplitFeatures, test: Sequence[int], progress: Progress
) -> list[Measured]:
    """Every pixel codec, and those that are guided, at the settings that the tuning photos left."""
    tools, found = PhotoTools(), []
    pixels = [features.test_pixels[i] for i in test]
    classes = [features.reference_top1[i] for i in test]
    for strategy in (*bare_pictures(), *picture_files(), *guided):
        settings = tune_pixels(strategy, features.network, tools, progress)
        for setting in progress.over(settings, f"{strategy} on test photos"):
            found.append(measure_pixels(strategy, setting, features.network, tools, pixels, classes))
    return found
