"""A model's own processor, also where a part of it that photos do not need wants a library that is not there.

Processors of newer families come with a half for videos, and that half wants torchvision. Without torchvision the
processor is built from its other parts: the tokenizer, the chat template and the image processor's PIL variant.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from heliograph.errors import ModelUnavailableError

_CONFIGS = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
_VIDEO = "video_processor"


def load_processor(source: str, revision: str | None = None) -> Any:
    """The processor of a folder or hub id, of one branch, tag or commit of it.

    Raises:
        ModelUnavailableError: none can be built. Other errors are those of the loaders.
    """
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(source, revision=revision or "main", trust_remote_code=False)
    except ImportError:  # of the half for videos
        return _without_video(source, revision or "main")


def _without_video(source: str, revision: str) -> Any:
    import transformers

    name = _processor_class(source, revision)
    family = getattr(transformers, name, None) if name else None
    if family is None:
        raise ModelUnavailableError
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    images = transformers.AutoImageProcessor.from_pretrained(source, revision=revision, trust_remote_code=False)

    def check(self: Any, argument_name: str, argument: Any) -> Any:
        """As the family's own, but for the part that is left out."""
        return (
            None if argument_name == _VIDEO else family.check_argument_for_proper_class(self, argument_name, argument)
        )

    photos_only = type(family.__name__, (family,), {"check_argument_for_proper_class": check})
    template = _file(source, revision, "chat_template.jinja")
    return photos_only(
        image_processor=images,
        tokenizer=tokenizer,
        video_processor=None,
        chat_template=template or tokenizer.chat_template,
    )


def _processor_class(source: str, revision: str) -> str | None:
    """As the folder's configuration files name it; none of them has to be there."""
    for file in _CONFIGS:
        text = _file(source, revision, file)
        name = json.loads(text).get("processor_class") if text else None
        if isinstance(name, str):
            return name
    return None


def _file(source: str, revision: str, name: str) -> str | None:
    """A text file of a folder or a hub id's cached copy."""
    from transformers.utils import cached_file

    found = cached_file(source, name, revision=revision, _raise_exceptions_for_missing_entries=False)
    return Path(found).read_text(encoding="utf-8") if found else None
