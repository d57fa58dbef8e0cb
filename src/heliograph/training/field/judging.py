"""How well the field model sees photos that it has not learnt from, against what people wrote about them.

Every figure stands beside three anchors: the mean photo, a wrong photo and a prefix that was trained without photos. An
idle answer, such as "a man in a shirt", does as well on those as on the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.training.field.packed import PackedReader
from heliograph.training.field.questions import PRESENCE, SENTENCE, Known
from heliograph.training.field.things import KINDS, with_article, words_for
from heliograph.training.meta.error_head import auroc

_AT_ONCE = 4
CHOICES = 10
_FEWEST = 3  # photos with a word, and without, for an area under the curve to mean something
_SEED = 1

Doubles = npt.NDArray[np.float64]
Truth = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Photos to judge by.

    Attributes:
        known: of each, captions among it.
        cells: (I, N, 1280) float16 pooled cells of the vision encoder.
    """

    known: Sequence[Known]
    cells: Tensor

    def __len__(self) -> int:
        return len(self.known)

    def parts(self) -> Iterator[tuple[int, int]]:
        """Begins and ends of a few photos each."""
        for begin in range(0, len(self), _AT_ONCE):
            yield begin, min(begin + _AT_ONCE, len(self))


@torch.no_grad()
def leanings(reader: PackedReader, photos: Judged, questions: Sequence[str]) -> Doubles:
    """(I, Q) float64 how much the model leans to yes: its logit less that of no."""
    made = [
        reader.lean_to_yes(reader.tokens(photos.cells[begin:end].float()), questions) for begin, end in photos.parts()
    ]
    return torch.cat(made).double().numpy()


def named_in_captions(known: Sequence[Known], things: Sequence[str], *, to_the_letter: bool = False) -> Truth:
    """(I, Q) float64, 1 where a photo's captions name a thing, else 0.

    Args:
        known: of I photos, captions among it.
        things: Q of them.
        to_the_letter: the word itself counts, and no plural or other word for the same.
    """
    names = [{thing} if to_the_letter else words_for(thing) for thing in things]
    return np.asarray([[bool(one.photo.words & named) for named in names] for one in known], np.float64)


def presence_known(known: Sequence[Known], things: Sequence[str]) -> Truth:
    """(I, Q) float64, 1 where captions or teacher know that a thing is in a photo, 0 where it is not, else NaN."""
    values = {True: 1.0, False: 0.0, None: np.nan}
    return np.asarray([[values[one.presence(thing)] for thing in things] for one in known], np.float64)


def presence_areas(scores: Doubles, truth: Truth, things: Sequence[str]) -> dict[str, float]:
    """Area under the curve of each thing that captions of some photos name and of others do not.

    Args:
        scores: (I, Q) :func:`leanings` to the presence of these things, see :func:`asked_for`.
        truth: (I, Q) of :func:`named_in_captions`.
        things: that were asked for.
    """
    made = {}
    for place, word in enumerate(things):
        there = truth[:, place] > 0
        area = auroc(scores[:, place], there)
        if area is not None and _FEWEST <= there.sum() <= len(there) - _FEWEST:
            made[word] = area
    return made


def asked_for(things: Iterable[str]) -> list[str]:
    """Questions for the presence of things, one each."""
    return [PRESENCE[0].format(with_article(thing)) for thing in things]


def kind_accuracies(scores: Doubles, truth: Truth) -> dict[str, float]:
    """Balanced accuracy of yes and no about people, animals and vehicles, on photos of which captions or teacher know.

    A kind that all of them have, or none, is left out. Chance is 0.5.

    Args:
        scores: (I, 3) leanings to the presence of :data:`heliograph.training.field.things.KINDS`.
        truth: (I, 3) of :func:`presence_known`.
    """
    made = {}
    for place, kind in enumerate(KINDS):
        there, absent = (scores[truth[:, place] == wanted, place] for wanted in (1, 0))
        if len(there) and len(absent):
            made[kind] = float((there > 0).mean() + (absent <= 0).mean()) / 2
    return made


