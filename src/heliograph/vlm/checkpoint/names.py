"""What models are called, taken apart without loading anything: a wrong name is known before torch is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from heliograph.config import FIELD, field_folder
from heliograph.errors import ModelUnavailableError
from heliograph.hub import Found, locate
from heliograph.vlm.causes import reason_of

REFERENCE = "reference"
ONE_FRAME = "one-frame"
_VARIANT_SIGN = "#"
_CONFIG = "config.json"


@dataclass(frozen=True)
class ModelName:
    """What a model is called on the command line, taken apart: ``NAME[@REVISION][#one-frame]``.

    Attributes:
        source: ``reference``, ``field``, a checkpoint folder or a hub id.
        revision: branch, tag or commit on the hub; None for the main one.
        one_frame: photos are not split into tiles, where the processor would.
    """

    source: str
    revision: str | None = None
    one_frame: bool = False

    @classmethod
    def parse(cls, name: str) -> Self:
        """The parts of a name; a folder's name is taken as it is, ``#one-frame`` behind it aside.

        Raises:
            ModelUnavailableError: a variant that is not known.
        """
        source, sign, variant = name.rpartition(_VARIANT_SIGN)
        if not sign or os.path.exists(name):
            source, variant = name, ""
        if variant not in ("", ONE_FRAME):
            raise ModelUnavailableError().noted(f"{name!r}: of what may follow a {sign} there is only {ONE_FRAME}.")
        if os.path.exists(source):
            return cls(source, None, bool(variant))
        source, _, revision = source.partition("@")
        return cls(source, revision or None, bool(variant))

    def locate(self) -> Found:
        """Where its files lie.

        Raises:
            ModelUnavailableError: nowhere: no such folder, one that holds no ``config.json``, no such model of a hub,
                or a hub that does not answer.
        """
        if self.source == FIELD and not os.path.exists(FIELD):
            return Found(str(_assembled_field()))
        if self.source != REFERENCE:
            found = locate(self.source, self.revision, ModelUnavailableError)
            if os.path.isdir(self.source) and not os.path.isfile(os.path.join(self.source, _CONFIG)):
                raise ModelUnavailableError().noted(f"{self.source!r}: no checkpoint: there is no {_CONFIG} in it.")
            return found
        from heliograph.reference.assets import shipped_model_folder

        folder = Path(shipped_model_folder())
        if not folder.is_dir():
            raise ModelUnavailableError().noted(
                f"{str(folder)!r}: the reference model is not there: reinstall Heliograph."
            )
        return Found(str(folder))


def _assembled_field() -> Path:
    """Where the field model lies.

    Raises:
        ModelUnavailableError: it has not been assembled.
    """
    folder = field_folder() / "model"
    if not (folder / _CONFIG).is_file():
        raise ModelUnavailableError().about(folder, "Put the field model together first: heliograph assemble field.")
    return folder


def checkpoint_folder(name: str) -> Path:
    """Where the files of a checkpoint lie, downloaded if need be.

    Raises:
        ModelUnavailableError: there is no such checkpoint.
    """
    where = ModelName.parse(name).locate()
    if where.is_folder:
        return Path(where.source)
    from transformers.utils import cached_file

    try:
        found = cached_file(where.source, _CONFIG, revision=where.revision, local_files_only=where.cached_only)
    except Exception as cause:  # network, name and permissions fail in many ways
        raise ModelUnavailableError().noted(f"{name!r}: {reason_of(cause)}") from cause
    if found is None:
        raise ModelUnavailableError().noted(f"{name!r}: there is no config.json.")
    return Path(found).parent
