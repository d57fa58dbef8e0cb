"""Suite ``street``: the field model on real photos, from coded visual tokens and from tuned picture files.

::

    photos --device's encoder in eight bits--> klt, meta --> tokens --\\
    photos --JPEG, WebP, AVIF, size and quality chosen on others--> picture --model's own tower--> tokens --+--> answers
    photos --model's own tower, nothing coded--> tokens ------------------------------------------------/

Every photo is asked the same questions in one pass. ``python -m heliograph.bench.street.codec`` makes what is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heliograph.bench.plots import UNCOMPRESSED
from heliograph.bench.results import Figure, Provenance, SuiteResult
from heliograph.bench.semantic import SemanticConsistency
from heliograph.bench.street.agreement import MARGIN, MIN_SHARE, Agreement
from heliograph.bench.street.asked import QUESTIONS
from heliograph.bench.street.device_times import device_times
from heliograph.bench.street.figures import StreetFigures, where_pixels_win
from heliograph.bench.street.judge import Judge, Kept, Measured
from heliograph.bench.street.material import FOLDER, StreetPhotos, names_of, open_bundle, open_field, reader_of, spread
from heliograph.bench.street.names import HEADLINE
from heliograph.bench.street.plan import StreetPlan
from heliograph.bench.street.plot import PICTURES
from heliograph.bench.street.rows import Standards, rows_of, sentence_table, truth_of
from heliograph.bench.street.sent import Sent
from heliograph.bench.street.sentences import Sentences
from heliograph.bench.street.ways import Chosen, Shown, tuned
from heliograph.codec.bundle import Bundle
from heliograph.codec.klt import KltCodec
from heliograph.codec.manifest import MANIFEST, file_digest
from heliograph.codec.meta import MetaCodec
from heliograph.config import FIELD
from heliograph.strategies.base import Setting, label
from heliograph.training.field.judging import CHOICES
from heliograph.training.field.photos import Photo, read_photo
from heliograph.training.progress import Progress
from heliograph.types import FloatArray
from heliograph.vlm.contract import TorchModel

DEVICE_ONLY = "device encoder"
"""Row of the device's own tokens, sent as they are: what its eight bits cost before any codec."""

NOTES = (
    "Agreement is balanced: of each question the mean, over the answers that at least "
    f"{100 * MIN_SHARE:.0f} % of the photos have on the uncompressed path, of the share of photos that keep theirs; "
    "then the mean over questions. The same answers about every photo get what the figures call chance. "
    "As counted: plain share of equal answers, which a model that always says no may have as well. With a margin: "
    f"answers that lead the next by {MARGIN:g} logits.",
    "Presence right: against captions, a thing that none of a photo's captions names counting as absent. "
    "Semantic consistency (SC) says little here: yes and no have a cosine of .73, left and right swapped .99.",
    "Wire bytes: an exchange on an open connection, both directions, with one short question; modelled by the real "
    "sessions of both ends. Payload and times are measured.",
    "Pixel codecs get their own photos at size x quality, and the model's own float32 tower; klt and meta get the "
    "tokens of the device's exported encoder. JPEG files are sequential and progressive, charged apart.",
)


@dataclass(frozen=True)
class _Test:
    """The test photos, captioned ones first."""

    captioned: Sequence[Photo]
    plain: Sequence[Photo]

    @property
    def all(self) -> list[Photo]:
        return [*self.captioned, *self.plain]


class StreetSuite:
    """``heliograph bench --suite street``."""

    name = "street"

    def __init__(self, model_name: str = FIELD, folder: Path = FOLDER) -> None:
        self._model_name, self._folder = model_name, folder

    def run(self, *, limit: int | None = None, seed_start: int | None = None, quiet: bool = False) -> SuiteResult:
        """Runs it; a run that was stopped goes on with the next setting.

        Args:
            limit: use only so many test photos of either kind, but at least 10.
            seed_start: has no meaning for photos; accepted so that every suite is called alike.
            quiet: show no progress.

        Raises:
            ModelUnavailableError: the field model is not there.
            ModelUnsupportedError: this is another one, or it answers alike about all photos.
            BundleDamagedError, CodecModelMismatchError: its bundle was not made, or for another model.
            DataMissingError: photos are not there.
            OutputUnwritableError: the disk refuses.
        """
        provenance, plan = Provenance.now(), StreetPlan.load()
        photos = StreetPhotos.find(plan.tuning_photos)
        model = open_field(self._model_name)
        bundle = open_bundle(model, self._folder)
        most = plan.captioned_photos if limit is None else max(limit, CHOICES)
        test = _Test(spread(photos.captioned, most), spread(photos.plain, min(most, plan.plain_photos)))
        with Progress(quiet) as progress:
            run = _Run(model, bundle, plan, self._folder / "judged", progress)
            chosen = run.tuned(photos.tuning)
            return replace(run.result(test, chosen), suite=self.name, provenance=provenance)


