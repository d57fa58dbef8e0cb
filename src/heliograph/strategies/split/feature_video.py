"""``feature-video``: visual tokens as one grey picture in AVIF, a stand-in for feature coding for machines.

::

    tokens (N, D) --channel KLT of klt--> (T, P, K) --scaling--> 8 bits --tiles--> picture --AVIF, bare--> bytes
                                                      |
                                                      +--> ranges, 1 byte or 2 a component, ahead of the picture

    +----+----+----+     a tile is one component: a pixel a token, the photo's own tiles below each other
    | c0 | c1 | c2 |
    +----+----+----+     so that the video codec's transform works over the grid, and nothing works over the components
    | c3 | c4 |gray|
    +----+----+----+

After MPEG's Feature Coding for Machines (ISO/IEC 23888-4), which reduces features, packs them as tiles into frames of
10 bits, and codes them by a video codec with the scales beside them. Different here: one picture, for one photo; the
reduction is ``klt``'s closed form, where theirs is a trained network; 8 bits, since Pillow writes no others; AV1's
intra tools for VVC's, tuned for squared error; no container, as in ``avif-bare``; sides that follow from the header.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import numpy.typing as npt

from heliograph.codec.channels import channels_of, tokens_of_channels
from heliograph.codec.header import pack_header, parse_header
from heliograph.errors import HeliographError, ShapeError, StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Family,
    Kind,
    Restored,
    Setting,
    Strategy,
    choice_knob,
    int_knob,
    joined,
    sliced,
)
from heliograph.strategies.baseline.bare_avif import rebuilt_avif, stripped_avif
from heliograph.strategies.baseline.bare_file import BareFile
from heliograph.strategies.baseline.pictures import MAX_PICTURE_BYTES, MAX_PICTURE_SIDE, decode_picture
from heliograph.strategies.baseline.pixels import avif_speed, saved
from heliograph.strategies.split.feature_ranges import (
    SCALINGS,
    from_grey,
    range_bytes,
    read_ranges,
    to_grey,
    written_ranges,
)
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.klt import KltCodec


Pixels = npt.NDArray[np.uint8]

_MAX_COMPONENTS = 255
_WHOLE = 64
"""In place of the flags of a bare AVIF: the whole file follows."""


class FeatureVideoStrategy(Strategy):
    """Header: as ``klt``'s; its small number is the scaling, its extra byte K, and without one the picture has all D
    channels of the tokens. Segments, joined: ranges, flags of the bare picture (1 byte), the rest of it.

    Knobs: ``components``, K, the leading ones of the bundle's ``klt`` (at most 255, and all that it has where it has
    fewer), 0 for the tokens' own D channels; ``quality``, 1 to 100, of AVIF; ``scaling``, how numbers become grey:
    ``shared`` by one range for all components, ``minmax`` by each one's own, ``robust`` by each one's 2.5th to 97.5th
    percentile, with what is outside cut off.
    """

    name: ClassVar[str] = "feature-video"
    default_setting: ClassVar[Setting] = {"components": 36, "quality": 65, "scaling": "shared"}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    codec: ClassVar[str] = "klt"
    family: ClassVar[Family] = Family.SPLIT

    def settings(self) -> tuple[Setting, ...]:
        """A ladder of qualities at 36 components."""
        return tuple(
            {"components": 36, "quality": quality, "scaling": "shared"} for quality in (10, 20, 30, 40, 50, 60, 70, 80)
        )

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The picture of a photo's tokens.

        Raises:
            CodecMissingError: the bundle holds no ``klt``.
            ShapeError: so many components make a picture with an edge above 4096 pixels.
        """
        completed = self.complete_setting(setting)
        components = int_knob(completed, "components", 0, _MAX_COMPONENTS)
        quality = int_knob(completed, "quality", 1, 100)
        scaling = SCALINGS.index(choice_knob(completed, "scaling", SCALINGS))
        codec = cast("KltCodec", tools.codec(self.codec))
        tokens = tools.encode_tokens(photo)
        values = _features(codec, tokens, components)  # (T, P, K)
        side = written_ranges(values, scaling)
        grey = to_grey(values, read_ranges(side, scaling, values.shape[2]))
        picture = _mosaic(grey, tokens.grid)
        header = pack_header(tokens.grid, codec.grid, small=scaling, extra=values.shape[2] if components else 0)
        return EncodedImage(self.name, header, sliced(side + _bare_or_whole(picture, quality)))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N x D tokens; components that were not sent are those of the mean token.

        Raises:
            StreamTruncatedError: the picture is not complete.
            StreamDamagedError: header, ranges or picture cannot be what a device sends.
            ShapeError: the grid is none of this model's.
        """
        codec = cast("KltCodec", tools.codec(self.codec))
        grid = codec.stated_grid(encoded.header)
        tools.check_grid(grid)
        found = parse_header(encoded.header, codec.grid)
        if found.small >= len(SCALINGS) or found.extra > codec.components:
            raise StreamDamagedError(StreamFault.HEADER)
        components = found.extra or codec.hidden_size
        data = joined(encoded.segments, MAX_PICTURE_BYTES)
        if data is None:
            raise StreamDamagedError(StreamFault.LENGTH)
        size = range_bytes(found.small, components)
        ranges = read_ranges(data[:size], found.small, components)
        grey = _squares(_decoded(data[size:], grid, components), grid, components)  # (T, P, K)
        return Restored(tokens=_tokens(codec, from_grey(grey, ranges), grid, found.extra))


def _features(codec: KltCodec, tokens: VisualTokens, components: int) -> FloatArray:
    """(T, P, K): the leading channel coefficients in finest steps, or the tokens themselves where none are named."""
    channels = channels_of(codec, tokens)  # looks at the tokens' shape and values
    if components:
        return channels[:, :, :components]
    return tokens.values.reshape(tokens.grid.tiles, -1, tokens.values.shape[1])


def _tokens(codec: KltCodec, values: FloatArray, grid: Grid, components: int) -> VisualTokens:
    """The inverse of ``_features``; zeros for components that are not there."""
    if not components:
        return VisualTokens(np.ascontiguousarray(values.reshape(grid.tokens, -1)), grid)
    channels = np.zeros((*values.shape[:2], codec.components), dtype=np.float32)
    channels[:, :, :components] = values
    return tokens_of_channels(codec, channels, grid)


# ---- the picture -----------------------------------------------------------------------------------
def _layout(grid: Grid, components: int) -> tuple[int, int]:
    """Tiles across and down: the squarest picture that is no higher than wide.

    Raises:
        ShapeError: an edge is longer than any picture's.
    """
    height = grid.tiles * grid.rows
    across = min(components, isqrt((components * height - 1) // grid.columns) + 1)
    down = -(-components // across)
    if max(across * grid.columns, down * height) > MAX_PICTURE_SIDE:
        raise ShapeError().noted(
            f"{components} components of {grid} make a picture of over {MAX_PICTURE_SIDE} pixels a side: take fewer."
        )
    return across, down


def _mosaic(grey: Pixels, grid: Grid) -> Pixels:
    """(T, P, K) uint8 to a picture (height, width): component by component, row by row; tiles without one are 128."""
    components = grey.shape[2]
    across, down = _layout(grid, components)
    height = grid.tiles * grid.rows
    squares = np.full((across * down, height, grid.columns), 128, dtype=np.uint8)
    squares[:components] = grey.reshape(height, grid.columns, components).transpose(2, 0, 1)
    rows = squares.reshape(down, across, height, grid.columns).swapaxes(1, 2)
    return rows.reshape(down * height, across * grid.columns)


def _squares(picture: Pixels, grid: Grid, components: int) -> Pixels:
    """The inverse of ``_mosaic``."""
    across, down = _layout(grid, components)
    height = grid.tiles * grid.rows
    rows = picture.reshape(down, height, across, grid.columns).swapaxes(1, 2)
    squares = rows.reshape(down * across, height, grid.columns)[:components]
    return squares.transpose(1, 2, 0).reshape(grid.tiles, grid.rows * grid.columns, components)


def _bare_or_whole(picture: Pixels, quality: int) -> bytes:
    """Flags and the bare picture, or the whole file where it cannot be rebuilt."""
    from PIL import Image as images

    image = images.fromarray(picture)
    options = {"quality": quality, "speed": avif_speed(image), "max_threads": 1, "advanced": {"tune": "psnr"}}
    file = saved(image, "AVIF", subsampling="4:0:0", **options)
    bare = stripped_avif(file, grey=True)
    try:
        if bare is not None and rebuilt_avif(bare, grey=True) == file:
            return bytes([bare.flags]) + bare.body
    except HeliographError:  # a size that no receiver takes
        pass
    return bytes([_WHOLE]) + file


def _decoded(data: bytes, grid: Grid, components: int) -> Pixels:
    """(height, width) uint8 of a stream's picture, whose sides the receiver knows."""
    across, down = _layout(grid, components)
    width, height = across * grid.columns, down * grid.tiles * grid.rows
    if len(data) < 2:
        raise StreamTruncatedError().noted("feature-video needs the whole picture, and its beginning is not here.")
    file = data[1:]
    if data[0] != _WHOLE:
        file = rebuilt_avif(BareFile(data[0], (width - 1, height - 1), data[1:]), grey=True)
    picture = decode_picture(file, "AVIF")
    if picture.size != (width, height):
        raise StreamDamagedError(StreamFault.PICTURE)
    return np.asarray(picture)[:, :, 0]
