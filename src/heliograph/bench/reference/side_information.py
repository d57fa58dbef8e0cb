"""Does the question help where ``side-info`` restores ``meta``'s stream? The same bytes, restored in five ways.

``python -m heliograph.bench.reference.side_information``

::

    scene --meta at some latents--> stream --+-- meta                                          plain
                                             +-- side-info, the question that is asked         asked
                                             +-- side-info, a question without a word          wordless
                                             +-- side-info, same scene, another kind           another
                                             +-- side-info, another scene, the same kind       foreign
                                             every question is answered from the tokens of each way

What ``wordless`` has over ``plain`` is what the larger decoder gives; what ``asked`` has over the last three is what
the question gives. Differences are between answers to the same questions, their intervals from resamples of scenes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from heliograph.bench.definitions import tasks
from heliograph.bench.metrics import ALL
from heliograph.bench.outcomes import Candidate, Outcome, PhotoOutcome
from heliograph.bench.runner import CHUNK_PHOTOS, SHORT_ANSWER_TOKENS
from heliograph.bench.scores import Mean, Scores
from heliograph.bench.tasks import Item, scene_items
from heliograph.bench.tools import Bench, open_bench
from heliograph.codec.bundle import Bundle
from heliograph.codec.fallback import LEARNED, written_by
from heliograph.errors import UsageError
from heliograph.reference.assets import shipped_bundle_folder, shipped_model_folder
from heliograph.registry import STRATEGIES
from heliograph.training.progress import Progress
from heliograph.types import Answer, EncodedImage, QuestionRecord, VisualTokens
from heliograph.vlm.model import VisionLanguageModel

SCENES, SEED_START = 200, 8_170_000  # of the test split, where no suite and no other comparison is
LATENTS = (10, 16, 28)
PLAIN, ASKED, WORDLESS, ANOTHER, FOREIGN = WAYS = ("plain", "asked", "wordless", "another", "foreign")
SIDE_INFO = "side-info"
_NO_WORDS = "?"  # a question to the strategy, and nothing to its bag of words: all its features are zero


@dataclass(frozen=True)
class Rate:
    """What one rate gave.

    Attributes:
        latents: of ``meta``'s stream.
        ways: bytes, and agreement with the uncompressed answers, of each way.
        beside: the same, and agreement with the answers of ``asked`` in place of the uncompressed ones.
        left_out: scenes that ``meta`` left to ``klt``, where all ways are the same.
    """

    latents: int
    ways: dict[str, Scores]
    beside: dict[str, Scores]
    left_out: int


class Comparison:
    """Answers the same questions from the same streams in every way.

    Args:
        bench: both ends and the model.
        items: scenes with their questions.

    Raises:
        UsageError: so few scenes that a question has no other one to stand in its place.
    """

    def __init__(self, bench: Bench, items: Sequence[Item]) -> None:
        self._bench, self._items = bench, items
        self._meta = STRATEGIES.load(LEARNED)()
        self._questions = {
            (place, number): _questions(items, place, record)
            for place, item in enumerate(items)
            for number, record in enumerate(item.records)
        }

    def rates(self, latents: Sequence[int], progress: Progress) -> list[Rate]:
        """One after another on every scene; the uncompressed answers are made once."""
        found = {count: _Kept.empty(count) for count in latents}
        advance = progress.bar(len(self._items), "scenes")
        for start in range(0, len(self._items), CHUNK_PHOTOS):
            places = range(start, min(start + CHUNK_PHOTOS, len(self._items)))
            whole = self._bench.model.encode_images([self._items[place].photo for place in places])
            asked = [len(self._items[place].records) for place in places]
            wanted = self._answers(places, [[one] * count for one, count in zip(whole, asked, strict=True)])
            for count in latents:
                self._run(count, places, wanted, found[count])
            advance(len(places))
        image_ids = [item.image_id for item in self._items]
        return [kept.rate(image_ids) for kept in found.values()]

    def _run(self, latents: int, places: range, wanted: list[list[Answer]], kept: _Kept) -> None:
        """A chunk of scenes at one rate."""
        streams = []
        for place in places:
            setting = self._meta.complete_setting({"latents": latents})
            streams.append(self._bench.device.encode(self._meta, self._items[place].photo, setting).stream)
        kept.left_out += sum(written_by(stream)[0] != LEARNED for stream in streams)
        answers = {
            way: self._answers(places, [self._restored(way, *one) for one in zip(places, streams, strict=True)])
            for way in WAYS
        }
        for way in WAYS:
            for row, place in enumerate(places):
                item, cost = self._items[place], PhotoOutcome(streams[row].payload_bytes, 0.0, 0.0)
                for outcome, expected in ((kept.ways[way], wanted), (kept.beside[way], answers[ASKED])):
                    outcome.photos[item.image_id] = cost
                    outcome.add_answers(item, answers[way][row], expected[row])

    def _restored(self, way: str, place: int, stream: EncodedImage) -> list[VisualTokens]:
        """The tokens for each of a scene's questions, the same object where they do not differ."""
        questions = [self._questions[place, n].get(way, "") for n in range(len(self._items[place].records))]
        sent = stream if way == PLAIN else replace(stream, strategy=SIDE_INFO)
        made = {question: self._bench.cloud.seen(sent, question).tokens for question in dict.fromkeys(questions)}
        return [tokens for question in questions if (tokens := made[question]) is not None]

    def _answers(self, places: range, seen: Sequence[Sequence[VisualTokens]]) -> list[list[Answer]]:
        """Answers per scene, in the order of its questions."""
        asked = [
            (record.question, [tokens])
            for place, own in zip(places, seen, strict=True)
            for record, tokens in zip(self._items[place].records, own, strict=True)
        ]
        made = iter(self._bench.model.answer_many(asked, max_new_tokens=SHORT_ANSWER_TOKENS))
        return [list(islice(made, len(self._items[place].records))) for place in places]


