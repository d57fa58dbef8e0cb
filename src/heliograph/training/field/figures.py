"""The field model's figures on photos that it has not learnt from, with bounds that were set before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.training.field.judging import (
    Judged,
    caption_loss,
    kind_accuracies,
    one_for_all,
    pick_of_ten,
    presence_areas,
    right_photo,
    wrong_photo,
)
from heliograph.training.field.packed import PackedReader
from heliograph.training.field.questions import Known, sentence
from heliograph.training.field.things import THINGS, TRIAL_WORDS

_PREFIX_BATCH, _PREFIX_RATE, _CAPTIONS = 8, 1e-2, 2


@dataclass(frozen=True)
class FieldFigures:
    """What was measured.

    Attributes:
        photos: how many.
        things: area under the curve of each of :data:`THINGS` that enough photos have.
        trial_words: the same of :data:`TRIAL_WORDS`, to the letter.
        kinds: balanced accuracy of yes and no about people, animals and vehicles.
        pick_of_ten: share of captions that are picked among ten.
        caption_loss: nats a token with the ``right``, ``wrong`` and ``mean`` photo, and with a trained ``prefix``.
    """

    photos: int
    things: dict[str, float]
    trial_words: dict[str, float]
    kinds: dict[str, float]
    pick_of_ten: float
    caption_loss: dict[str, float]

    @property
    def bounds(self) -> list[tuple[str, float, float, float]]:
        """Name, value, must and aim of each figure that has bounds, and that enough photos give a value."""
        gain = self.caption_loss["prefix"] - self.caption_loss["right"]
        things = "presence of twenty things that captions name, mean area under the curve"
        kinds = "people, animals, vehicles: balanced accuracy of yes and no"
        return [
            *((things, _mean(values), 0.85, 0.90) for values in [self.things] if values),
            *((kinds, _mean(values), 0.85, 0.92) for values in [self.kinds] if values),
            ("own caption picked among ten", self.pick_of_ten, 0.72, 0.80),
            ("caption loss below that of a trained prefix without photo, nats a token", gain, 0.30, 0.45),
        ]

    def as_json(self) -> dict[str, object]:
        """JSON values."""
        named = {name: {"value": round(v, 4), "must": must, "aim": aim} for name, v, must, aim in self.bounds}
        return {
            "photos": self.photos,
            "figures": named,
            "things": _rounded(self.things),
            "words_of_the_trial": _rounded(self.trial_words),
            "kinds": _rounded(self.kinds),
            "caption_loss": _rounded(self.caption_loss),
        }


def measure(
    reader: PackedReader, test: Judged, learnt: Sequence[Known], mean: Tensor, prefix_seconds: float, seed: int = 0
) -> FieldFigures:
    """Measure a trained model.

    Args:
        reader: the model.
        test: photos that it has not learnt from.
        learnt: photos that it has learnt from, whose captions the prefix without photo is trained on.
        mean: (1, N, 1280) cells of the mean photo.
        prefix_seconds: of training that prefix.
        seed: of its batches.
    """
    with torch.no_grad():
        usual = reader.tokens(mean)[0]  # (N, D)
    prefix = trained_prefix(reader, learnt, usual, prefix_seconds, seed)
    return FieldFigures(
        photos=len(test),
        things=presence_areas(reader, test, THINGS),
        trial_words=presence_areas(reader, test, TRIAL_WORDS, to_the_letter=True),
        kinds=kind_accuracies(reader, test),
        pick_of_ten=pick_of_ten(reader, test, usual),
        caption_loss={
            "right": caption_loss(reader, test, right_photo(reader, test)),
            "wrong": caption_loss(reader, test, wrong_photo(reader, test)),
            "mean": caption_loss(reader, test, one_for_all(usual)),
            "prefix": caption_loss(reader, test, one_for_all(prefix)),
        },
    )


def trained_prefix(reader: PackedReader, learnt: Sequence[Known], start: Tensor, seconds: float, seed: int) -> Tensor:
    """(N, D) tokens in place of any photo's with which captions are likeliest: what can be said without looking.

    Args:
        reader: the model, which stays as it is.
        learnt: photos with captions.
        start: (N, D) to begin from.
        seconds: of training.
        seed: of batches.
    """
    prefix = nn.Parameter(start.clone())
    optimiser = torch.optim.Adam([prefix], lr=_PREFIX_RATE)
    rng = np.random.default_rng(seed)
    captioned = [one.photo for one in learnt if one.photo.captions]
    began = time.monotonic()
    while (share := (time.monotonic() - began) / seconds) < 1:
        optimiser.param_groups[0]["lr"] = _PREFIX_RATE * (1 - 0.9 * share)
        chosen = [captioned[i] for i in rng.choice(len(captioned), _PREFIX_BATCH)]
        batch = reader.pack([[sentence(photo, rng) for _ in range(_CAPTIONS)] for photo in chosen])
        loss = reader.losses(batch, prefix.expand(len(chosen), -1, -1)).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return prefix.detach()


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
