"""Every bound on a stranger's checkpoint: the last that is taken and the first that is not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from heliograph.errors import AnsweringFailedError, ModelUnavailableError, ModelUnsupportedError, QuestionTooLongError
from heliograph.question import check_text
from heliograph.vlm.checkpoint import files, fingerprint, processors, template_child, template_guard
from heliograph.vlm.checkpoint.files import _check_names, check_folder
from heliograph.vlm.checkpoint.template_guard import RenderLimits, fixed_template
from heliograph.vlm.checkpoint.weights import WeightCheck, first_bad_weight


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def refused(folder: Path) -> str:
    with pytest.raises(ModelUnavailableError) as caught:
        check_folder(folder)
    return caught.value.__notes__[0]


# ---- files ---------------------------------------------------------------------------------------------------
def test_text_that_is_read_as_a_whole_has_at_most_512_mebibytes(folder: Path) -> None:
    for name in ("tokenizer.json", "merges.txt", "spiece.model", "vocab.tiktoken", "chat_template.jinja"):
        with (folder / name).open("wb") as file:
            file.truncate(512 << 20)  # a hole: it takes no disk
            check_folder(folder)
            file.truncate((512 << 20) + 1)
            assert f"{name} is too large" in refused(folder)
        (folder / name).unlink()
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate((512 << 20) + 1)
    check_folder(folder)


def test_a_configuration_has_at_most_32_mebibytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most: list[int] = []

    def read(path: Path, *, max_bytes: int) -> bytes:
        most.append(max_bytes)
        return path.read_bytes()

    monkeypatch.setattr(files, "read_bytes", read)
    check_folder(folder)
    assert most == [33_554_432]


def test_a_folder_has_at_most_4096_entries(folder: Path) -> None:
    for number in range(4095):
        (folder / f"{number}.bin").touch()
    check_folder(folder)
    (folder / "one more.bin").touch()
    assert "too many files" in refused(folder)


@pytest.mark.parametrize(("depth", "within"), [(64, True), (65, False)])
def test_a_configuration_is_at_most_64_deep(folder: Path, depth: int, within: bool) -> None:
    (folder / "config.json").write_text('{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}")
    if within:
        check_folder(folder)
    else:
        refused(folder)


def test_a_configuration_holds_at_most_a_million_values() -> None:
    """2**20 of them: the object, its list, and what is in that."""
    _check_names("config.json", {"a": [0] * (2**20 - 2)})
    with pytest.raises(ValueError, match="too many values"):
        _check_names("config.json", {"a": [0] * (2**20 - 1)})


ALLOWED: list[Any] = [
    {"tokenizer_file": "tokenizer.json"},
    {"vocab_file": None, "vocab_size": 7},
    {"_attn_implementation": "sdpa", "attn_implementation": "eager"},
    {"special_tokens_map_file": "/elsewhere/map.json"},
    {"weight_map": {}, "fast_tokenizer_files": []},
    {"weight_map": {"a": "x" * 255}},
    {"profile": "/a/b", "base": {"path": "../x"}},  # nobody opens these
    [[{"a": ["/x"]}]],
]
ELSEWHERE: list[Any] = [
    {"weight_map": {"a": "x" * 256}},
    {"weight_map": {"a": "fine", "b": "../x"}},
    {"weight_map": None},
    {"fast_tokenizer_files": ["fine.json", 7]},
    {"base_model_name_or_path": "model.bin"},  # of another model, wherever it lies
    {"attn_implementation": "owner/kernel"},
    {"_attn_implementation_internal": "owner/kernel"},
    {"list": [{"tokenizer_file": "/x"}]},
    {"vocab_file": ["fine", "/x"]},
]


@pytest.mark.parametrize("config", ALLOWED)
def test_names_that_lead_nowhere_else(config: Any) -> None:
    assert _check_names("config.json", config) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("config", ELSEWHERE)
def test_names_that_lead_elsewhere(config: Any) -> None:
    with pytest.raises(ValueError, match=r"config\.json"):
        _check_names("config.json", config)


def test_every_file_that_a_loader_takes_for_a_configuration_is_read(folder: Path) -> None:
    for name in ("generation_config.json", "pytorch_model.bin.index.json", "special_tokens_map.json"):
        (folder / name).write_text(json.dumps({"weight_map": {"a": "../x"}}))
        assert name in refused(folder)
        (folder / name).unlink()
    (folder / "trainer_state.json").write_text("{")  # no loader opens it
    check_folder(folder)


def test_the_folder_of_templates_may_not_lie_elsewhere(folder: Path) -> None:
    outside = folder.parent / f"{folder.name} templates"
    outside.mkdir()
    (folder / "additional_chat_templates").symlink_to(outside)
    assert "additional_chat_templates" in refused(folder)


def test_an_index_file_of_the_hub_is_asked_for_with_what_was_said(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    import huggingface_hub

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name, **options: asked.append(options) or str(folder)
    )
    files.check_checkpoint("owner/model", "v2")
    files.check_checkpoint("owner/model", offline=True)
    assert [(one["revision"], one["local_files_only"]) for one in asked] == [("v2", False), (None, True)]


# ---- templates -------------------------------------------------------------------------------------------------
def test_what_a_template_may_take() -> None:
    """Five processor seconds, 256 MiB beside the renderer's own, 2**18 characters, two minutes in all."""
    limits = template_guard.LIMITS
    assert limits == RenderLimits(5, 268_435_456, 262_144, 120.0)


