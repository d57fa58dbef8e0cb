"""``side-info``: ``meta``'s stream, restored by a cloud that uses the question it was asked.

::

    DEVICE  tokens --meta--> stream, the same bytes as ever; it needs no part
    CLOUD   prefix --meta--> tokens (N, D) --+
            question --hashed words--> mean of embeddings --gamma, beta (FiLM)--> side.onnx --> tokens (N, D)

Text that only the decoder knows is after Qin et al. (arXiv 2311.13847), where CLIP's features of it modulate a decoder
of pixels. Different here: tokens are restored and not pixels, the question is a bag of hashed words, and nothing is
generated: the correction starts at nothing and is trained for the answers of the unmodified VLM. Without a question,
and of photos that were left to ``klt``, tokens are those of ``meta``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from heliograph.codec.fallback import LEARNED, written_by
from heliograph.codec.part_networks import Values, run_network
from heliograph.codec.question_words import question_words
from heliograph.strategies.base import CloudTools, Family, Restored
from heliograph.strategies.latent_streams import LearnedStrategy
from heliograph.types import EncodedImage, VisualTokens

if TYPE_CHECKING:
    from heliograph.codec.meta import MetaCodec


class SideInfoStrategy(LearnedStrategy):
    """Header, segments and knobs of ``meta``."""

    name: ClassVar[str] = "side-info"
    hears: ClassVar[bool] = True
    needs_part: ClassVar[bool] = True
    family: ClassVar[Family] = Family.SEMANTIC
    paper: ClassVar[str | None] = "2311.13847"

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N x D tokens from any prefix, for the question.

        Raises:
            PartMissingError: there is a question, and no part for this model.
        """
        plain = super().restore(encoded, tools)
        kind, _ = written_by(encoded)
        if kind != LEARNED or not tools.question or plain.tokens is None:
            return plain
        codec = cast("MetaCodec", tools.codec(kind))
        grid = plain.tokens.grid
        _, count = codec.decode_integers(grid, encoded.segments)
        share = count / (grid.tiles * codec.tables.latents.latents)
        values = plain.tokens.values.reshape(grid.tiles, -1, codec.hidden_size)  # (T, n, D)
        given: dict[str, Values] = {
            "tokens": values,
            "share": np.full(grid.tiles, share, dtype=np.float32),
            "words": np.repeat(question_words(tools.question), grid.tiles, axis=0),
        }
        made = run_network(tools.part(self.name), "side", given, values.shape)
        return Restored(tokens=VisualTokens(np.ascontiguousarray(made.reshape(grid.tokens, -1)), grid))
