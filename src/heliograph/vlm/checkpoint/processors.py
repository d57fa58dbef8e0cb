"""A model's own processor for photos: the same on every machine, whatever else is installed there.

::

    configuration files --> family's class, every number that its constructor takes
    image processor ------> the library's PIL variant, by name: the same pixels as on a device
    video processor ------> its numbers alone; videos are not processed, and theirs wants torchvision
    tokenizer, the rest --> as the family loads them

Every place that needs a processor takes it from :func:`load_processor`. Left to choose, the library takes the image
processor of torchvision where torchvision is installed, whose filters differ from Pillow's by a level or two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from heliograph.errors import ModelUnavailableError

PIL, TORCHVISION, OTHER = "pil", "torchvision", "other"
"""What makes pixels of photos."""

_PROCESSOR, _VIDEO = "processor_config.json", "video_preprocessor_config.json"
_IMAGES, _TOKENIZER = "preprocessor_config.json", "tokenizer_config.json"
_VIDEO_PART, _IMAGE_PART = "video_processor", "image_processor"
_EDGES = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}


def load_processor(source: str, revision: str | None = None, *, offline: bool = False) -> Any:
    """The processor of a folder or hub id.

    Args:
        source: folder or hub id.
        revision: branch, tag or commit on the hub; None for the main one.
        offline: take what is in the hub's cache, and ask nobody.

    Raises:
        ModelUnavailableError: the library knows no processor of the name that the folder gives.
        Exception: those of the library's own loaders, of any kind.
    """
    where = {"revision": revision or "main", "local_files_only": offline}
    family = _family(source, where)
    values, _ = family.get_processor_dict(source, **where)
    parts = [_part(family, name, source, values, where) for name in family.get_attributes()]
    processor = _photos_only(family).from_args_and_dict(parts, values)
    _settle_sizes(processor)
    return processor


def image_backend(processor: Any) -> str:
    """What makes pixels of photos in a processor: :data:`PIL`, :data:`TORCHVISION` where a family has nothing else, or
    :data:`OTHER`.
    """
    names = {one.__name__ for one in type(processor.image_processor).__mro__}
    if names & {"PilBackend"}:
        return PIL
    return TORCHVISION if names & {"TorchvisionBackend"} else OTHER


# ---- the family ------------------------------------------------------------------------------------
def _family(source: str, where: Mapping[str, Any]) -> Any:
    """The processor's class: as the first configuration file names it that names one, else as the model's kind has it.

    Raises:
        ModelUnavailableError: the library has none of this name, or for this kind of model.
    """
    from transformers import AutoConfig
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name

    for file in (_PROCESSOR, _IMAGES, _VIDEO, _TOKENIZER):
        name = _values(source, file, where).get("processor_class")
        if isinstance(name, str):
            found = processor_class_from_name(name)
            break
    else:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **where)
        found = PROCESSOR_MAPPING.get(type(config), None)
    if found is None:
        raise ModelUnavailableError().noted(
            "the installed transformers has no processor of the name, or for the kind of model, that its files state."
        )
    return found


@lru_cache(maxsize=64)
def _photos_only(family: Any) -> Any:
    """The same class, but its half for videos may be a stand-in."""

    def check(self: Any, argument_name: str, argument: Any) -> Any:
        """Check like the family's own class, but for the part that is left out."""
        if isinstance(argument, VideoNumbers):
            return VideoNumbers
        return family.check_argument_for_proper_class(self, argument_name, argument)

    def to_dict(self: Any) -> dict[str, Any]:
        """Like the family's own, with the numbers of the part that is left out."""
        made = family.to_dict(self)
        return {name: value.to_dict() if isinstance(value, VideoNumbers) else value for name, value in made.items()}

    return type(family.__name__, (family,), {"check_argument_for_proper_class": check, "to_dict": to_dict})


# ---- its parts -------------------------------------------------------------------------------------
def _part(family: Any, name: str, source: str, values: Mapping[str, Any], where: Mapping[str, Any]) -> Any:
    """One of the processors that a processor is made of, loaded as the library loads it, photos by PIL."""
    if _VIDEO_PART in name:
        return VideoNumbers(_video_values(source, values, where))
    alone: Any = type(family.__name__, (family,), {"get_attributes": classmethod(lambda cls: [name])})
    backend = {"backend": PIL} if _IMAGE_PART in name else {}
    loaded = alone._get_arguments_from_pretrained(source, values, trust_remote_code=False, **where, **backend)
    return loaded[0]


def _settle_sizes(processor: Any) -> None:
    """Bounds of a photo's pixels that a tokenizer's file states, put where the image processor wants them.

    The library hands them to the image processor with every photo, in a form that it warns of each time.
    """
    images: Any = getattr(processor, _IMAGE_PART, None)
    stated = getattr(getattr(processor, "tokenizer", None), "init_kwargs", {})
    taken = getattr(getattr(images, "valid_kwargs", None), "__annotations__", {})
    for name, edge in _EDGES.items():
        if name in stated and name in taken and not hasattr(images, name):
            images.size = type(images.size)(**(dict(images.size) | {edge: stated.pop(name)}))


class VideoNumbers:
    """Stands where a processor's half for videos would: knows the checkpoint's numbers, processes nothing.

    Some families read a number of it on their way to photos. One that the checkpoint does not state is None.
    """

    model_input_names: tuple[str, ...] = ()
    _auto_class = None

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._values.get(name)

    def to_dict(self) -> dict[str, Any]:
        """The values as the checkpoint states them."""
        return dict(self._values)


def _video_values(source: str, values: Mapping[str, Any], where: Mapping[str, Any]) -> Mapping[str, Any]:
    """The numbers of the half for videos, from wherever a checkpoint of any age keeps them."""
    nested = values.get(_VIDEO_PART)
    if isinstance(nested, Mapping):
        return nested
    return _values(source, _VIDEO, where) or _values(source, _IMAGES, where)


# ---- files -----------------------------------------------------------------------------------------
def _values(source: str, name: str, where: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object in a file of a folder or of a hub id's cached copy; empty without such a file.

    Raises:
        ValueError: it holds something else.
    """
    from transformers.utils import cached_file

    found = cached_file(source, name, _raise_exceptions_for_missing_entries=False, **where)
    if not found:
        return {}
    values = json.loads(Path(found).read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(name)
    return values
