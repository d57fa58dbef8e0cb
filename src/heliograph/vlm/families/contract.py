"""The contract of the tap, checked on one family: transmitted tokens answer exactly as pixels do.

A tiny random model reads random photos; its visual tokens are taken apart, sent as float32 bytes and put together again
with the layout of grey photos of the same sizes, and the model reads those grey photos with the tokens fed in. Logits
and a greedy answer must be those of the pixel path, bit for bit, and the grey photos alone must give others.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.errors import ModelUnsupportedError
from heliograph.vlm.causes import reason_of
from heliograph.vlm.continuous.forward import PackedForward
from heliograph.vlm.families.inputs import Pixels, blank, pixel_inputs, prompt_ids
from heliograph.vlm.families.shrink import tiny_config
from heliograph.vlm.image_features import layout_of, output_with, tokens_of, without_values
from heliograph.vlm.prompt import placeholder_id
from heliograph.vlm.tap import METHOD, feed_output, find_owner

_LOG = logging.getLogger(__name__)

EXACT = "exact"
SIDE_BY_SIDE = "yes"
CASES = (("one photo", 1, False), ("two photos", 2, False), ("two photos of different sizes or more tiles", 2, True))
_ANSWER_TOKENS = 4
_FIRST_WORD = 64  # ids below are special to one family or another
_SPREAD = 0.05
_PACKAGE = re.compile(r"requires the (\S+) library")
"""In what the library says of a package that is missing."""


@dataclass(frozen=True)
class Verdict:
    """What was found of one family.

    Attributes:
        kind: transformers' ``model_type``.
        model: class.
        outcome: ``exact``, or why not.
        tokens: of one photo, rows and channels that travel; None where it did not come so far.
        side_by_side: ``yes`` where sequences of words have the logits side by side that they have alone
            (:class:`heliograph.vlm.continuous.forward.PackedForward`), else why it is asked one at a time; None where
            it did not come so far.
    """

    kind: str
    model: str
    outcome: str
    tokens: tuple[int, int] | None = None
    side_by_side: str | None = None


def families() -> dict[str, str]:
    """``model_type`` to the class that answers questions about pictures, for every family of this transformers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as NAMES

    return {kind: name if isinstance(name, str) else name[0] for kind, name in NAMES.items()}


def check_family(kind: str) -> Verdict:
    """The contract on one family; never raises: what goes wrong inside a family's code is its verdict."""
    import transformers

    name = families()[kind]
    try:
        with _stage("a tiny random model of it cannot be made"):
            model = _tiny_model(getattr(transformers, name), kind)
        try:
            owner = find_owner(model)
        except ModelUnsupportedError:
            return Verdict(kind, name, f"its forward calls no {METHOD}")
        placeholder = placeholder_id(model.config)
        if placeholder is None:
            return Verdict(kind, name, "its configuration names no placeholder for visual tokens")
        tokens = None
        for case, photos, varied in CASES:
            outcome, found = _check_case(kind, model, owner, placeholder, photos, varied=varied)
            tokens = tokens or found
            if outcome != EXACT:
                return Verdict(kind, name, f"{case}: {outcome}", tokens)
    except _FamilyFailedError as failed:
        _LOG.debug("%s", kind, exc_info=failed)
        return Verdict(kind, name, str(failed))
    except Exception as error:  # foreign code may fail in any way
        _LOG.debug("%s", kind, exc_info=error)
        return Verdict(kind, name, "the check does not come to an end with it")
    return Verdict(kind, name, EXACT, tokens, _side_by_side(model))


def _side_by_side(model: Any) -> str:
    try:
        PackedForward(model)
    except ModelUnsupportedError as error:
        return reason_of(error).partition(":")[0]
    except Exception:  # foreign code may fail in any way
        return "its program takes no sequences side by side"
    return SIDE_BY_SIDE


class _FamilyFailedError(Exception):
    """A family's own code failed; the text says at which stage, in words that do not change with its code."""


