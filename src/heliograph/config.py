"""Where a program without arguments looks: addresses, environment variables, the config file, secrets in files.

``docs/configuration.md`` lists every variable; a test holds that page against the source.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from heliograph.errors import KeyFileError, TokenFileError
from heliograph.reading.files import read_text
from heliograph.reading.toml_values import read_toml
from heliograph.reasons import FileFault

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765

SERVER_VARIABLE = "HELIOGRAPH_SERVER"
BUNDLE_VARIABLE = "HELIOGRAPH_BUNDLE"
MODEL_VARIABLE = "HELIOGRAPH_MODEL"
CONFIG_VARIABLE = "HELIOGRAPH_CONFIG"
STATE_VARIABLE = "HELIOGRAPH_STATE"
DATA_VARIABLE = "HELIOGRAPH_DATA"
DEBUG_VARIABLE = "HELIOGRAPH_DEBUG"

OPTION_VARIABLES = {"server": SERVER_VARIABLE, "bundle": BUNDLE_VARIABLE, "model": MODEL_VARIABLE}
"""Options that a variable stands for where the command line does not say them: their place among the arguments, the
variable."""

_MAX_TOKEN_FILE_BYTES = _MAX_KEY_FILE_BYTES = 65_536
_MAX_CONFIG_FILE_BYTES = 1 << 18
_SHORTEST_KEY_BYTES, _LONGEST_KEY_BYTES = 16, 64


def default_server() -> str:
    """Address that ``ask`` connects to: ``$HELIOGRAPH_SERVER``, else the default port on this machine."""
    return os.environ.get(SERVER_VARIABLE) or f"ws://{DEFAULT_HOST}:{DEFAULT_PORT}"


def default_model() -> str:
    """Model that the cloud loads: ``$HELIOGRAPH_MODEL``, else the one that ships with the package."""
    return os.environ.get(MODEL_VARIABLE) or "reference"


def default_bundle() -> Path | None:
    """Bundle folder from ``$HELIOGRAPH_BUNDLE``; None stands for the one that ships with the package."""
    named = os.environ.get(BUNDLE_VARIABLE)
    return Path(named) if named else None


def config_path(named: Path | None = None) -> Path | None:
    """The config file: ``named``, else ``$HELIOGRAPH_CONFIG``, else ``heliograph/config.toml`` in
    ``$XDG_CONFIG_HOME`` or ``~/.config`` where there is one. None for no file, which the null device stands for too.
    """
    chosen = named or os.environ.get(CONFIG_VARIABLE)
    if chosen:
        return None if str(chosen) == os.devnull else Path(chosen)
    usual = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "heliograph" / "config.toml"
    return usual if usual.exists() else None


def read_config(path: Path) -> dict[str, Any]:
    """What a config file says, by section.

    Raises:
        FileUnreadableError: no such file, not text, no TOML, or over 256 KiB.
    """
    return read_toml(path, most=_MAX_CONFIG_FILE_BYTES)


def read_access_tokens(path: Path, most_bytes: int = _MAX_TOKEN_FILE_BYTES) -> tuple[str, ...]:
    """Access tokens from a file, one a line; blank lines and lines that begin with ``#`` are left out.

    Raises:
        TokenFileError: no such file, not text, over ``most_bytes``, or no token in it. An empty file must not become
            a server that lets everybody in.
    """
    text = read_text(path, most=most_bytes, error=TokenFileError, pipes=True)
    lines = [line.strip() for line in text.splitlines()]
    tokens = tuple(line for line in lines if line and not line.startswith("#"))
    if not tokens:
        raise TokenFileError(FileFault.EMPTY).noted(f"{path}.")
    return tokens


def read_keys(path: Path) -> tuple[bytes, ...]:
    """Keys that authenticate streams, from a file: one a line as 32 to 128 hexadecimal digits, such as
    ``openssl rand -hex 32`` writes; blank lines and lines that begin with ``#`` are left out.

    Raises:
        KeyFileError: no such file, over 64 KiB, a line that is no such key, or no key in it: what is meant to be
            authenticated must not go out without.
    """
    text = read_text(path, most=_MAX_KEY_FILE_BYTES, error=KeyFileError, pipes=True)
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
