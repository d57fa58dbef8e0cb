"""``local``: nothing is sent; the device answers with its own ONNX copy of the VLM (full-edge in arXiv 2604.26508).

The answering itself is :class:`heliograph.edge.local.model.LocalModel`; this file only gives the strategy its
place in registries and tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from heliograph.errors import UsageError
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Kind,
    Restored,
    Setting,
    Strategy,
)
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from PIL.Image import Image


class LocalStrategy(Strategy):
    """Zero bytes; has no knobs."""

    name: ClassVar[str] = "local"
    default_setting: ClassVar[Setting] = {}
    kind: ClassVar[Kind] = Kind.LOCAL
    needs_bundle: ClassVar[bool] = False
    speaks: ClassVar[bool] = True
    paper: ClassVar[str | None] = "2604.26508"

    def settings(self) -> tuple[Setting, ...]:
        """The one empty setting."""
        return ({},)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """An empty stream: the photo stays on the device."""
        self.complete_setting(setting)
        return EncodedImage(strategy=self.name, header=b"", segments=())

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """Always refused: nothing travels.

        Raises:
            UsageError: always; nothing was sent.
        """
        raise UsageError().noted("local sends nothing, so there is nothing to restore: ask the device's local model.")