PLAIN = "{{ messages[0].content[-1].text }}"


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the child process says, as a test wants it."""
    made = SimpleNamespace(returncode=0, stdout=b'{"frames": {"1": ["a", "b"]}, "refused": {}}', asked=[])

    def run(command: Any, **how: Any) -> Any:
        made.asked.append((command, how))
        return made

    monkeypatch.setattr(template_guard.subprocess, "run", run)
    return made


def test_a_template_has_at_most_a_million_characters(child: SimpleNamespace) -> None:
    fixed_template(PLAIN + "x" * (2**20 - len(PLAIN)), (), 1)
    with pytest.raises(ModelUnsupportedError):
        fixed_template(PLAIN + "x" * (2**20 + 1 - len(PLAIN)), (), 1)
    assert len(child.asked) == 1
    ((_, how),) = child.asked
    assert (how["timeout"], how["check"]) == (120.0, False)


def test_the_child_says_at_most_eight_mebibytes(child: SimpleNamespace) -> None:
    child.stdout = child.stdout.ljust(8 << 20)
    assert "'b'" in fixed_template(PLAIN + "1", (), 1).replace('"', "'")
    child.stdout += b" "
    with pytest.raises(ModelUnsupportedError):
        fixed_template(PLAIN + "2", (), 1)


def test_a_child_that_fails_or_says_nothing_is_a_refusal(child: SimpleNamespace) -> None:
    child.returncode = 1
    with pytest.raises(ModelUnsupportedError):
        fixed_template(PLAIN + "3", (), 1)
    child.returncode, child.stdout = 0, b'{"frames": {"0": ["a", "b"]}, "refused": {"1": "one"}}'
    with pytest.raises(ModelUnsupportedError) as caught:
        fixed_template(PLAIN + "4", (), 1)
    assert caught.value.__notes__ == ["its chat template refuses a photo: one."]


def test_the_childs_own_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three seconds were used: the fifth after them is the last. Memory is that of now and what was granted."""
    resource = pytest.importorskip("resource")
    used = SimpleNamespace(ru_utime=2.6, ru_stime=0.7)
    stated: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "getrusage", lambda who: used)
    monkeypatch.setattr(resource, "getpagesize", lambda: 4096)
    monkeypatch.setattr(resource, "setrlimit", stated.__setitem__)
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: "1000 7 7 7 7 7 7")
    template_child.limit(5, 1 << 20)
    assert stated == {
        resource.RLIMIT_CPU: (9, 9),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_AS: (1000 * 4096 + (1 << 20), 1000 * 4096 + (1 << 20)),
    }


