"""Opponents as programs of their own: whatever they need to import, they share a folder of arrays with the suite.

::

    tokens.npy, coefficients.npy, channels.npy, request.json --command FOLDER--> answer.npz

``opponents.json`` in the folder of opponents names each one's command and what its environment has beside ours::

    {"klt-nnc": {"command": ["nnc-env/bin/python", "tools/opponents/klt_nnc.py"], "environment": {}}}

``answer.npz`` holds for each setting NAME (such as ``qp=14``) ``NAME/bytes`` (I,) and one of ``NAME/tokens`` (I, N, D),
``NAME/coefficients`` or ``NAME/channels`` (both (I, P, R), in finest steps of ``klt``); the suite restores tokens from
the latter two. A text array ``note`` says what the bytes leave out.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.bench.bytes.rates import Rate
from heliograph.codec.klt import KltCodec
from heliograph.errors import DataMissingError
from heliograph.strategies.base import Setting
from heliograph.strategies.foreign import ForeignProgram, ForeignProgramError
from heliograph.types import FloatArray, VisualTokens

OPPONENTS = Path("runs/opponents")
"""Where the suite looks for ``opponents.json``."""

OLDER, NNC, AVIF_TILES = "klt-older", "klt-nnc", "klt-avif"
_LIST = "opponents.json"
_TOKENS, _COEFFICIENTS, _CHANNELS, _REQUEST, _ANSWER = (
    "tokens.npy",
    "coefficients.npy",
    "channels.npy",
    "request.json",
    "answer.npz",
)
_PATIENCE_S = 1800


@dataclass(frozen=True)
class Opponent:
    """One of them.

    Attributes:
        name: of its curve.
        command: program and arguments; the exchange folder is added.
        environment: variables beside those of this process.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]

    def run(self, *arguments: str) -> str:
        """Standard output of the command with these arguments.

        Raises:
            DataMissingError: it is not there, or ends with an error.
        """
        program = ForeignProgram(self.command, {**os.environ, **self.environment}, _PATIENCE_S)
        try:
            return program.run(*arguments).decode(errors="replace")
        except ForeignProgramError as error:
            raise DataMissingError().noted(f"opponent {self.name}: {error}.") from error


@dataclass(frozen=True)
class Answer:
    """What one opponent gave.

    Attributes:
        rates: per setting.
        note: what its bytes leave out; empty for nothing.
    """

    rates: tuple[Rate, ...]
    note: str


def load_opponents(folder: Path = OPPONENTS) -> dict[str, Opponent]:
    """The opponents of a folder by name; none where it has no list.

    Raises:
        DataMissingError: the list cannot be read.
    """
    path = folder / _LIST
    if not path.is_file():
        return {}
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: Opponent(name, tuple(one["command"]), dict(one.get("environment", {})))
            for name, one in listed.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataMissingError().noted(f"{path} is no list of opponents.") from error


def asked(opponent: Opponent, codec: KltCodec, photos: Sequence[VisualTokens], request: Mapping[str, Any]) -> Answer:
    """What an opponent makes of photos.

    Args:
        opponent: whose command runs once.
        codec: whose transform it is given, and which restores tokens from coefficients.
        photos: of the codec's grid.
        request: further facts: levels, budgets, which photos these are.

    Raises:
        DataMissingError: the command fails, or its answer cannot be read.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_request(folder, codec, photos, request)
        opponent.run(str(folder))
        return read_answer(folder, opponent.name, codec, len(photos))


def write_request(folder: Path, codec: KltCodec, photos: Sequence[VisualTokens], request: Mapping[str, Any]) -> None:
    """Everything that an opponent may want to know of the photos."""
    tokens = np.stack([one.values for one in photos]).astype(np.float32)
    transform = codec.transform
    np.save(folder / _TOKENS, tokens)
    np.save(folder / _COEFFICIENTS, np.stack([transform.analyse(one.values, one.grid, True)[0] for one in photos]))
    np.save(folder / _CHANNELS, transform.channels(tokens) / np.float32(transform.step))
    (folder / _REQUEST).write_text(json.dumps(dict(request)), encoding="utf-8")


def read_answer(folder: Path, name: str, codec: KltCodec, photos: int) -> Answer:
    """What lies in ``answer.npz``, with tokens restored where it holds coefficients.

    Raises:
        DataMissingError: it is not there, or holds arrays of other shapes.
    """
    rates = []
    try:
        with np.load(folder / _ANSWER, allow_pickle=False) as arrays:
            note = str(arrays["note"]) if "note" in arrays else ""
            for setting in (key.removesuffix("/bytes") for key in arrays if key.endswith("/bytes")):
                payload = np.asarray(arrays[f"{setting}/bytes"], dtype=np.float64)
                tokens = _tokens_of(arrays, setting, codec)
                if payload.shape != (photos,) or tokens.shape != (photos, codec.grid.tokens, codec.hidden_size):
                    raise ValueError(f"{setting} has other shapes than the photos")
                rates.append(Rate(name, _knobs(setting), payload, tokens))
    except (OSError, KeyError, ValueError) as error:
        raise DataMissingError().noted(f"opponent {name}: its {_ANSWER} cannot be used ({error}).") from error
    return Answer(tuple(rates), note)


def _tokens_of(arrays: Mapping[str, Any], setting: str, codec: KltCodec) -> FloatArray:
    if f"{setting}/tokens" in arrays:
        return np.asarray(arrays[f"{setting}/tokens"], dtype=np.float32)
    transform, grid = codec.transform, codec.grid
    if f"{setting}/channels" in arrays:
        spectra = np.asarray(arrays[f"{setting}/channels"], dtype=np.float32) * np.float32(transform.step)
    else:
        coefficients = np.asarray(arrays[f"{setting}/coefficients"], dtype=np.float32)
        spectra = np.stack([transform.over_channels(one[None], grid, True)[0] for one in coefficients])
    return np.stack([transform.synthesise(one[None], grid, True) for one in spectra])


def _knobs(setting: str) -> Setting:
    """``qp=14,rdo=0.75`` as knobs; numbers are numbers."""
    pairs = (pair.partition("=") for pair in setting.split(","))
    return {knob: float(value) if "." in value else int(value) for knob, _, value in pairs}
