"""The frame of a WebP or AVIF as its decoder hands it over, without the copy that Pillow makes of it.

Pillow decodes these into packed bytes, copies those into a picture and keeps both, and the decoder's own buffers, for
as long as the picture lives. Here the bytes alone are kept, and cut into strips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

FRAME_FORMATS = ("WEBP", "AVIF")


class _FrameReadyError(Exception):
    pass


class Frame:
    """A decoded frame.

    Args:
        image: opened and not loaded; its decoder's memory goes when the caller lets go of it.

    Raises:
        OSError: whatever else the decoder raises, too.
    """

    def __init__(self, image: ImageFile) -> None:
        self.size, self.mode = image.size, image.mode
        self._raw_mode = getattr(image, "rawmode", image.mode)
        self._data = _decoded(image)
        self._row_bytes = len(self._data) // self.size[1]

    def strip(self, top: int, bottom: int) -> Image:
        """Rows from ``top`` to before ``bottom`` as a picture."""
        from PIL import Image as images

        rows = self._data[top * self._row_bytes : bottom * self._row_bytes]
        return images.frombytes(self.mode, (self.size[0], bottom - top), rows, "raw", self._raw_mode)


def _decoded(image: ImageFile) -> memoryview:
    """The packed frame.

    ``load_prepare`` is Pillow's hook between decoding a frame and making room for the picture.
    """

    def stop() -> None:
        raise _FrameReadyError

    image.load_prepare = stop  # type: ignore[method-assign]
    try:
        image.load()
    except _FrameReadyError:
        assert image.fp is not None
        return memoryview(image.fp.getvalue())  # type: ignore[attr-defined]  # getbuffer() would copy
    raise OSError("the decoder gave no frame")
