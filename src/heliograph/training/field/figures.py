"""The field model's figures on photos that it has not learnt from, with bounds that were set before."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from heliograph.training.field.judging import (
    Doubles,
    Judged,
    Truth,
    asked_for,
    caption_losses,
    kind_accuracies,
    leanings,
    mean_loss,
    named_in_captions,
    one_for_all,
    picks_of_ten,
    presence_areas,
    presence_known,
    right_photo,
    shown_and_right,
    wrong_photo,
)
from heliograph.training.field.packed import PackedReader
from heliograph.training.field.questions import Known, sentence
from heliograph.training.field.things import KINDS, THINGS, TRIAL_WORDS
from heliograph.training.meta.error_head import reliability

_PREFIX_BATCH, _PREFIX_RATE, _CAPTIONS = 8, 1e-2, 2


Rows = npt.NDArray[np.int64]

_RESAMPLES, _LEVEL, _SEED = 1000, 95, 1
_THINGS = "presence of twenty things that captions name, mean area under the curve"
_KINDS = "people, animals, vehicles: balanced accuracy of yes and no"
_PICK = "own caption picked among ten"
_GAIN = "caption loss below that of a trained prefix without photo, nats a token"
_CALIBRATION = "calibration error of yes and no about things and kinds"
BOUNDS = {
    _THINGS: (0.85, 0.90),
    _KINDS: (0.85, 0.92),
    _PICK: (0.72, 0.80),
    _GAIN: (0.30, 0.45),
    _CALIBRATION: (0.05, 0.03),
}
"""Must and aim of each figure that has them."""


@dataclass(frozen=True)
class FieldFigures:
    """What was measured on I photos.

    Attributes:
        known: of the photos.
        things, trial_words, kinds: (I, Q) leanings to the presence of :data:`THINGS`, :data:`TRIAL_WORDS` and
            :data:`KINDS`.
        picks: (I,) whether the own caption was picked among ten.
        losses: (I, 2) nats and tokens of captions with the ``right``, ``wrong`` and ``mean`` photo, and with a trained
            ``prefix``.
    """

    known: Sequence[Known]
    things: Doubles
    trial_words: Doubles
    kinds: Doubles
    picks: Doubles
    losses: Mapping[str, Doubles]

    def values(self, rows: Rows | None = None) -> dict[str, float]:
        """Each figure of :data:`BOUNDS` that enough photos give a value, of some photos or of all."""
        chosen = np.arange(len(self.known)) if rows is None else rows
        areas = presence_areas(self.things[chosen], self._named[chosen], THINGS)
        kinds = kind_accuracies(self.kinds[chosen], self._kinds_known[chosen])
        gain = mean_loss(self.losses["prefix"][chosen]) - mean_loss(self.losses["right"][chosen])
        return {
            **({_THINGS: _mean(areas)} if areas else {}),
            **({_KINDS: _mean(kinds)} if kinds else {}),
            _PICK: float(self.picks[chosen].mean()),
            _GAIN: gain,
            _CALIBRATION: self._calibration_error(chosen),
        }

    def _calibration_error(self, chosen: Rows) -> float:
        """Mean distance of the chance that is shown from the share that is right, in tenths of the chance (ECE)."""
        asked = ((self.things, self._things_known), (self.kinds, self._kinds_known))
        parts = [shown_and_right(scores[chosen], truth[chosen]) for scores, truth in asked]
        shown, right = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        tenths = reliability(shown, right)
        return sum(count * abs(chance - share) for chance, share, count in tenths) / len(shown)

    @cached_property
    def _named(self) -> Truth:
        return named_in_captions(self.known, THINGS)

    @cached_property
    def _things_known(self) -> Truth:
        return presence_known(self.known, THINGS)

    @cached_property
    def _kinds_known(self) -> Truth:
        return presence_known(self.known, tuple(KINDS))

    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % of each figure, by drawing whole photos again and again (bootstrap, percentiles)."""
        rng = np.random.default_rng(_SEED)
        drawn = [self.values(rng.integers(len(self.known), size=len(self.known))) for _ in range(_RESAMPLES)]
        ends = (50 - _LEVEL / 2, 50 + _LEVEL / 2)
        found = {name: np.percentile([one[name] for one in drawn if name in one], ends) for name in self.values()}
        return {name: (float(low), float(high)) for name, (low, high) in found.items()}

    def as_json(self) -> dict[str, object]:
        """JSON values."""
        intervals = self.intervals()
        named = {
            name: {
                "value": round(value, 4),
                "interval": [round(end, 4) for end in intervals[name]],
                "must": BOUNDS[name][0],
                "aim": BOUNDS[name][1],
            }
            for name, value in self.values().items()
        }
        letters = named_in_captions(self.known, TRIAL_WORDS, to_the_letter=True)
        return {
            "photos": len(self.known),
            "figures": named,
            "things": _rounded(presence_areas(self.things, self._named, THINGS)),
            "words_of_the_trial": _rounded(presence_areas(self.trial_words, letters, TRIAL_WORDS)),
            "kinds": _rounded(kind_accuracies(self.kinds, self._kinds_known)),
            "caption_loss": _rounded({name: mean_loss(losses) for name, losses in self.losses.items()}),
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
    shown = {
        "right": right_photo(reader, test),
        "wrong": wrong_photo(reader, test),
        "mean": one_for_all(usual),
        "prefix": one_for_all(prefix),
    }
    return FieldFigures(
        known=test.known,
        things=leanings(reader, test, asked_for(THINGS)),
        trial_words=leanings(reader, test, asked_for(TRIAL_WORDS)),
        kinds=leanings(reader, test, asked_for(KINDS)),
        picks=picks_of_ten(reader, test, usual),
        losses={name: caption_losses(reader, test, seen) for name, seen in shown.items()},
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
