"""Suite ``bytes``: what equal answers cost in ``klt`` and ``meta``, beside other people's codecs and an older build.

All codecs of tokens get the same tokens, the bare pixel codecs the same photos at settings chosen on other scenes.
Opponents run as programs of their own (:mod:`heliograph.bench.bytes.opponents`); without them their figures stay empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heliograph.bench.bytes.figures import SceneFigures
from heliograph.bench.bytes.judge import Judge, pixel_rates
from heliograph.bench.bytes.opponents import OLDER, OPPONENTS, Opponent, asked, load_opponents
from heliograph.bench.bytes.photos import MARGIN, TASK_ALL, photo_figures
from heliograph.bench.bytes.plan import BytesPlan
from heliograph.bench.bytes.plot import PICTURES
from heliograph.bench.bytes.rates import Rate, klt_rates, meta_rates
from heliograph.bench.bytes.times import older_build, this_build, time_figures
from heliograph.bench.metrics import ALL
from heliograph.bench.opponents import bare_pictures
from heliograph.bench.outcomes import SURE_MARGIN, Candidate
from heliograph.bench.reference.tuning import tuned_candidates
from heliograph.bench.results import Figure, Provenance, SuiteResult
from heliograph.bench.runner import BUDGET_KNOB
from heliograph.bench.scores import CloudWork, Scores, rows_of
from heliograph.bench.tasks import Item, scene_items
from heliograph.bench.tools import Bench, open_bench, warmed_up
from heliograph.codec.bundle import Bundle
from heliograph.codec.klt import FINENESSES, KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.errors import DataMissingError, MissingExtraError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.training.progress import Progress
from heliograph.types import VisualTokens
from heliograph.vlm.checkpoint.loading import REFERENCE
from heliograph.vlm.model import VisionLanguageModel

PIXEL_SETTINGS = 7
"""Of each bare pixel codec on test scenes; a factor of about two in bytes."""

_TIMED_AGREEMENT = 0.95
_NO_WORK = CloudWork(0.0, 0.0, 0.0, 0.0)

NOTES = (
    "Accuracy and agreement are means over tasks, as in the suite reference, of short answers alone. klt ends at a "
    "level common to all photos, meta behind a number of latents; bytes are means of what that takes, with headers.",
    "Bytes at an agreement, and B99, are read between settings; intervals resample scenes, and ratios are taken on the "
    "same resamples.",
    "Opponents that use klt's transform get the coefficients of this build's bundle, and no restoration; the older "
    "build is cut at byte budgets, as it was meant to be. Of the settings of an opponent the best one counts.",
    f"Sure answers are those whose uncompressed answer leads by a probability of {SURE_MARGIN:g} in the mean of its "
    "tokens; on photos, those with a margin.",
    f"Photos with a margin: the network's first class leads by {MARGIN:g} logits: twice as likely as the next.",
    "Times are medians of processes that take turns, encode and decode of the codec alone, each build at its own rate.",
    "The calibrated stop is a figure of the suite loop.",
)


@dataclass(frozen=True)
class _Scenes:
    """What the photos of all splits gave.

    Attributes:
        groups: scores by codec, the order of its settings kept.
        judge: with the uncompressed answers.
        tokens: (I, N, D) as the device makes them.
        notes: of the opponents.
    """

    groups: Mapping[str, Sequence[Scores]]
    judge: Judge
    tokens: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    notes: tuple[str, ...]


class BytesSuite:
    """``heliograph bench --suite bytes``."""

    name = "bytes"

    def __init__(self, bundle_folder: Path | None = None, opponents: Path = OPPONENTS) -> None:
        self._bundle_folder, self._opponents = bundle_folder, opponents

    def run(self, *, limit: int | None = None, seed_start: int | None = None, quiet: bool = False) -> SuiteResult:
        """Runs it.

        Args:
            limit: stop after so many questions, and so many photos (at least 60).
            seed_start: the first scene's seed, in place of both splits'.
            quiet: show no progress.

        Raises:
            ModelUnavailableError, BundleDamagedError: the reference model or its bundle cannot be loaded.
            DataMissingError: an opponent fails.
        """
        provenance, plan = Provenance.now(), BytesPlan.load(seed_start)
        folder = self._bundle_folder or shipped_bundle_folder()
        opponents = load_opponents(self._opponents)
        with Progress(quiet) as progress:
            progress.say(f"opponents: {', '.join(opponents) or 'none'}")
            bench = open_bench(VisionLanguageModel.load(REFERENCE), Bundle.load(folder))
            scenes = _run_scenes(bench, plan, opponents, limit, progress)
            progress.say("figures on scenes")
            found = SceneFigures(scenes.groups, scenes.judge.uncompressed, bare_pictures())
            figures = list(found.all())
            if OLDER in opponents:
                progress.say("times")
                figures += _times(found, scenes, folder, opponents[OLDER], plan)
            notes = [*NOTES, *scenes.notes]
            try:
                on_photos, photo_rows = photo_figures(plan, opponents, limit, progress)
            except (DataMissingError, MissingExtraError) as missing:
                on_photos, photo_rows = [], []
                notes.append(f"photos left out: {missing.text}")
        whole = scenes.judge.uncompressed
        every = [whole, *(one for settings in scenes.groups.values() for one in settings)]
        rows = [row for one in every for row in rows_of(one, (), _NO_WORK) if row.task == ALL]
        notes.append(
            f"{len(scenes.judge.image_ids)} scenes, {whole.questions(ALL):,} questions; photos: "
            f"{max((r.questions for r in photo_rows if r.task == TASK_ALL), default=0)}, of which "
            f"{min((r.questions for r in photo_rows), default=0)} have a margin."
        )
        return SuiteResult(
            suite=self.name,
            provenance=provenance,
            rows=(*(replace(row, encode_ms=None, decode_ms=None) for row in rows), *photo_rows),
            b99={name: one.value for name, one in found.b99.items()},
            b99_ci={name: one.interval for name, one in found.b99.items()},
            figures=(*figures, *on_photos),
            notes=tuple(notes),
            pictures=PICTURES,
        )


def _run_scenes(
    bench: Bench, plan: BytesPlan, opponents: Mapping[str, Opponent], limit: int | None, progress: Progress
) -> _Scenes:
    items = list(plan.items(limit))
    tuning = list(scene_items(plan.tuning_seed_start, plan.tuning_scenes, descriptions=False, limit=limit))
    bench = warmed_up(bench, [tuning[0].photo])
    candidates = dearest(tuned_candidates(bench, plan, tuning, progress, bare_pictures()))
    progress.say(f"{len(items)} scenes, {len(candidates)} settings of pixel codecs")
    judge = Judge(bench.model, items, _towers(bench, items))
    photos = [bench.device.encode_tokens(item.photo) for item in items]
    groups: dict[str, list[Scores]] = {}
    notes: list[str] = []

    def judged(rates: Iterator[Rate] | Sequence[Rate], text: str) -> None:
        progress.say(text)
        for rate in rates:
            groups.setdefault(rate.codec, []).append(judge.scores(rate, photos[0].grid))

    klt, meta = bench.bundle.codecs.get("klt"), bench.bundle.codecs.get("meta")
    assert isinstance(klt, KltCodec)  # every bundle of a square model has one
    judged(klt_rates(klt, photos, plan.levels), "klt")
    if isinstance(meta, MetaCodec):
        judged(meta_rates(meta, photos, plan.latents), "meta")
    request = {"levels": plan.levels, "budgets": plan.older_budgets, "photos": False}
    for name, opponent in opponents.items():
        answer = asked(opponent, klt, photos, request)
        judged(answer.rates, name)
        notes.append(f"Bytes of {name}: {answer.note}.")
    judged(pixel_rates(candidates, items, bench.model, bench.device), "pixel codecs")
    return _Scenes(groups, judge, np.stack([one.values for one in photos]), tuple(notes))


def dearest(candidates: Sequence[Candidate], count: int = PIXEL_SETTINGS) -> list[Candidate]:
    """The last settings of each codec: of a frontier, cheapest first, those about the highest accuracies."""
    names = dict.fromkeys(one.strategy for one in candidates)
    return [one for name in names for one in [c for c in candidates if c.strategy == name][-count:]]


def _towers(bench: Bench, items: Sequence[Item]) -> list[VisualTokens]:
    return [tokens for item in items for tokens in bench.model.encode_images([item.photo])]


def _times(found: SceneFigures, scenes: _Scenes, folder: Path, older: Opponent, plan: BytesPlan) -> list[Figure]:
    """At the rates at which both builds' answers agree alike, and of whole streams."""
    ours, theirs = (found.at[name, _TIMED_AGREEMENT].value for name in ("klt", OLDER))
    level = _level_at(scenes.groups["klt"], ours or np.inf)
    size, budget = round(ours or max(plan.older_budgets)), round(theirs or max(plan.older_budgets))
    fine = {BUDGET_KNOB: size, "fineness": -level % FINENESSES}
    rated = f"at agreement {_TIMED_AGREEMENT:.2f} ({size} and {budget} bytes)"
    return [
        *time_figures(
            this_build(folder, fine), older_build(older, {BUDGET_KNOB: budget}), scenes.tokens, rated, bounds=True
        ),
        *time_figures(this_build(folder, {}), older_build(older, {}), scenes.tokens, "whole streams", bounds=False),
    ]


def _level_at(settings: Sequence[Scores], size: float) -> int:
    """The coarsest level of so many bytes, else the finest."""
    levels = [int(one.outcome.candidate.setting["level"]) for one in settings]
    return next((level for level, one in zip(levels, settings, strict=True) if one.payload.value >= size), levels[-1])
