"""A checkpoint's configuration leads nowhere but into its own folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import ModelUnavailableError
from heliograph.vlm.checkpoint.files import check_checkpoint, check_folder
from heliograph.vlm.checkpoint.loading import load_pretrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "additional_chat_templates").mkdir(parents=True)
    (made / "runs").mkdir()
    (made / "additional_chat_templates" / "tools.jinja").write_text("x")
    values: dict[str, Any] = {
        "config.json": {"model_type": "toy", "_name_or_path": "/mnt/maker/model", "limits": [0.0, float("inf")]},
        "tokenizer_config.json": {"tokenizer_file": None, "special_tokens_map_file": "/mnt/maker/map.json"},
        "model.safetensors.index.json": {"weight_map": {"a.b": "model-00001-of-00002.safetensors"}},
    }
    for name, value in values.items():
        (made / name).write_text(json.dumps(value))
    (made / "model-00001-of-00002.safetensors").write_bytes(b"x")
    return made


def test_an_ordinary_one_passes(folder: Path, model_folder: Path) -> None:
    check_folder(folder)
    check_checkpoint(str(folder))
    check_folder(model_folder)
    (folder / "config.json").write_bytes(b"{")
    with pytest.raises(ModelUnavailableError):
        check_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("model.safetensors.index.json", {"weight_map": {"a": "../other.safetensors"}}),
        ("model.safetensors.index.json", {"weight_map": {"a": "/etc/hostname"}}),
        ("model.safetensors.index.json", {"weight_map": {"a": "sub/other.safetensors"}}),
        ("model.safetensors.index.json", {"weight_map": {"a": "sub\\other.safetensors"}}),
        ("model.safetensors.index.json", {"weight_map": {"a": ["x"]}}),
        ("model.safetensors.index.json", {"weight_map": "x"}),
        ("tokenizer_config.json", {"vocab_file": "/etc/hostname"}),
        ("tokenizer_config.json", {"tokenizer_file": "../tokenizer.json"}),
        ("tokenizer_config.json", {"fast_tokenizer_files": ["tokenizer.json", "../tokenizer.4.0.json"]}),
        ("processor_config.json", {"audio_tokenizer": {"audio_tokenizer_name_or_path": "/models/other"}}),
        ("adapter_config.json", {"base_model_name_or_path": "owner/other"}),
        ("config.json", {"transformers_weights": "../x.safetensors"}),
        ("config.json", {"text_config": {"_attn_implementation": "owner/kernel"}}),
    ],
)
def test_names_that_lead_elsewhere_are_refused(folder: Path, file: str, value: Any) -> None:
    (folder / file).write_text(json.dumps(value))
    with pytest.raises(ModelUnavailableError):
        check_folder(folder)
    with pytest.raises(ModelUnavailableError):
        load_pretrained(str(folder))


@pytest.mark.parametrize("text", [b"{", b"[" * 1000 + b"]" * 1000, b"\xff"])
def test_configurations_that_are_none(folder: Path, text: bytes) -> None:
    (folder / "config.json").write_bytes(text)
    with pytest.raises(ModelUnavailableError):
        check_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"])
@pytest.mark.parametrize("kind", ["fifo", "link out", "link to nothing", "circle", "folder"])
def test_what_is_no_file_of_the_folder_is_refused(folder: Path, name: str, kind: str) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        (folder.parent / "outside").write_text("{}")
        path.symlink_to({"link out": "../outside", "link to nothing": "nothing", "circle": name}[kind])
    with pytest.raises(ModelUnavailableError):
        check_folder(folder)


def test_templates_behind_a_link_are_refused(folder: Path) -> None:
    template = folder / "additional_chat_templates" / "tools.jinja"
    template.rename(folder.parent / "tools.jinja")
    template.symlink_to(folder.parent / "tools.jinja")
    with pytest.raises(ModelUnavailableError):
        check_folder(folder)


def test_links_within_a_hubs_cache(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "hub" / "models--owner--name"
    snapshot = cache / "snapshots" / "abcdef"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for number, path in enumerate(p for p in sorted(folder.iterdir()) if p.is_file()):
        path.rename(cache / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    check_folder(snapshot)
    other = tmp_path / "hub" / "models--owner--other"
    other.mkdir()
    (other / "secret").write_text("{}")
    (snapshot / "generation_config.json").symlink_to("../../../models--owner--other/secret")
    with pytest.raises(ModelUnavailableError):
        check_folder(snapshot)


def test_a_hubs_small_files_are_fetched_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def download(name: str, **options: Any) -> str:
        asked.append((name, options["revision"]))
        assert not any(pattern.endswith("safetensors") for pattern in options["allow_patterns"])
        if name == "owner/nothing":
            raise OSError("no network")
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    check_checkpoint("owner/model", "v2")
    with pytest.raises(ModelUnavailableError):
        check_checkpoint("owner/nothing")
    assert asked == [("owner/model", "v2"), ("owner/nothing", None)]