def shown_and_right(scores: Doubles, truth: Truth) -> tuple[Doubles, Doubles]:
    """How sure the model is of yes or no, as users are shown it where nothing is calibrated, and whether it is right.

    Args:
        scores: (I, Q) leanings to the presence of things.
        truth: (I, Q) of :func:`presence_known`; what nobody is sure of is left out.

    Returns:
        (K,) chances, a half to 1, and (K,) ones and zeros.
    """
    sure = ~np.isnan(truth)
    lean, there = scores[sure], truth[sure] > 0
    return 1 / (1 + np.exp(-np.abs(lean))), ((lean > 0) == there).astype(np.float64)


@torch.no_grad()
def caption_losses(reader: PackedReader, photos: Judged, seen: Callable[[int, int], Tensor]) -> Doubles:
    """(I, 2) float64 of each photo: nats of all its captions, and their tokens.

    Args:
        reader: the model.
        photos: whose captions they are.
        seen: visual tokens (b, N, D) to show for the photos from one place to another.
    """
    made = []
    for begin, end in photos.parts():
        asked = [[(SENTENCE[0], text) for text in one.photo.captions] for one in photos.known[begin:end]]
        found = reader.losses(reader.pack(asked), seen(begin, end))
        counts = [sum(reader.answer_tokens(text) for _, text in pairs) for pairs in asked]
        made += [(float(part.sum()), count) for part, count in zip(torch.split(found, counts), counts, strict=True)]
    return np.asarray(made, np.float64)


def mean_loss(losses: Doubles) -> float:
    """Mean nats a token of (I, 2) :func:`caption_losses`."""
    nats, tokens = losses.sum(0)
    return float(nats / tokens)


def right_photo(reader: PackedReader, photos: Judged) -> Callable[[int, int], Tensor]:
    """Each photo's own tokens."""
    return lambda begin, end: reader.tokens(photos.cells[begin:end].float())


def wrong_photo(reader: PackedReader, photos: Judged) -> Callable[[int, int], Tensor]:
    """Another photo's tokens, of the one half the list away; two photos at least."""
    turned = photos.cells.roll(len(photos) // 2, 0)
    return lambda begin, end: reader.tokens(turned[begin:end].float())


def one_for_all(visual: Tensor) -> Callable[[int, int], Tensor]:
    """The same tokens (N, D) for every photo: of the mean photo, or a prefix that was trained without photos."""
    return lambda begin, end: visual.expand(end - begin, -1, -1)


@torch.no_grad()
def picks_of_ten(reader: PackedReader, photos: Judged, mean: Tensor) -> Doubles:
    """(I,) float64, 1 where the photo's own caption gains more from it, over the mean photo, than nine of other photos.

    Captions that gain equally share the pick, so a model that does not look gets a tenth.

    Args:
        reader: the model.
        photos: to judge by, ten at least, each with a caption.
        mean: (N, D) tokens of the mean photo.
    """
    rng = np.random.default_rng(_SEED)
    hits = []
    for place, one in enumerate(photos.known):
        others = rng.choice([i for i in range(len(photos)) if i != place], CHOICES - 1, replace=False)
        texts = [one.photo.captions[0], *(photos.known[i].photo.captions[0] for i in others)]
        batch = reader.pack([[(SENTENCE[0], text) for text in texts]])
        lengths = [reader.answer_tokens(text) for text in texts]
        own = reader.tokens(photos.cells[place : place + 1].float())
        gains = reader.losses(batch, mean[None]) - reader.losses(batch, own)
        summed = np.asarray([float(part.sum()) for part in torch.split(gains, lengths)])
        hits.append(float(summed[0] == summed.max()) / int((summed == summed.max()).sum()))
    return np.asarray(hits)
