"""Every format but JPEG and HEIF, through Pillow; large PNG in strips, large WebP through libvips."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from heliograph.edge.photos.png import MAX_STREAMED_PIXELS, STREAM_BYTES, PngStrips
from heliograph.edge.photos.rows import DECODING_BYTES, PHOTO_BYTES, RGB_BYTES, Rows, cutter
from heliograph.edge.photos.turn import UPRIGHT, orientation_of
from heliograph.edge.photos.webp import scaled_webp_rows
from heliograph.errors import PhotoTooLargeError
from heliograph.strategies.baseline.picture_frames import FRAME_FORMATS, Frame
from heliograph.strategies.baseline.picture_memory import decoding_bytes, frame_bytes, mode_bytes

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

PICTURE_FORMATS = ("PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
"""Photos and drawings that devices write.

Not in it: formats whose readers call other programs, such as EPS."""

_MAX_PAGES = 100
_THUMBNAIL_FACTOR = 2
"""A first page with so many times fewer pixels than a later one is its thumbnail."""

_SUBFILE_TAG, _REDUCED = 254, 1


def picture_rows(file: BinaryIO, file_bytes: int) -> Rows:
    """The decoded photo.

    Raises:
        PhotoTooLargeError: decoding it would hold too much.
    """
    from PIL import Image as images

    try:
        image = images.open(file, formats=PICTURE_FORMATS)
    except images.DecompressionBombError as error:
        raise PhotoTooLargeError from error
    if image.format == "TIFF":
        _turn_to_largest_page(image)
    orientation = orientation_of(image)
    profile = image.info.get("icc_profile")
    if not _fits(image, file, file_bytes, orientation):
        if image.format == "WEBP":
            return scaled_webp_rows(image, file, file_bytes, orientation)
        if image.format == "PNG" and not image.info.get("interlace"):
            if image.width * image.height > MAX_STREAMED_PIXELS:
                raise PhotoTooLargeError
            return Rows(image.size, PngStrips(image, file).strip, STREAM_BYTES, orientation, profile)
        if decoding_bytes(image, file, file_bytes) > DECODING_BYTES:
            raise PhotoTooLargeError
    if image.format in FRAME_FORMATS:
        frame = Frame(image)
        return Rows(frame.size, frame.strip, frame_bytes(image), orientation, profile)
    image.load()
    held = image.width * image.height * mode_bytes(image.mode)
    return Rows(image.size, cutter(image), held, orientation, profile, image)


def _fits(image: ImageFile, file: BinaryIO, file_bytes: int, orientation: int) -> bool:
    """Whether the photo can be read at its full size."""
    pixels = image.width * image.height
    photo = pixels * RGB_BYTES
    decoded = frame_bytes(image) if image.format in FRAME_FORMATS else pixels * mode_bytes(image.mode)
    plain = image.format not in FRAME_FORMATS and image.mode == "RGB" and orientation == UPRIGHT
    afterwards = decoded if plain and image.info.get("transparency") is None else decoded + photo
    most = max(afterwards, decoding_bytes(image, file, file_bytes))
    return photo <= PHOTO_BYTES and most <= DECODING_BYTES


def _turn_to_largest_page(image: ImageFile) -> None:
    """Leave the first page where it is no more than a thumbnail of another one."""
    sizes: list[tuple[int, bool]] = []
    for page in range(_MAX_PAGES):
        try:
            image.seek(page)
        except EOFError:
            break
        reduced = bool(image.tag_v2.get(_SUBFILE_TAG, 0) & _REDUCED)  # type: ignore[attr-defined]
        sizes.append((image.width * image.height, reduced))
    whole = [place for place, (_, reduced) in enumerate(sizes) if not reduced] or list(range(len(sizes)))
    largest = max(whole, key=lambda place: sizes[place][0])
    first_is_small = sizes[0][0] * _THUMBNAIL_FACTOR <= sizes[largest][0]
    image.seek(largest if sizes[0][1] or first_is_small else 0)