class _Run:
    """One run: settings are chosen on some photos, then all of it is measured on others."""

    def __init__(self, model: TorchModel, bundle: Bundle, plan: StreetPlan, kept: Path, progress: Progress) -> None:
        self._model, self._bundle, self._plan, self._progress = model, bundle, plan, progress
        self._reader, self._folder = reader_of(model), kept

    def tuned(self, photos: Sequence[Photo]) -> Chosen:
        """Settings of each codec and format."""
        return tuned(self._shown(photos), Judge(self._reader), self._plan, self._kept(photos, "tuning"), self._progress)

    def result(self, test: _Test, chosen: Chosen) -> SuiteResult:
        """Everything on the test photos."""
        shown = self._shown(test.all)
        spoken = test.captioned[: self._plan.sentence_photos]
        self._progress.say("uncompressed answers")
        sentences = Sentences(self._reader, [one.captions[0] for one in spoken], shown.exact.mean(axis=0))
        judge, kept = Judge(self._reader, sentences), self._kept(test.all, f"test {len(spoken)}")
        (whole,) = kept.get(UNCOMPRESSED, lambda: [_plainly(UNCOMPRESSED, shown.exact, judge)])
        device = np.stack([one.values for one in shown.encoded.tokens])
        (device_only,) = kept.get(DEVICE_ONLY, lambda: [_plainly(DEVICE_ONLY, device, judge)])
        measured = []
        for name, settings in [*chosen.items(), *self._plan.fixed.items()]:
            for setting in self._progress.over(settings, f"{name} on test photos"):

                def made(name: str = name, setting: Setting = setting) -> list[Measured]:
                    sent, tokens = shown.sent(name, setting)
                    return [Measured(one, *found) for found in [judge.of(tokens)] for one in sent]

                measured += kept.get(f"{name} {label(setting)}", made)
        standards = Standards(
            Agreement(whole.answers, QUESTIONS, self._model.name),
            truth_of(test.captioned),
            whole.answers.texts(QUESTIONS),
            sentences.tokens,
            SemanticConsistency.load(),
        )
        return self._written(shown, [whole, device_only], measured, standards)

    def _written(
        self, shown: Shown, anchors: Sequence[Measured], measured: Sequence[Measured], standards: Standards
    ) -> SuiteResult:
        found = StreetFigures(measured, standards.agreement)
        kind, level = _coder(found)
        codec = self._bundle.codec(kind)
        assert isinstance(codec, KltCodec | MetaCodec)
        times, medians = device_times(self._bundle, codec, level, shown.photos)
        every = [*anchors, *measured]
        counted = standards.agreement.counting()
        return SuiteResult(
            suite="",
            provenance=Provenance("", "", ""),
            rows=tuple(row for one in every for row in rows_of(one, standards)),
            b99={},
            figures=(*found.all(), *_kept_by(anchors[1], standards), *times),
            notes=(
                *NOTES,
                f"{len(shown.photos)} photos, {standards.truth.photos} of them captioned; {len(counted)} of "
                f"{len(QUESTIONS)} questions have answers that differ and count: "
                f"{'; '.join(one.text for one in counted)}",
                *where_pixels_win(found, medians),
            ),
            pictures=PICTURES,
            tables=(sentence_table(every, standards),),
            consistency_floor=standards.floor,
        )

    def _shown(self, photos: Sequence[Photo]) -> Shown:
        return Shown([read_photo(one.path) for one in photos], self._model, self._bundle)

    def _kept(self, photos: Sequence[Photo], what: str) -> Kept:
        made = file_digest(self._bundle.folder / MANIFEST)  # of every file, the device's encoder among them
        key = [what, self._bundle.model, made, *names_of(photos), *(one.text for one in QUESTIONS)]
        return Kept(self._folder, key)


def _plainly(name: str, tokens: FloatArray, judge: Judge) -> Measured:
    """Tokens that nothing was done to; they cost what a table of them cannot say."""
    none = np.zeros(len(tokens))
    return Measured(Sent(name, "", none, none, none, none), *judge.of(tokens))


def _coder(found: StreetFigures) -> tuple[str, int]:
    """The progressive codec that is cheapest at the headline's agreement, and its first setting that reaches that."""
    costs = {name: found.at(name, HEADLINE).value for name in found.ours}
    kind = min(found.ours, key=lambda name: np.inf if (cost := costs[name]) is None else cost)
    points = sorted(found.points[kind], key=lambda one: one.payload.value)
    chosen = next((one for one in points if one.agreement.value >= HEADLINE), points[-1])
    return kind, int(chosen.measured.sent.setting.partition("=")[2])


def _kept_by(device_only: Measured, standards: Standards) -> list[Figure]:
    agreement, right = standards.agreement.balanced(device_only.answers), standards.right(device_only.answers)
    return [
        Figure("agreement of the device's encoder without a codec", agreement.value, agreement.interval),
        Figure("presence right with the device's encoder, without a codec", right.value, right.interval),
    ]
