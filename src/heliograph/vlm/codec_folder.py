"""Codec folders in the way of a hub: ``config.json``, safetensors and a model card, bound to one checkpoint.

::

    fitted codec(s) + checkpoint --save_codec--> folder --push or copy--> folder or hub id
    folder or hub id --Bundle.from_pretrained--> codecs --check_fitted_on(model)--> used, or refused
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heliograph.codec.base import Codec
from heliograph.codec.bundle import CARD, CONFIG, Bundle, write_bundle
from heliograph.errors import CodecModelMismatchError
from heliograph.types import Grid
from heliograph.vlm.fingerprint import model_fingerprint


def save_codec(
    folder: Path, codecs: Sequence[Codec], grid: Grid, model_name: str, extra: Sequence[Path] = ()
) -> Bundle:
    """Write fitted codecs and ``config.json`` with the fingerprint of the checkpoint that they were fitted on.

    Args:
        folder: made if absent; a model card that lies in it (``README.md``) is named in ``config.json`` too.
        codecs: of different kinds.
        grid: of the tokens.
        model_name: as it was loaded; the last part of a folder's path goes into ``config.json``.
        extra: files that belong to the codec.

    Raises:
        ModelUnavailableError: the checkpoint is gone.
        OSError: the disk refuses.
    """
    card = folder / CARD
    return write_bundle(
        folder,
        codecs=codecs,
        grid=grid,
        hidden_size=codecs[0].hidden_size,
        model=model_fingerprint(model_name),
        model_name=public_name(model_name),
        extra_files=[*extra, *([card] if card.is_file() else [])],
        index=CONFIG,
    )


def check_fitted_on(bundle: Bundle, model_name: str) -> None:
    """Refuse codecs of another checkpoint. Where a bundle does not say which one it was, nothing is refused.

    Raises:
        CodecModelMismatchError: they were fitted on another one.
        ModelUnavailableError: the checkpoint is gone.
    """
    if bundle.model and bundle.model != model_fingerprint(model_name):
        raise CodecModelMismatchError


def public_name(model_name: str) -> str:
    """A hub id as it is; of a folder the last part, as whole paths tell about the machine."""
    path = Path(model_name)
    return path.resolve().name if path.exists() or path.is_absolute() else model_name
