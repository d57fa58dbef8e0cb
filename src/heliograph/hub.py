"""Where the files of a name lie: a folder, or a model of a hub, asked once and for a few seconds.

::

    a folder ------------------------------------------> that folder
    neither a folder nor what a hub could call a model -> refused at once
    a hub id --one question--> answered: its commit, for the library to download
                               refused: no such model, or not for everybody
                               silent: the hub's cache on this machine, if it holds the model; else refused

The hub's own client asks many times over minutes where a hub is silent. Whoever loads asks here first, and then tells
it to take the cached files alone, or the files of one commit.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from heliograph.errors import HeliographError, MissingExtraError

PATIENCE_S = 5.0
"""How long the one question may take, finding the hub's address included."""

_HUB_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")
_CONFIGS = ("config.json", "manifest.json")
_MAX_SHOWN = 200
_NO_MODEL = "there is no such folder, and the hub has no such model, or it is private: log in with: hf auth login"


@dataclass(frozen=True)
class Found:
    """Where to load from.

    Attributes:
        source: folder or hub id, for the loaders.
        revision: commit, branch or tag of a hub id; None for a folder.
        cached_only: the hub is silent: the loaders must not ask it either.
    """

    source: str
    revision: str | None = None
    cached_only: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether nothing has to be downloaded."""
        return self.revision is None


class NotFoundHere(Exception):
    """Neither folder nor model of a hub has this name; the text is for the command line, without the name."""


def is_hub_id(name: str) -> bool:
    """Whether a hub could have a model of this name.

    >>> is_hub_id("owner/name"), is_hub_id("name"), is_hub_id("./name"), is_hub_id("path/to/model")
    (True, False, False, False)
    """
    return bool(_HUB_ID.fullmatch(name)) and "--" not in name and ".." not in name and not name.endswith(".git")


def locate(name: str, revision: str | None, error: Callable[[], HeliographError]) -> Found:
    """Where the files of a name lie.

    Args:
        name: folder or hub id.
        revision: branch, tag or commit on the hub; None for the main one.
        error: makes that of the command; what it says on the command line names the name and what to do.

    Raises:
        HeliographError: ``error``, with a note.
        MissingExtraError: a hub id, and huggingface_hub is not installed.
    """
    try:
        return _located(name, revision)
    except NotFoundHere as why:
        raise error().noted(f"{name[:_MAX_SHOWN]!r}: {why}.") from why.__cause__


def _located(name: str, revision: str | None) -> Found:
    if os.path.isdir(name):
        return Found(name)
    if os.path.exists(name):
        raise NotFoundHere("this is a file; name the folder that it lies in")
    if not is_hub_id(name):
        raise NotFoundHere("there is no such folder; check the path")
    return _asked(name, revision)


@lru_cache(maxsize=32)
def _asked(name: str, revision: str | None) -> Found:
    """What the hub says of a name; a name that it has is asked about once.

    Raises:
        NotFoundHere: it has none, does not give it, or is silent and the cache does not hold it.
    """
    try:
        from huggingface_hub import errors, is_offline_mode
    except ImportError as missing:
        raise MissingExtraError("edge") from missing
    if is_offline_mode():
        return _cached(name, revision, "HF_HUB_OFFLINE is set", None)
    try:
        commit = _commit(name, revision)
    except errors.RevisionNotFoundError as error:
        raise NotFoundHere("the hub's model has no such revision") from error
    except errors.GatedRepoError as error:
        raise NotFoundHere("accept the model's terms on the hub first, then: hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise NotFoundHere(_NO_MODEL) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND):  # of hubs that give no further reason
            raise NotFoundHere(_NO_MODEL) from error
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NotFoundHere(f"the hub refuses this model (HTTP {status})") from error
        return _cached(name, revision, f"the hub does not answer (HTTP {status})", error)
    except TimeoutError as error:
        return _cached(name, revision, "the hub does not answer", error)
    except Exception as error:  # of the network, the name service, a proxy: all the same here
        return _cached(name, revision, "the hub cannot be reached", error)
    return Found(name, commit)


def _commit(name: str, revision: str | None) -> str:
    """The commit that a name's branch or tag points at, or an error within :data:`PATIENCE_S`."""
    from huggingface_hub import HfApi

    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(HfApi().model_info(name, revision=revision, timeout=PATIENCE_S).sha)
        except BaseException as error:  # handed over to the one who waits
            answer.append(error)

    asking = threading.Thread(target=ask, daemon=True, name="hub")  # a name service keeps to no time limit of ours
    asking.start()
    asking.join(PATIENCE_S)
    if not answer:
        raise TimeoutError
    if isinstance(answer[0], BaseException):
        raise answer[0]
    return str(answer[0])


def _cached(name: str, revision: str | None, why: str, cause: Exception | None) -> Found:
    """The cached files of a name.

    Raises:
        NotFoundHere: there are none.
    """
    from huggingface_hub import try_to_load_from_cache

    wanted = revision or "main"
    if any(isinstance(try_to_load_from_cache(name, file, revision=wanted), str) for file in _CONFIGS):
        return Found(name, wanted, cached_only=True)
    step = (
        "take the cached files of another machine, or name a folder" if cause is None else "try later, or name a folder"
    )
    raise NotFoundHere(
        f"there is no such folder; {why}, and its cache on this machine does not hold this model; {step}"
    ) from cause


def download(found: Found) -> Path:
    """All files of a model of a hub, as they lie in the hub's cache.

    Raises:
        Exception: those of the hub's client, of any kind.
    """
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(found.source, revision=found.revision, local_files_only=found.cached_only))
