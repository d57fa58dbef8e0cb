"""Where a program without arguments looks: addresses, environment variables, the config file, secrets in files.

``docs/configuration.md`` lists every variable; a test holds that page against the source.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from heliograph.errors import KeyFileError, OutputUnwritableError, TokenFileError
from heliograph.reading.files import read_text
from heliograph.reading.toml_values import read_toml
from heliograph.reasons import FileFault

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765

FIELD = "field"
"""Name of the field model, and of its bundle, where a folder may be named."""

SERVER_VARIABLE = "HELIOGRAPH_SERVER"
BUNDLE_VARIABLE = "HELIOGRAPH_BUNDLE"
MODEL_VARIABLE = "HELIOGRAPH_MODEL"
CONFIG_VARIABLE = "HELIOGRAPH_CONFIG"
STATE_VARIABLE = "HELIOGRAPH_STATE"
DATA_VARIABLE = "HELIOGRAPH_DATA"
DEBUG_VARIABLE = "HELIOGRAPH_DEBUG"
NNC_VARIABLE = "HELIOGRAPH_NNC"

OPTION_VARIABLES = {"server": SERVER_VARIABLE, "bundle": BUNDLE_VARIABLE, "model": MODEL_VARIABLE}
"""Options that a variable stands for where the command line does not say them: their place among the arguments, the
variable."""

_MAX_TOKEN_FILE_BYTES = _MAX_KEY_FILE_BYTES = 65_536
_MAX_CONFIG_FILE_BYTES = 1 << 18
_WEIGHT = " weight="
_MIN_WEIGHT, _MAX_WEIGHT = 0.01, 100
_SHORTEST_KEY_BYTES, _LONGEST_KEY_BYTES = 16, 64


def default_server(paired: str = "") -> str:
    """Address that ``ask`` connects to: ``$HELIOGRAPH_SERVER``, else the server that this device is ``paired`` with,
    else the default port on this machine."""
    return os.environ.get(SERVER_VARIABLE) or paired or f"ws://{DEFAULT_HOST}:{DEFAULT_PORT}"


def named_model() -> str | None:
    """Model that ``$HELIOGRAPH_MODEL`` names."""
    return os.environ.get(MODEL_VARIABLE) or None


def default_model() -> str:
    """Model that the cloud loads: ``$HELIOGRAPH_MODEL``, else the one that ships with the package."""
    return named_model() or "reference"


def default_bundle() -> Path | None:
    """Bundle folder from ``$HELIOGRAPH_BUNDLE``; None stands for the one that ships with the package."""
    named = os.environ.get(BUNDLE_VARIABLE)
    return folder_or_hub_id(named) if named else None


def state_folder() -> Path:
    """Folder for what has to outlive a command and is nobody else's business: ``$HELIOGRAPH_STATE``, else
    ``heliograph`` in ``$XDG_STATE_HOME`` or ``~/.local/state``."""
    return Path(os.environ.get(STATE_VARIABLE) or user_folder("XDG_STATE_HOME", ".local/state") / "heliograph")


def field_folder() -> Path:
    """Folder of the field model, where ``heliograph assemble field`` writes it: ``heliograph/field`` in
    ``$XDG_DATA_HOME`` or ``~/.local/share``."""
    return user_folder("XDG_DATA_HOME", ".local/share") / "heliograph" / FIELD


def folder_or_hub_id(text: str) -> Path:
    """A bundle's or codec's folder as written; ``field`` is the one of ``heliograph assemble field``, unless there is a
    folder of that name. What is written as a path stays one, as ``./owner/name`` is no hub id."""
    if text == FIELD and not os.path.exists(FIELD):
        return field_folder() / "bundle"
    return Path(text).absolute() if text.startswith((".", "~")) else Path(text)


def user_folder(variable: str, usual: str) -> Path:
    """Folder that an XDG ``variable`` names, else ``usual`` in the home folder.

    A user without a home folder, as a service or a container may have one, gets the root's: nothing is there, and
    nothing can be written.
    """
    named = Path(os.environ.get(variable, ""))
    return named if named.is_absolute() else _home() / usual  # the specification passes over relative ones


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and a user of whom the system knows the number alone
        return Path("/")


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file that its user alone can read (mode 0600), as a whole or not at all; folders are made, for the user
    alone too.

    Args:
        path: of the file.
        text: its content, in UTF-8.
        replace: whether a file that is there gives way; otherwise it stays as it is.

    Raises:
        OutputUnwritableError: the disk or the system refuses.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            if replace:
                os.replace(fresh, path)
            else:
                with contextlib.suppress(FileExistsError):
                    os.link(fresh, path)  # whoever came first has made it
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh)
    except OSError as error:
        raise OutputUnwritableError().noted(f"{path}: {error.strerror}.") from error


def config_path(named: Path | None = None) -> Path | None:
    """The config file: ``named``, else ``$HELIOGRAPH_CONFIG``, else ``heliograph/config.toml`` in
    ``$XDG_CONFIG_HOME`` or ``~/.config`` where there is one. None for no file, which the null device stands for too.
    """
    chosen = named or os.environ.get(CONFIG_VARIABLE)
    if chosen:
        return None if str(chosen) == os.devnull else Path(chosen)
    usual = user_folder("XDG_CONFIG_HOME", ".config") / "heliograph" / "config.toml"
    try:
        return usual if usual.exists() else None
    except OSError:  # a home folder that this user may not look into
        return None


def read_config(path: Path) -> dict[str, Any]:
    """What a config file says, by section.

    Raises:
        FileUnreadableError: no such file, not text, no TOML, or over 256 KiB.
    """
    return read_toml(path, max_bytes=_MAX_CONFIG_FILE_BYTES)


def read_access_tokens(path: Path, max_bytes: int = _MAX_TOKEN_FILE_BYTES) -> tuple[str, ...]:
    """Access tokens from a file, as :func:`read_weighted_tokens`, in order."""
    return tuple(read_weighted_tokens(path, max_bytes))


def read_weighted_tokens(path: Path, max_bytes: int = _MAX_TOKEN_FILE_BYTES) -> dict[str, float]:
    """Access tokens from a file and their weights, 1 where none is given: one token a line, `` weight=3`` behind it
    for three times the share of others; blank lines and lines that begin with ``#`` are left out.

    Raises:
        TokenFileError: no such file, not text, over ``max_bytes``, a weight that is none, or no token in it. An empty
            file must not become a server that lets everybody in.
    """
    text = read_text(path, max_bytes=max_bytes, error=TokenFileError, pipes=True)
    lines = [line.strip() for line in text.splitlines()]
    tokens: dict[str, float] = {}
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            token, _, weight = line.partition(_WEIGHT)
            tokens[token.rstrip()] = _weight(weight, f"{path}, line {number}") if _WEIGHT in line else 1.0
    if not tokens:
        raise TokenFileError(FileFault.EMPTY).noted(f"{path}.")
    return tokens


def _weight(text: str, where: str) -> float:
    with contextlib.suppress(ValueError):
        weight = float(text)
        if _MIN_WEIGHT <= weight <= _MAX_WEIGHT:
            return weight
    raise TokenFileError(FileFault.CONTENT).noted(
        f"{where}: a weight is a number from {_MIN_WEIGHT} to {_MAX_WEIGHT}, such as weight=2."
    )


def read_keys(path: Path) -> tuple[bytes, ...]:
    """Keys that authenticate streams, from a file: one a line as 32 to 128 hexadecimal digits, such as
    ``openssl rand -hex 32`` writes; blank lines and lines that begin with ``#`` are left out.

    Raises:
        KeyFileError: no such file, over 64 KiB, a line that is no such key, or no key in it: what is meant to be
            authenticated must not go out without.
    """
    text = read_text(path, max_bytes=_MAX_KEY_FILE_BYTES, error=KeyFileError, pipes=True)
    lines = [line.strip() for line in text.splitlines()]
    try:
        keys = tuple(bytes.fromhex(line) for line in lines if line and not line.startswith("#"))
    except ValueError as error:
        raise KeyFileError(FileFault.CONTENT).noted(f"{path}: a line is not hexadecimal.") from error
    if not keys:
        raise KeyFileError(FileFault.EMPTY).noted(f"{path}.")
    if not all(_SHORTEST_KEY_BYTES <= len(key) <= _LONGEST_KEY_BYTES for key in keys):
        raise KeyFileError(FileFault.CONTENT).noted(f"{path}: a key has 32 to 128 hexadecimal digits, one key a line.")
    return keys
