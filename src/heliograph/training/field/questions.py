"""Questions about a photo whose answers a teacher or its captions know: presence, kind, number, colour, a sentence.

::

    captions (people) ------┐                     ┌--> "Is there a dog in the picture?"  yes / no, as many of each
    boxes (COCO detector) --┼--> Known of a photo-┼--> "How many people are there?"      0 to 4
    classes (ImageNet) -----┘                     ├--> "What animal is in the picture?"  dog / none
                                                  ├--> "What colour is the bus?"         from pixels inside its box
                                                  └--> "Describe the picture."           one of the captions

What nobody is sure of is not asked: a thing that the detector half sees is neither there nor absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.training.field.photos import Photo
from heliograph.training.field.things import (
    ANIMAL,
    COLOURS,
    DETECTED_AS,
    KINDS,
    PERSON,
    THINGS,
    VEHICLE,
    plural,
    with_article,
    words_for,
)

Pair = tuple[str, str]
"""Question and answer."""

SURE, UNSURE = 0.6, 0.2
"""Scores of the detector from which a thing is there, and below which it is not."""

MAX_COUNTED = 4
NOTHING = "none"
_FEW = 12
"""Photos below which what is rarer is asked for no more often, for these photos would be learnt by heart."""
_SURE_CLASS = 0.5  # probability from which the encoder's own classifier names the main thing

PRESENCE = ("Is there {} in the picture?", "Is there {}?", "Do you see {}?", "Does the picture show {}?")
NUMBER = ("How many {} are there?", "How many {} are in the picture?", "Count the {}.")
KIND = ("What {} is in the picture?", "What {} is there?", "Which {} do you see?")
COLOUR = ("What colour is the {}?", "Which colour does the {} have?")
MAIN = ("What is the main thing in the picture?", "What does the picture show?")
SENTENCE = ("Describe the picture.", "What is happening in the picture?", "Describe the photo in a sentence.")


@dataclass(frozen=True)
class Thing:
    """Something in a photo.

    Attributes:
        name: of :data:`heliograph.training.field.things.COCO`.
        score: how sure the detector is, 0 to 1.
        colour: of most pixels in the middle of its box; empty where no colour stands out.
    """

    name: str
    score: float
    colour: str = ""


@dataclass(frozen=True)
class Known:
    """What is known of a photo.

    Attributes:
        photo: with what people say of it.
        things: of the detector, of any score.
        main: the encoder's own class and its probability.
    """

    photo: Photo
    things: tuple[Thing, ...] = ()
    main: tuple[str, float] = ("", 0.0)

    def presence(self, thing: str) -> bool | None:
        """Whether a thing, kind or word is there; None where nobody is sure."""
        names = DETECTED_AS.get(thing, frozenset((thing,)))
        score = max((one.score for one in self.things if one.name in names), default=0.0)
        if self.photo.captions:
            if self.photo.words & words_for(thing):
                return True
            if thing not in KINDS and not any(one.name in names for one in self.things):
                return False
        if score >= SURE:
            return True
        return False if score < UNSURE else None

    def count(self, thing: str) -> int | None:
        """How many of a thing there are, 0 to 4; None where nobody is sure or there are more.

        Nobody is sure either where captions name what the detector does not see.
        """
        scores = [one.score for one in self.things if one.name == thing]
        sure = sum(score >= SURE for score in scores)
        if any(UNSURE <= score < SURE for score in scores) or sure > MAX_COUNTED:
            return None
        return None if sure == 0 and self.presence(thing) else sure


class QuestionMaker:
    """Draws questions with answers.

    Args:
        vocabulary: things that presence is asked of; of photos with captions :data:`THINGS` and colours as well. The
            fruit "orange" is not: a detector that sees none does not know whether something is orange.
        seen: photos that will be asked about, for even questions: a kind is asked for as often where it is as where it
            is not, and a thing about as often, so that the question itself gives nothing away. Most photos show people,
            and a model that is mostly asked for people where they are says yes without looking. Without them, a kind is
            a thing like any other.
    """

    def __init__(self, vocabulary: Sequence[str], seen: Sequence[Known] = ()) -> None:
        self._vocabulary = tuple(thing for thing in vocabulary if thing not in COLOURS)
        self._counts: Counter[tuple[str, bool | None]] = Counter()
        self._counts.update((thing, one.presence(thing)) for one in seen for thing in (*KINDS, *self._things(one)))

    def draw(self, known: Known, rng: np.random.Generator, count: int) -> list[Pair]:
        """``count`` questions, of presence half of them; fewer where little is known, but one unless nothing is.

        Where they are even, a third are about kinds, as far as that evens out.
        """
        kinds = [one for _ in range(count // 3) if self._counts and (one := self._of_kind(known, rng))]
        rest = range(count // 2 - len(kinds))
        made = kinds + [one for _ in rest if (one := self._of_thing(known, bool(rng.integers(2)), rng))]
        others = [one for make in (_number, _kind, _colour, _main) if (one := make(known, rng)) is not None]
        order = rng.permutation(len(others))[: count - len(made)]
        made += [others[place] for place in order]
        return made or [one for wanted in (False, True) if (one := self._of_thing(known, wanted, rng))][:1]

    def _things(self, known: Known) -> list[str]:
        more = (*THINGS, *sorted(COLOURS)) if known.photo.captions else ()
        kinds = () if self._counts else KINDS
        return list(dict.fromkeys([*kinds, *self._vocabulary, *more]))

    def _of_kind(self, known: Known, rng: np.random.Generator) -> Pair | None:
        """About a kind; where most photos have the same answer, that is asked for as rarely as the other one."""
        for place in rng.permutation(len(KINDS)):
            kind = tuple(KINDS)[place]
            there = known.presence(kind)
            if there is not None and rng.random() * self._counts[kind, there] <= self._counts[kind, not there]:
                return _asked_for(kind, there, rng)
        return None

    def _of_thing(self, known: Known, wanted: bool, rng: np.random.Generator) -> Pair | None:
        """About something that is there, or that is not: what few photos show, and what few do not, most often."""
        fitting = [thing for thing in self._things(known) if known.presence(thing) is wanted]
        if not fitting:
            return None
        odds = np.asarray([1 / max(_FEW, self._counts[thing, wanted]) for thing in fitting])
        return _asked_for(fitting[int(rng.choice(len(fitting), p=odds / odds.sum()))], wanted, rng)


def _asked_for(thing: str, there: bool, rng: np.random.Generator) -> Pair:
    return _worded(PRESENCE, rng).format(with_article(thing)), "yes" if there else "no"


def sentence(photo: Photo, rng: np.random.Generator) -> Pair:
    """A question for a sentence, and one of the captions, of which there must be any."""
    return _worded(SENTENCE, rng), photo.captions[int(rng.integers(len(photo.captions)))]


def _number(known: Known, rng: np.random.Generator) -> Pair | None:
    names = list(dict.fromkeys([PERSON, *(one.name for one in known.things if one.score >= SURE)]))
    name = names[int(rng.integers(len(names)))]
    count = known.count(name)
    if count is None or (count == 0 and rng.random() < 0.5):
        return None
    return _worded(NUMBER, rng).format(plural(name)), str(count)


def _kind(known: Known, rng: np.random.Generator) -> Pair | None:
    kind = (ANIMAL, VEHICLE)[int(rng.integers(2))]
    there = known.presence(kind)
    if there is None:
        return None
    names = {one.name for one in known.things if one.name in KINDS[kind] and one.score >= SURE}
    if there and len(names) != 1:
        return None
    if not there and rng.random() < 0.7:
        return None
    return _worded(KIND, rng).format(kind), names.pop() if there else NOTHING


def _colour(known: Known, rng: np.random.Generator) -> Pair | None:
    names = [one.name for one in known.things if one.score >= SURE]
    alone = [one for one in known.things if one.score >= SURE and one.colour and names.count(one.name) == 1]
    alone = [one for one in alone if one.name != PERSON]
    if not alone:
        return None
    chosen = alone[int(rng.integers(len(alone)))]
    return _worded(COLOUR, rng).format(chosen.name), chosen.colour


def _main(known: Known, rng: np.random.Generator) -> Pair | None:
    name, probability = known.main
    return (_worded(MAIN, rng), with_article(name)) if probability >= _SURE_CLASS else None


def _worded(wordings: Sequence[str], rng: np.random.Generator) -> str:
    return wordings[int(rng.integers(len(wordings)))]