@dataclass
class _Kept:
    """Outcomes of a rate as they come, by way."""

    latents: int
    ways: dict[str, Outcome]
    beside: dict[str, Outcome]
    left_out: int = 0

    @classmethod
    def empty(cls, latents: int) -> _Kept:
        ways, beside = ({way: Outcome(Candidate(way, {"latents": latents})) for way in WAYS} for _ in range(2))
        return cls(latents, ways, beside)

    def rate(self, image_ids: Sequence[str]) -> Rate:
        ways = {way: Scores(one, image_ids) for way, one in self.ways.items()}
        beside = {way: Scores(one, image_ids) for way, one in self.beside.items()}
        return Rate(self.latents, ways, beside, self.left_out)


def _questions(items: Sequence[Item], place: int, record: QuestionRecord) -> dict[str, str]:
    """What each way says is asked; ``plain`` says nothing."""
    another = [one for one in items[place].records if one.task != record.task]
    foreign = (
        one
        for step in range(1, len(items))
        for one in items[(place + step) % len(items)].records
        if one.task == record.task and one.question != record.question
    )
    elsewhere = next(foreign, None)
    if not another or elsewhere is None:
        raise UsageError.of_argument("scenes", "enough for other questions of every kind", len(items))
    return {
        ASKED: record.question,
        WORDLESS: _NO_WORDS,
        ANOTHER: another[place % len(another)].question,  # not always of the same kind
        FOREIGN: elsewhere.question,
    }


def in_the_mean(items: Sequence[Item]) -> Iterator[Item]:
    """The same scenes with the questions that the mean over tasks is of."""
    for item in items:
        yield replace(item, records=tuple(one for one in item.records if tasks()[one.task].in_mean))


def less(one: Mean, other: Mean) -> Mean:
    """A difference on the same resamples."""
    return Mean(one.value - other.value, one.samples - other.samples)


def table(rates: Sequence[Rate]) -> str:
    """A row a rate and way as Markdown: what it has over ``plain``, and what ``asked`` has over it."""
    head = ["latents", "bytes", "way", "agreement", "less plain", "asked less it", "accuracy", "less plain"]
    head += ["asked less it", "answers as asked"]
    lines = ["| " + " | ".join(head) + " |", "| ---: | ---: | --- |" + " ---: |" * (len(head) - 3)]
    for rate in rates:
        plain, asked = rate.ways[PLAIN], rate.ways[ASKED]
        for way, scores in rate.ways.items():
            cells = [str(rate.latents), f"{scores.payload.value:.1f}", way]
            for figure in (Scores.agreement, Scores.accuracy):
                own = figure(scores, ALL)
                cells.append(_text(own, ""))
                cells.append("" if way == PLAIN else _text(less(own, figure(plain, ALL)), "+"))
                cells.append("" if way == ASKED else _text(less(figure(asked, ALL), own), "+"))
            cells.append(_text(rate.beside[way].agreement(), ""))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _text(mean: Mean, sign: str) -> str:
    """Three digits, with the interval."""
    around = mean.interval
    shown = f"{mean.value:{sign}.3f}"
    return shown if around is None else f"{shown} [{around[0]:{sign}.3f}, {around[1]:{sign}.3f}]"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=SCENES, help="how many (default: %(default)d)")
    parser.add_argument("--seed-start", type=int, default=SEED_START, help="of the first scene (default: %(default)d)")
    parser.add_argument("--latents", type=int, nargs="+", default=LATENTS, help="of the streams (default: %(default)s)")
    arguments = parser.parse_args()
    items = list(in_the_mean(list(scene_items(arguments.seed_start, arguments.scenes, descriptions=False))))
    bench = open_bench(VisionLanguageModel.load(str(shipped_model_folder())), Bundle.load(shipped_bundle_folder()))
    with Progress() as progress:
        found = Comparison(bench, items).rates(arguments.latents, progress)
    print(table(found))
    left_out = max(rate.left_out for rate in found)
    print(f"\n{len(items)} scenes, {sum(len(one.records) for one in items)} questions; {left_out} scenes left to klt.")


if __name__ == "__main__":
    main()
