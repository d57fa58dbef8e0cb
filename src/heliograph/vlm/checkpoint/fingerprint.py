"""The fingerprint of weights: a codec or a cache of tokens belongs to one checkpoint, whatever its folder is called.

Read as bytes, without torch: a device that answers by itself asks for the same fingerprint as the cloud.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from heliograph.errors import FileUnreadableError, ModelUnavailableError
from heliograph.reading.files import open_regular
from heliograph.reading.tensor_file import TensorPlace, read_header
from heliograph.vlm.causes import reason_of
from heliograph.vlm.checkpoint.files import check_folder
from heliograph.vlm.checkpoint.names import ModelName, checkpoint_folder

_PIECE = 1 << 22  # bytes hashed at a time: a large weight is never held whole
_MAX_HEADER_BYTES, _MAX_TENSORS, _MAX_BYTES = 100_000_000, 1 << 20, 1 << 50

_DTYPES = {
    **{f"F{8 * size}": (f"torch.float{8 * size}", size) for size in (2, 4, 8)},
    **{f"I{8 * size}": (f"torch.int{8 * size}", size) for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": (f"torch.uint{8 * size}", size) for size in (1, 2, 4, 8)},
    "BF16": ("torch.bfloat16", 2),
    "F8_E4M3": ("torch.float8_e4m3fn", 1),
    "F8_E5M2": ("torch.float8_e5m2", 1),
    "F8_E8M0": ("torch.float8_e8m0fnu", 1),
    "C64": ("torch.complex64", 8),
    "BOOL": ("torch.bool", 1),
}
"""Stored type -> as torch prints it, which is what the fingerprint is made of, and bytes of a value."""


@lru_cache(maxsize=8)
def model_fingerprint(name: str) -> str:
    """64 hexadecimal digits of a checkpoint: SHA-256 over names, shapes, dtypes and values of its stored tensors.

    How they are shared out among files does not matter, nor in which precision the model is run later. One frame per
    photo makes other tokens, so it has a fingerprint of its own.

    Args:
        name: as :class:`heliograph.vlm.checkpoint.names.ModelName` takes it.

    Raises:
        ModelUnavailableError: no safetensors there, damaged ones, or files that lead out of the checkpoint.
    """
    folder = checkpoint_folder(name)
    check_folder(folder)
    digest = hashlib.sha256()
    try:
        held: dict[str, tuple[Path, TensorPlace]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            held |= {tensor: (path, place) for tensor, place in _places(path).items()}
        for tensor, (path, place) in sorted(held.items()):
            digest.update(f"{tensor} {place.shape} {_DTYPES[place.dtype][0]}\n".encode())
            for piece in _pieces(path, place):
                digest.update(piece)
    except (OSError, FileUnreadableError) as error:
        raise ModelUnavailableError().noted(
            f"{folder}: a .safetensors file cannot be read: {reason_of(error)}."
        ) from error
    if not held:
        raise ModelUnavailableError().noted(f"{folder}: no .safetensors file holds a weight.")
    if ModelName.parse(name).one_frame:
        digest.update(b"one frame")
    return digest.hexdigest()


def _places(path: Path) -> dict[str, TensorPlace]:
    """Where the tensors of a file lie; a hub's cache links to its files, within the checkpoint, as was checked."""
    return read_header(
        path.resolve(),
        item_bytes={stored: size for stored, (_, size) in _DTYPES.items()},
        max_header_bytes=_MAX_HEADER_BYTES,
        max_tensors=_MAX_TENSORS,
        max_bytes=_MAX_BYTES,
    )


def _pieces(path: Path, tensor: TensorPlace) -> Iterator[bytes]:
    begin, end = tensor.place
    with open_regular(path.resolve(), error=FileUnreadableError, links=False) as file:
        file.seek(begin)
        for place in range(begin, end, _PIECE):
            piece = file.read(min(_PIECE, end - place))
            yield piece