def test_what_a_template_is_tried_with_can_be_asked() -> None:
    for question in template_child.QUESTIONS:
        check_text(question)
        assert question == question.strip()
    with pytest.raises(QuestionTooLongError):
        check_text(f"word {max(template_child.QUESTIONS, key=len)}")


def test_a_refusal_is_cut_to_200_characters() -> None:
    assert template_child.reason_of(ValueError("x" * 300)) == "x" * 200
    assert template_child.reason_of(ValueError()) == "it gives no reason"


@pytest.mark.parametrize("text", ["no mark", f"{template_child.MARK}{template_child.MARK}"])
def test_a_template_puts_the_question_down_once(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - without words: the parent has them
        template_child.frame(lambda question, images: text, 1)


# ---- weights -----------------------------------------------------------------------------------------------------
class Weights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.ones(3))
        self.second = nn.Parameter(torch.ones(2, 2, dtype=torch.bfloat16))
        self.register_buffer("stored", torch.ones(2))
        self.register_buffer("derived", torch.full((2,), torch.inf), persistent=False)
        self.register_buffer("numbers", torch.full((2,), 2**40))
        self.register_buffer("none", torch.zeros(0))
        self.register_buffer("meta", torch.ones(2, device="meta"))


BELOW = 2.0**20 - 1


def test_weights_below_2_to_the_20_are_taken() -> None:
    model = Weights()
    assert first_bad_weight(model) is None
    with torch.no_grad():
        model.first[2], model.stored[1] = BELOW, -BELOW
    assert first_bad_weight(model) is None
    WeightCheck(model).require()


@pytest.mark.parametrize("name", ["first", "second", "stored"])
@pytest.mark.parametrize("value", [2.0**20, -(2.0**20), torch.inf, -torch.inf, torch.nan])
def test_the_bad_weight_is_named(name: str, value: float, caplog: pytest.LogCaptureFixture) -> None:
    model = Weights()
    with torch.no_grad():
        getattr(model, name).view(-1)[1] = value
    check = WeightCheck(model)
    assert check.bad == name
    assert f"the weight {name} is not finite, or 1048576 and more in size" in caplog.text
    with pytest.raises(AnsweringFailedError) as caught:
        check.require()
    assert caught.value.__notes__ == [f"Weight {name} is damaged; download its files again."]


def test_of_two_bad_weights_the_first_is_named() -> None:
    model = Weights()
    with torch.no_grad():
        model.second[0, 0] = model.stored[0] = torch.nan
    assert first_bad_weight(model) == "second"


# ---- what is kept --------------------------------------------------------------------------------------------------
def test_what_is_kept_of_strangers_is_bounded() -> None:
    assert fixed_template.cache_parameters()["maxsize"] == 16
    assert fingerprint.model_fingerprint.cache_parameters()["maxsize"] == 8
    assert processors._photos_only.cache_parameters()["maxsize"] == 64


def test_headers_of_weights_have_the_librarys_bounds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The safetensors format allows headers of 100 million bytes; a million tensors and a pebibyte are beyond any."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(fingerprint, "read_header", lambda path, **bounds: asked.append(bounds) or {})
    (folder / "model.safetensors").touch()
    with pytest.raises(ModelUnavailableError):
        fingerprint.model_fingerprint(str(folder))
    (bounds,) = asked
    found = bounds["max_header_bytes"], bounds["max_tensors"], bounds["max_bytes"]
    assert found == (100_000_000, 1_048_576, 1_125_899_906_842_624)
    assert (bounds["item_bytes"]["F8_E8M0"], bounds["item_bytes"]["U64"], bounds["item_bytes"]["C64"]) == (1, 8, 8)
