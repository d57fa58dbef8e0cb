"""A bundle's own language model in the place of a server's: streams are restored and answered in ONNX Runtime.

::

    EncodedImage --StreamRestorer(BundleModel)--> tokens (N, D) --BundleModel.answer--> Answer
                                                    picture --the bundle's encoder--> tokens
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from heliograph.codec.base import Codec
from heliograph.edge.device import Device
from heliograph.edge.preprocessing.frames import device_grids
from heliograph.edge.processor import encoder_profile
from heliograph.errors import ShapeError
from heliograph.question import DEFAULT_ANSWER_TOKENS
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Kind
from heliograph.strategies.restoring import StreamRestorer
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.bundle import Bundle


class BundleModel:
    """Encoder and language model of a bundle as one model.

    Args:
        bundle: exported with its language model.
        threads: of ONNX Runtime.

    Attributes:
        grid, hidden_size: of its visual tokens, (N, D).
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self._device = Device(bundle, threads)
        self.grid, self.hidden_size = bundle.grid, bundle.hidden_size

    def check_grid(self, grid: Grid) -> None:
        """Refuse a grid that this model's tokens never have.

        Raises:
            ShapeError: another number of rows, columns or tiles.
        """
        if (grid.rows, grid.columns, grid.tiles) != (self.grid.rows, self.grid.columns, self.grid.tiles):
            raise ShapeError().noted(f"this model makes {self.grid} of every photo, not {grid}.")

    def encode_image(self, photo: Image) -> VisualTokens:
        """Visual tokens (N, D) float32 of one photo, RGB of any size.

        Raises:
            BundleDamagedError: its encoder cannot be run.
        """
        return self._device.encode_tokens(photo)

    def answer(self, question: str, tokens: VisualTokens, *, max_new_tokens: int = DEFAULT_ANSWER_TOKENS) -> Answer:
        """The greedy answer about one photo; arguments and errors as
        :meth:`heliograph.edge.local.model.LocalModel.answer`."""
        return self._device.local_model.answer(question, tokens, max_new_tokens=max_new_tokens)


def answer_stream(bundle: Bundle, encoded: EncodedImage, question: str, *, max_new_tokens: int) -> Answer:
    """The answer of a bundle's language model from a prefix of a stream.

    Raises:
        BundleDamagedError: the bundle holds no language model, or a file of it cannot be run.
        UsageError: the stream holds words.
        HeliographError: the prefix is damaged, or the question cannot be asked.
    """
    model = BundleModel(bundle)
    tokens = StreamRestorer(model, _Codecs(bundle), device_grids(bundle), parts=bundle.part).restore_tokens(
        encoded, question
    )
    return model.answer(question, tokens, max_new_tokens=max_new_tokens)


def answers_alike(bundle: Bundle, encoded: EncodedImage) -> bool:
    """Whether a bundle gives the answer that its checkpoint gives in the cloud.

    Not where it has no language model, nor from words; not of a picture where its encoder has eight bits, as the
    cloud's has not; and not of what enters the vision tower in its middle.

    Raises:
        BundleDamagedError: it does not say how its encoder was made.
    """
    strategy = STRATEGIES.load(encoded.strategy)
    kind = strategy.kind
    if bundle.local_model_path is None or kind is Kind.TEXT or getattr(strategy, "enters_tower", False):
        return False
    return kind is Kind.TOKENS or encoder_profile(bundle) is None


class _Codecs(Mapping[str, Codec]):
    """A bundle's codecs, each loaded when a stream needs it."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def __getitem__(self, kind: str) -> Codec:
        if kind not in self._bundle.codec_kinds:
            raise KeyError(kind)
        return self._bundle.codec(kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self._bundle.codec_kinds)

    def __len__(self) -> int:
        return len(self._bundle.codec_kinds)
