"""Codec folders in the way of a hub: ``config.json``, safetensors and a model card, bound to one checkpoint.

::

    fitted codec + checkpoint --save_codec, beside other kinds--> folder --push or copy--> folder or hub id
    folder or hub id --Bundle.from_pretrained--> codecs --check_fitted_on(model)--> used, or refused
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heliograph.codec.base import Codec
from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.manifest import CARD, CONFIG
from heliograph.errors import BundleDamagedError, CodecModelMismatchError
from heliograph.types import Grid
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint

_FENCE = "---\n"  # around a card's head


def card_name(kind: str) -> str:
    """The model card of one kind of codec; ``README.md`` of a folder is all of its cards, one after the other."""
    return f"{kind}.{CARD}"


def save_codec(folder: Path, codec: Codec, grid: Grid, model_name: str) -> Bundle:
    """Write a fitted codec and ``config.json`` with the fingerprint of the checkpoint that it was fitted on.

    Codecs of other kinds that lie in the folder and were fitted on the same checkpoint stay; what was calibrated with
    them does not, as it speaks of all. Cards and facts (``KIND.README.md``, ``KIND.*.json``) go along.

    Args:
        folder: made if absent.
        codec: as fitted.
        grid: of the tokens; where another codec is there already, its grid stays.
        model_name: as it was loaded; the last part of a folder's path goes into ``config.json``.

    Raises:
        ModelUnavailableError: the checkpoint is gone.
        OSError: the disk refuses.
    """
    model = model_fingerprint(model_name)
    before = _codecs_beside(folder, codec, model)
    codecs = [*(before.codecs[kind] for kind in before.codec_kinds if kind != codec.kind), codec] if before else [codec]
    kinds = [one.kind for one in codecs]
    cards = [folder / card_name(kind) for kind in kinds if (folder / card_name(kind)).is_file()]
    if cards:
        (folder / CARD).write_text(_joined([card.read_text(encoding="utf-8") for card in cards]), encoding="utf-8")
    facts = [path for kind in kinds for path in sorted(folder.glob(f"{kind}.*.json"))]
    return write_bundle(
        folder,
        codecs=codecs,
        grid=before.grid if before else grid,
        hidden_size=codec.hidden_size,
        model=model,
        model_name=public_name(model_name),
        extra_files=[*cards, *facts, *([folder / CARD] if cards else [])],
        index=CONFIG,
    )


def _codecs_beside(folder: Path, codec: Codec, model: str) -> Bundle | None:
    """The codec folder as it was, where codecs of other kinds for the same tokens lie in it."""
    if not (folder / CONFIG).is_file():
        return None
    try:
        before = Bundle.load(folder)
        loaded = before.codecs  # tables included: what cannot be read is not kept
    except BundleDamagedError:
        return None
    fits = before.model == model and before.hidden_size == codec.hidden_size
    return before if fits and set(loaded) - {codec.kind} else None


def _joined(cards: Sequence[str]) -> str:
    """One card of several: the first one's head, and every body."""
    head, separator, _ = cards[0].removeprefix(_FENCE).partition(_FENCE)
    if len(cards) == 1 or not separator:
        return cards[0]
    bodies = [card.removeprefix(_FENCE).partition(_FENCE)[2] for card in cards]
    return f"{_FENCE}{head}{_FENCE}" + "\n".join(bodies)


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
