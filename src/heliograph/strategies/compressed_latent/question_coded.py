"""``question-coded``: ``meta``'s stream of tokens that were prepared for the question, so that bits go where it looks.

::

    DEVICE  question --hashed words in their order--> memory
            tokens (N, D) --read the memory and each other: adapter.onnx--> tokens (N, D) --meta--> stream
    CLOUD   prefix --meta--> tokens (N, D); it needs no part

Text that only the encoder reads is after TACO (arXiv 2403.02944), whose adapters sit within a codec of pixels and read
the states of CLIP's text tower. Different here: the adapter stands before an encoder that stays as it is, the question
is its hashed words, and what is trained for are the answers of the unmodified VLM, bytes, and a little of the tokens'
error. Its correction begins at nothing. Nothing of the question is in the stream. A stream serves its own question,
and each further one about the photo has its own. Photos whose grid ``meta`` has not learned, and streams without a
question, are sent as ``meta`` sends them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from heliograph.codec.part_networks import Values, run_network
from heliograph.codec.question_words import question_words
from heliograph.strategies.base import DeviceTools, Family, Setting
from heliograph.strategies.latent_streams import LearnedStrategy
from heliograph.types import EncodedImage, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.meta import MetaCodec


class QuestionCodedStrategy(LearnedStrategy):
    """Header, segments and knobs of ``meta``."""

    name: ClassVar[str] = "question-coded"
    needs_part: ClassVar[bool] = True
    family: ClassVar[Family] = Family.COMPRESSED_LATENT
    paper: ClassVar[str | None] = "2403.02944"

    def asks(self, setting: Setting) -> bool:
        """Always."""
        self.complete_setting(setting)
        return True

    def _made(self, photo: Image, tools: DeviceTools, setting: Setting, agreement: float | None) -> EncodedImage:
        if tools.question:
            tools.part(self.name)  # before the tower runs: a device without it is refused at once
        return super()._made(photo, tools, setting, agreement)

    def _encoded(
        self, tokens: VisualTokens, tools: DeviceTools, limit: int | None, level: int | None, agreement: float | None
    ) -> EncodedImage:
        codec, grid = cast("MetaCodec", tools.codec(self.codec)), tokens.grid
        if not tools.question or not codec.takes(grid):
            return super()._encoded(tokens, tools, limit, level, agreement)
        values = np.asarray(tokens.values, dtype=np.float32).reshape(grid.tiles, -1, codec.hidden_size)  # (T, n, D)
        given: dict[str, Values] = {
            "tokens": values,
            "words": np.repeat(question_words(tools.question), grid.tiles, axis=0),
        }
        made = run_network(tools.part(self.name), "adapter", given, values.shape)
        prepared = VisualTokens(np.ascontiguousarray(made.reshape(grid.tokens, -1)), grid)
        return codec.encode(prepared, max_bytes=limit, level=level)
