"""Suite ``second-look``: is the answer legible in what has arrived?

No model answers here. A frozen reader (PP-OCRv6 small, of the package rapidocr) reads what a photo's first stage and
its crops restore, and an answer counts where it can be read.

::

    textvqa-dev --every rendering--> pieces (bytes, texts; kept on disk) --ways of sending--> legible share, bytes
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from heliograph.bench.data import data_folder
from heliograph.bench.device.process import peak_memory_mb
from heliograph.bench.results import Provenance, SuiteResult
from heliograph.bench.second_look.figures import figures_of, played, questions_table, rows_of, times_table
from heliograph.bench.second_look.pieces import Pieces
from heliograph.bench.second_look.plan import SecondLookPlan, second_look_plan
from heliograph.bench.second_look.plot import PICTURES
from heliograph.bench.second_look.policies import Case, Cases
from heliograph.bench.second_look.questions import DATA, MIN_PEOPLE, Asked, Kind, load_questions
from heliograph.controllers.region.policies import drawn
from heliograph.edge.reader import Detector, Reader, Reads
from heliograph.errors import DataMissingError
from heliograph.training.progress import Progress


class SecondLookSuite:
    """``heliograph bench --suite second-look``.

    Args:
        reader: makes the cloud's reader, when something has to be read.
        detector: makes the device's, by the longest edge that it looks at.
        data: folder with ``photos`` and ``questions.jsonl``; None for ``textvqa-dev``.
        folder: where what was read is kept, in place of the plan's.
    """

    name = "second-look"

    def __init__(
        self,
        reader: Callable[[], Reads] = Reader,
        detector: Callable[[int], Reads] = Detector,
        data: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        self._reader, self._detector, self._data, self._folder = reader, detector, data, folder

    def run(self, *, limit: int | None = None, seed_start: int | None = None, quiet: bool = False) -> SuiteResult:
        """Runs it; a run that was stopped goes on where it was.

        Args:
            limit: stop after so many questions, those of whole photos that a fixed shuffle puts first.
            seed_start: of no use here, since nothing is generated.
            quiet: show no progress.

        Raises:
            DataMissingError: the photos or their questions are not there.
            MissingExtraError: the extra ``ocr`` is not installed, and something has to be read.
        """
        provenance, plan = Provenance.now(), second_look_plan()
        plan = replace(plan, folder=self._folder or plan.folder)
        data = self._data or data_folder(DATA)
        asked = first_questions(load_questions(data), limit)
        pieces = Pieces(plan, self._reader, self._detector, data / "photos")
        with Progress(quiet) as progress:
            cases = self._cases(asked, pieces, progress)
            progress.say("figures")
            ways = played(cases, plan)
            return SuiteResult(
                suite=self.name,
                provenance=provenance,
                rows=rows_of(cases, ways),
                b99={},
                figures=figures_of(cases, ways),
                notes=_notes(asked, cases, plan),
                tables=(questions_table(asked, ways), times_table(ways)),
                peak_memory_mb={"bench with reader and detectors": peak_memory_mb()},
                pictures=PICTURES,
            )

    @staticmethod
    def _cases(asked: Sequence[Asked], pieces: Pieces, progress: Progress) -> Cases:
        by_photo: dict[str, list[Asked]] = {}
        for one in asked:
            by_photo.setdefault(one.photo, []).append(one)
        found = []
        for name in progress.over(list(by_photo), "photos read"):
            seen = pieces.of(name, by_photo[name])
            found += [Case(one, seen) for one in by_photo[name] if one.kind is Kind.TEXT]
        if not found:
            raise DataMissingError().noted("no question has an answer that could be text.")
        return Cases(found)


def first_questions(asked: Sequence[Asked], limit: int | None) -> list[Asked]:
    """All questions, or those of so many photos that ``limit`` is reached, in an order that is the same for every run.

    The order has nothing to do with names: a part of it stands for all photos.
    """
    by_photo: dict[str, list[Asked]] = {}
    for one in asked:
        by_photo.setdefault(one.photo, []).append(one)
    found: list[Asked] = []
    for name in sorted(by_photo, key=lambda photo: drawn(photo.encode(), b"order")):
        if limit is not None and len(found) >= limit:
            break
        found += by_photo[name]
    return found


def _notes(asked: Sequence[Asked], cases: Cases, plan: SecondLookPlan) -> tuple[str, ...]:
    photos = len({one.photo for one in asked})
    budgets = ", ".join(f"{budget:,}" for budget in plan.budgets)
    return (
        "accuracy is the legible share: an answer that people agree on can be read in what has arrived (metrics).",
        f"{len(asked)} questions about {photos} photos of {DATA}, of which {len(cases.cases)} have an answer that at "
        f"least {MIN_PEOPLE} of ten people gave and that can be text; these are counted. Intervals resample photos.",
        f"Photos and crops travel as {plan.picture}; payload is files and boxes of crops, every question by itself; "
        "wire bytes add messages and frames, not the texts of question and answer.",
        f"First stage: {plan.first.label}. text: crops around what the device's detector finds, within {budgets} bytes "
        "or all; first=448 sends that photo in place of the first stage. Tables show the settings that no cheaper one "
        "beats.",
        "Chosen on the other half: of the whole photo at 1024 pixels the cheapest setting within a point of the best, "
        "of text crops the cheapest within two points of that. Halves are every other photo by name.",
        "true place: the lines that show the answer at full size, one crop a question; no crop where none shows it.",
        "The reader enlarges what is small, twice at most, and counts lines read with a score of 0.5 or more.",
    )