@contextlib.contextmanager
def _stage(outcome: str) -> Iterator[None]:
    """What a family's code raises within, in any way of its own, is this outcome; a missing package is named."""
    try:
        yield
    except _FamilyFailedError:
        raise
    except ImportError as error:
        found = _PACKAGE.search(str(error))
        package = found[1] if found else error.name or "a package"
        raise _FamilyFailedError(f"it needs {package}, which is not installed here") from error
    except Exception as error:
        raise _FamilyFailedError(outcome) from error


def _tiny_model(family: Any, kind: str) -> Any:
    torch.manual_seed(0)
    model = family(tiny_config(kind)).eval().float().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() > 1 or not torch.isfinite(parameter).all():
            nn.init.normal_(parameter, std=_SPREAD)
    return model


@torch.no_grad()
def _check_case(
    kind: str, model: Any, owner: nn.Module, placeholder: int, photos: int, *, varied: bool
) -> tuple[str, tuple[int, int] | None]:
    """Outcome, and rows and channels of one photo's tokens."""
    with _stage("no pixels can be made for it as for the other families"):
        pixels = pixel_inputs(kind, owner, model.config, photos, varied=varied, seed=photos + varied)
        grey = blank(pixels)
    asked = inspect.signature(getattr(type(owner), METHOD)).parameters
    original = getattr(owner, METHOD)

    def features(inputs: Pixels) -> Any:
        return original(**{k: v for k, v in inputs.items() if k in asked}, return_dict=True)

    with _stage(f"its {METHOD} does not take pixels as those of the other families"):
        output = features(pixels)
    with _stage(f"what its {METHOD} gives cannot be taken apart and put together again"):
        sent = tokens_of(output).float().numpy().tobytes()  # device
        layout = without_values(layout_of(features(grey)))  # cloud
        received = torch.from_numpy(np.frombuffer(sent, dtype=np.float32).reshape(-1, layout.width).copy())
        ids = prompt_ids(model.config, _counts(output, pixels, layout.rows, photos), placeholder)
    with _stage("its forward does not take a photo and a prompt of placeholders as the other families do"):
        with_pixels = _answer(model, ids, pixels, placeholder)
    with _stage("its forward does not take tokens that were sent"), feed_output(owner, output_with(received, layout)):
        with_tokens = _answer(model, ids, grey, placeholder)
    if not _same(with_pixels, with_tokens):
        return "logits differ", (layout.rows // photos, layout.width)
    if _same(with_pixels, _answer(model, ids, grey, placeholder)):
        return "the photo does not change the logits", (layout.rows // photos, layout.width)
    return EXACT, (layout.rows // photos, layout.width)


def _counts(output: Any, pixels: Pixels, rows: int, photos: int) -> list[int]:
    """Tokens of each photo: as the output is divided, else by the grids, else evenly."""
    tokens = getattr(output, "pooler_output", output)
    if isinstance(tokens, (list, tuple)) and len(tokens) == photos:
        return [int(one.numel() // one.shape[-1]) for one in tokens]
    grids = pixels.get("image_grid_thw")
    if grids is not None:
        areas = grids.prod(-1)
        return [int(rows * area // areas.sum()) for area in areas]
    return [rows // photos + (rows % photos if last else 0) for last in [False] * (photos - 1) + [True]]


def _answer(model: Any, ids: Tensor, pixels: Pixels, placeholder: int) -> list[Tensor]:
    """Logits of each of a few greedy steps, every step from the whole sequence."""
    steps = []
    for _ in range(_ANSWER_TOKENS):
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), **pixels, **_extras(model, ids, placeholder))
        steps.append(logits.logits)
        if model.config.is_encoder_decoder:
            break  # the answer grows on the decoder's side
        ids = torch.cat([ids, steps[-1][:, -1:, _FIRST_WORD:].argmax(-1) + _FIRST_WORD], dim=1)
    return steps


def _extras(model: Any, ids: Tensor, placeholder: int) -> dict[str, Tensor]:
    """Inputs that a processor makes from the ids."""
    taken = inspect.signature(type(model).forward).parameters
    types = (ids == placeholder).long()
    made = {name: types for name in ("mm_token_type_ids", "token_type_ids") if name in taken}
    if model.config.is_encoder_decoder:
        made["decoder_input_ids"] = torch.tensor([[1, 5, 6]])
    return made


def _same(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
