"""What the library's loaders are asked for, and what is refused of what they give; the loaders are a test's own."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from heliograph.errors import ModelUnavailableError, ModelUnsupportedError
from heliograph.hub import Found
from heliograph.vlm.checkpoint import loading
from heliograph.vlm.checkpoint.loading import load_pretrained
from heliograph.vlm.checkpoint.names import ModelName


class Loaded(nn.Module):
    """A model with one weight, in training mode as constructors leave it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.generation_config = SimpleNamespace(num_return_sequences=None)


class Loaders:
    """In place of the library: notes what it is asked, and gives what a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, found: Found) -> None:
        self.model, self.report = Loaded(), {"missing_keys": set[str](), "mismatched_keys": set[str]()}
        self.processor: Any = SimpleNamespace(image_processor=SimpleNamespace(do_image_splitting=True), tokenizer="t")
        self.slow_only = False
        self.checked: list[Any] = []
        self.asked: list[dict[str, Any]] = []
        self.fixed: list[Any] = []
        monkeypatch.setattr(ModelName, "locate", lambda name: found)
        monkeypatch.setattr(loading, "check_checkpoint", lambda *place, **how: self.checked.append((*place, how)))
        monkeypatch.setattr(loading, "load_processor", self.load_processor)
        monkeypatch.setattr(transformers.AutoModelForImageTextToText, "from_pretrained", self.load)
        monkeypatch.setattr(loading, "find_owner", lambda model: model)
        monkeypatch.setattr(loading, "with_fixed_template", lambda processor, most: self.fixed.append(most))

    def load_processor(self, *place: Any, **how: Any) -> Any:
        self.checked.append((*place, how))
        return self.processor

    def load(self, source: str, **options: Any) -> Any:
        self.asked.append({"source": source, **options})
        if self.slow_only and options["attn_implementation"] == "sdpa":
            raise ValueError("no such attention")
        return self.model, self.report


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Loaders:
    return Loaders(monkeypatch, Found("owner/model", "v2", cached_only=True))


def test_weights_come_from_safetensors_and_no_code_is_run(hub: Loaders) -> None:
    model, processor = load_pretrained("owner/model@v2")
    assert hub.checked == [("owner/model", "v2", {"offline": True})] * 2
    assert hub.asked == [
        {
            "source": "owner/model",
            "attn_implementation": "sdpa",
            "revision": "v2",
            "local_files_only": True,
            "dtype": torch.float32,
            "use_safetensors": True,
            "trust_remote_code": False,
            "output_loading_info": True,
        }
    ]
    assert not model.training
    assert not model.weight.requires_grad
    assert processor.image_processor.do_image_splitting
    assert hub.fixed == [8]


def test_a_folder_has_the_main_revision_and_an_accelerator_half_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    loaders = Loaders(monkeypatch, Found("folder"))
    load_pretrained("folder", "meta")
    (asked,) = loaders.asked
    assert (asked["revision"], asked["local_files_only"], asked["dtype"]) == ("main", False, torch.bfloat16)


def test_a_family_without_fast_attention_takes_its_own(hub: Loaders) -> None:
    hub.slow_only = True
    load_pretrained("owner/model")
    assert [one.pop("attn_implementation") for one in hub.asked] == ["sdpa", "eager"]
    assert hub.asked[0] == hub.asked[1]


@pytest.mark.parametrize("report", [("missing_keys", {"a"}), ("mismatched_keys", {("a", (1,), (2,))})])
def test_weights_that_are_missing_or_of_other_shapes_are_refused(hub: Loaders, report: tuple[str, Any]) -> None:
    hub.report |= dict([report])
    with pytest.raises(ModelUnavailableError):
        load_pretrained("owner/model")


@pytest.mark.parametrize(
    ("processor", "lacks"),
    [
        (SimpleNamespace(tokenizer=1), "image processor"),
        (SimpleNamespace(image_processor=1), "tokenizer"),
        (SimpleNamespace(), "image processor and no tokenizer"),
    ],
)
def test_a_processor_in_part_is_refused(hub: Loaders, processor: Any, lacks: str) -> None:
    hub.processor = processor
    with pytest.raises(ModelUnsupportedError) as caught:
        load_pretrained("owner/model")
    assert caught.value.__notes__ == [f"'owner/model': its processor has no {lacks}."]


def test_one_frame_is_for_processors_that_split(hub: Loaders) -> None:
    _, processor = load_pretrained("owner/model#one-frame")
    assert processor.image_processor.do_image_splitting is False
    hub.processor = SimpleNamespace(image_processor=SimpleNamespace(), tokenizer=1)
    with pytest.raises(ModelUnsupportedError):
        load_pretrained("owner/model#one-frame")


@pytest.mark.parametrize(("asked", "lines"), [(None, 0), (0, 0), (1, 0), (2, 1)])
def test_several_answers_are_warned_of(
    hub: Loaders, asked: int | None, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    hub.model.generation_config.num_return_sequences = asked
    with caplog.at_level(logging.WARNING, "heliograph.vlm"):
        load_pretrained("owner/model")
    assert caplog.text.count("num_return_sequences") == lines


def test_the_shipped_models_template_is_taken_as_it_is(hub: Loaders) -> None:
    load_pretrained("reference")
    assert hub.fixed == []
