"""From any prefix of a stream back to visual tokens, or to words, wherever the model that answers runs.

::

    EncodedImage --whose codec?--> its stated grid, held against what the model and the bundle can have
                 --Strategy.restore--> tokens, or a picture --the model's own encoder--> tokens (N, D) float32
                                       or words, which go before the question, or are drawn as a picture
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from heliograph.codec.base import Codec
from heliograph.codec.fallback import written_by
from heliograph.codec.parts import FindPart, Part, no_parts
from heliograph.errors import (
    AnsweringFailedError,
    BundleMismatchError,
    CodecMissingError,
    ModelUnsupportedError,
    ShapeError,
    UsageError,
)
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import CloudTools, Restored
from heliograph.strategies.selection import hears
from heliograph.strategies.towers import PatchReader
from heliograph.types import EncodedImage, Grid, VisualTokens, Words, tokens_make_sense

if TYPE_CHECKING:
    from PIL.Image import Image


class TokenModel(Protocol):
    """What restoring needs of a model."""

    @property
    def hidden_size(self) -> int:
        """D, channels of a visual token."""

    @property
    def grid(self) -> Grid:
        """How the tokens of a photo lie."""

    def check_grid(self, grid: Grid) -> None:
        """Refuse a grid that this model's tokens never have.

        Raises:
            ShapeError: such a grid.
        """

    def encode_image(self, photo: Image) -> VisualTokens:
        """Visual tokens (N, D) float32 of a photo, RGB of any size."""


Model = TypeVar("Model", bound=TokenModel)


class StreamRestorer(Generic[Model]):
    """Restores visual tokens. Also the ``CloudTools`` that strategies restore with.

    Args:
        model: whose tokens they are.
        codecs: of the bundle, by kind; without any it restores pictures alone.
        grids: all that devices with this bundle send, photo sizes included; none where the bundle does not say.
        draw: makes a picture of words, for a model that understands pictures alone; None for one that reads.
        parts: finds trained parts of strategies, such as a bundle's; by itself there are none.
    """

    def __init__(
        self,
        model: Model,
        codecs: Mapping[str, Codec] = MappingProxyType({}),
        grids: Collection[Grid] = (),
        draw: Callable[[str], Image] | None = None,
        parts: FindPart = no_parts,
    ) -> None:
        self.model = model
        self.grid = model.grid
        self.hidden_size = model.hidden_size
        self._codecs = codecs
        self._grids = frozenset(grids)
        self._draw = draw
        self._find_part = parts

    def codec(self, kind: str) -> Codec:
        """The bundle's codec of one kind.

        Raises:
            BundleMismatchError: there is no bundle.
            CodecMissingError: the bundle has none.
        """
        if not self._codecs:
            raise BundleMismatchError
        if kind not in self._codecs:
            raise CodecMissingError
        return self._codecs[kind]

    def part(self, name: str) -> Part:
        """The trained part of a strategy, bound to the model.

        Raises:
            PartMissingError: there is none for this model.
            BundleDamagedError: it is there and cannot be used.
        """
        return self._find_part(name)

    def patch_reader(self, size: tuple[int, int]) -> PatchReader:
        """The model's vision tower behind its first map, for photos of this width and height.

        Raises:
            ModelUnsupportedError: the model has no such tower, or it cannot be entered there.
            ShapeError: photos of this size are none that devices of this bundle send, or none of this model's.
        """
        stated = {(grid.photo_width, grid.photo_height) for grid in self._grids} - {(0, 0)}
        if stated and size not in stated:
            raise ShapeError().noted(f"no device of this bundle sends photos of {size[0]}x{size[1]} pixels.")
        make = getattr(self.model, "patch_reader", None)
        if make is None:
            raise ModelUnsupportedError().noted("it takes no embedded patches in place of pixels.")
        reader: PatchReader = make(size)
        return reader

    @property
    def question(self) -> str:
        """Empty: :meth:`seen` is told one."""
        return ""

    def seen(self, encoded: EncodedImage, question: str = "") -> Restored:
        """What a strategy gives the model from a prefix, for a question where the strategy hears it.

        Raises:
            HeliographError: the prefix is damaged, or nothing can be restored from this strategy.
        """
        tools: CloudTools = AskedCloud(self, question) if question and hears(encoded.strategy) else self
        found: Restored = STRATEGIES.load(encoded.strategy)().restore(encoded, tools)
        return self.drawn(found)

    def restore(self, encoded: EncodedImage, question: str = "") -> VisualTokens | Words:
        """Visual tokens of a prefix, or words of one; a picture goes through the model's own encoder.

        Args:
            encoded: the prefix.
            question: that it is restored for; empty for none.

        Raises:
            StreamTruncatedError: the strategy needs more than this prefix.
            ShapeError: its grid is none of this model's.
            AnsweringFailedError: what was restored is not finite, or larger than any token is.
            HeliographError: the prefix is damaged, or nothing can be restored from this strategy.
        """
        self.opened(encoded)
        seen = self.seen(encoded, question)
        if seen.text is not None:
            return Words(seen.text)
        if seen.image is not None:
            return self.model.encode_image(seen.image)
        tokens = seen.tokens
        if tokens is None or not tokens_make_sense(tokens.values):
            raise AnsweringFailedError
        return tokens

    def restore_tokens(self, encoded: EncodedImage, question: str = "") -> VisualTokens:
        """The visual tokens of a prefix, for a question; empty for none.

        Raises:
            UsageError: the stream holds words, for a model that reads them.
            HeliographError: as :meth:`restore`.
        """
        seen = self.restore(encoded, question)
        if isinstance(seen, Words):
            raise UsageError().noted(
                f"{encoded.strategy} holds words, and this model answers from visual tokens: --with torch."
            )
        return seen

    def drawn(self, restored: Restored) -> Restored:
        """The same, with a picture in the place of words where the model understands pictures alone."""
        if restored.text is None or self._draw is None:
            return restored
        return Restored(image=self._draw(restored.text))

    def opened(self, encoded: EncodedImage) -> tuple[Codec | None, bytes]:
        """The codec that wrote a stream, None where none did, and the header as it wrote it.

        Every way from a stream of a codec to its contents leads through here, so that nothing is decoded onto a grid,
        which is a stranger's word, before it was held against what the model and the bundle can have. Other strategies
        whose streams state a grid ask :meth:`check_grid`.

        Raises:
            ShapeError: its grid is none of this model's, or none that devices of this bundle send.
            HeliographError: the header is damaged.
        """
        kind, header = written_by(encoded)
        codec = self._codecs.get(kind)
        if codec is not None:
            self.check_grid(codec.stated_grid(header))
        return codec, header

    def check_grid(self, grid: Grid) -> None:
        """Refuse a grid that a stream states, before anything is decoded onto it.

        Raises:
            ShapeError: it is none of this model's, or none that devices of this bundle send.
        """
        if not self._grids:
            self.model.check_grid(grid)
        elif grid not in self._grids:
            raise ShapeError().noted(f"no device of this bundle makes this grid: {grid}.")


@dataclass(frozen=True)
class AskedCloud:
    """A cloud, or other tools, while a prefix is restored for one question.

    Attributes:
        tools: what is used.
        question: that the model will be asked.
    """

    tools: CloudTools
    question: str

    @property
    def grid(self) -> Grid:
        """How the N tokens lie over a photo."""
        return self.tools.grid

    @property
    def hidden_size(self) -> int:
        """D, the width of one token."""
        return self.tools.hidden_size

    def codec(self, kind: str) -> Codec:
        """The bundle's codec of one kind."""
        return self.tools.codec(kind)

    def part(self, name: str) -> Part:
        """The trained part of a strategy."""
        return self.tools.part(name)

    def check_grid(self, grid: Grid) -> None:
        """Refuse a grid that a stream states and the model has not."""
        self.tools.check_grid(grid)

    def patch_reader(self, size: tuple[int, int]) -> PatchReader:
        """The VLM's vision tower behind its first map, for photos of this width and height."""
        return self.tools.patch_reader(size)
