"""A stranger's checkpoint is looked through before the loaders get it: what they open lies in its own folder.

The loaders open what a folder's configuration names: an index names the files of the weights, a tokenizer's
configuration those of its vocabulary. Names that lead elsewhere are refused, and so is what is no regular file, or a
link out of the folder. A hub's cache is made of links; they may lead anywhere within the cache of the same checkpoint.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heliograph.errors import FileUnreadableError, ModelUnavailableError
from heliograph.reading.files import read_bytes
from heliograph.reading.json_values import parse_lenient_json
from heliograph.vlm.causes import reason_of

_CONFIG = "config.json"
_CONFIGS = frozenset(
    {
        _CONFIG,
        "generation_config.json",
        "processor_config.json",
        "preprocessor_config.json",
        "video_preprocessor_config.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.json",
        "adapter_config.json",
    }
)
_INDEX_SUFFIX = ".index.json"
_SMALL_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
_IN_FOLDERS = "*/*"
_TEMPLATES = "additional_chat_templates"

_MAX_CONFIG_BYTES = 32 << 20
_MAX_TEXT_BYTES = 512 << 20
_MAX_ENTRIES = 4096
_MAX_DEPTH = 64
_MAX_VALUES = 1 << 20

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. +=@-]{0,254}")
_HUB_SNAPSHOT = re.compile(r"(models--[^/\\]+)[/\\]snapshots[/\\][^/\\]+$")
_FILE_KEY = re.compile(r".*_file|transformers_weights")
_IGNORED_KEYS = frozenset({"special_tokens_map_file"})  # old tokenizers carry a path of their maker's; nobody opens it
_FILE_LISTS = frozenset({"fast_tokenizer_files"})
_OTHER_MODELS = frozenset({"base_model_name_or_path", "audio_tokenizer_name_or_path"})
_KERNEL_KEYS = frozenset({"attn_implementation", "_attn_implementation", "_attn_implementation_internal"})


def check_checkpoint(source: str, revision: str | None = None, *, offline: bool = False) -> None:
    """Refuse a checkpoint whose files or configuration lead out of its own folder.

    Args:
        source: folder, or hub id, of which the small files are fetched first.
        revision: branch, tag or commit on the hub.
        offline: the hub is not asked; its cache on this machine has to do.

    Raises:
        ModelUnavailableError: it leads elsewhere; or the hub has none of that name, or cannot be reached.
    """
    folder = Path(source)
    check_folder(folder if folder.exists() else _fetched(source, revision, offline))


def check_folder(folder: Path) -> None:
    """Like :func:`check_checkpoint`, for a folder on the disk.

    Raises:
        ModelUnavailableError: something in it leads elsewhere, is no regular file, or is too large.
    """
    try:
        root = _root(folder.resolve())
        for path in _entries(folder):
            _check_place(path, root)
            if path.name in _CONFIGS or path.name.endswith(_INDEX_SUFFIX):
                _check_names(path.name, _config(path))
    except (OSError, ValueError, RuntimeError) as cause:  # RuntimeError: links in a circle
        raise ModelUnavailableError().noted(f"{str(folder)!r}: {reason_of(cause)}.") from cause


def _config(path: Path) -> Any:
    """What a configuration file holds.

    Raises:
        ValueError: no JSON, or too large or too deep.
    """
    try:
        return parse_lenient_json(read_bytes(path, max_bytes=_MAX_CONFIG_BYTES), depth=_MAX_DEPTH)
    except FileUnreadableError as error:
        raise ValueError(f"{path.name} {error.fault}") from error


def _fetched(name: str, revision: str | None, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            name,
            revision=revision,
            local_files_only=offline,
            allow_patterns=list(_SMALL_FILES),
            ignore_patterns=[_IN_FOLDERS],
        )
    except Exception as cause:  # network, name and permissions fail in many ways of the library's own
        raise ModelUnavailableError().noted(f"{name!r}: {reason_of(cause)}.") from cause
    return Path(found)


def _root(folder: Path) -> Path:
    """What a checkpoint's links may lead to: its folder, or its part of a hub's cache."""
    found = _HUB_SNAPSHOT.search(str(folder))
    return folder.parent.parent if found else folder


def _entries(folder: Path) -> Iterator[Path]:
    """What the loaders look at: the files beside each other, and further chat templates."""
    for count, path in enumerate(sorted(folder.iterdir())):
        if count >= _MAX_ENTRIES:
            raise ValueError("too many files")
        if path.name == _TEMPLATES:
            _check_place(path, _root(folder.resolve()))
            yield from sorted(path.glob("*.jinja"))[:_MAX_ENTRIES]
        elif not path.is_dir() or path.suffix in (".json", ".safetensors", ".jinja"):
            yield path


def _check_place(path: Path, root: Path) -> None:
    """A regular file, or the folder of templates, below ``root``; text is of a size that can be read as a whole."""
    target = path.resolve()
    facts = target.stat()
    folder = path.name == _TEMPLATES and stat.S_ISDIR(facts.st_mode)
    if not target.is_relative_to(root) or not (folder or stat.S_ISREG(facts.st_mode)):
        raise ValueError(f"{path.name} is no file of this checkpoint's own")
    if any(path.match(pattern) for pattern in _SMALL_FILES) and facts.st_size > _MAX_TEXT_BYTES:
        raise ValueError(f"{path.name} is too large")


def _check_names(file: str, config: Any) -> None:
    """Every name of a file, and of another model, anywhere in a configuration.

    Raises:
        ValueError: one leads elsewhere.
    """
    todo: list[tuple[str, Any]] = [("", config)]
    seen = 0
    while todo:
        key, value = todo.pop()
        seen += 1
        if seen > _MAX_VALUES:
            raise ValueError(f"{file} holds too many values")
        if key == "weight_map" or key in _FILE_LISTS:
            names = value.values() if isinstance(value, dict) else value
            if not isinstance(value, dict | list) or not all(map(_is_plain, names)):
                raise ValueError(f"{file} names files that are not this checkpoint's own ({key})")
        elif isinstance(value, dict):
            todo += value.items()
        elif isinstance(value, list):
            todo += ((key, one) for one in value)
        elif isinstance(value, str) and not _is_allowed(key, value):
            raise ValueError(f"{file} leads to what is not this checkpoint's own ({key})")


def _is_allowed(key: str, value: str) -> bool:
    if key in _OTHER_MODELS:
        return False
    if key in _KERNEL_KEYS:  # owner/name would fetch code from a hub
        return "/" not in value
    return key in _IGNORED_KEYS or not _FILE_KEY.fullmatch(key) or _is_plain(value)


def _is_plain(name: Any) -> bool:
    return isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is not None
