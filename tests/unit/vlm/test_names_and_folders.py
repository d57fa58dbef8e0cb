"""Where a checkpoint's files lie, and what a codec folder keeps of what was there; nothing is loaded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import transformers

from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.errors import BundleDamagedError, ModelUnavailableError
from heliograph.hub import Found
from heliograph.reasons import BundlePart, FileFault
from heliograph.reference import assets
from heliograph.types import Grid, VisualTokens
from heliograph.vlm import codec_folder
from heliograph.vlm.checkpoint import processors
from heliograph.vlm.checkpoint.names import ModelName, checkpoint_folder
from heliograph.vlm.codec_folder import _joined, check_fitted_on, public_name, save_codec


def test_a_shipped_model_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ModelName.parse("reference").locate() == Found(str(assets.shipped_model_folder()))
    monkeypatch.setattr(assets, "shipped_model_folder", lambda: tmp_path / "gone")
    with pytest.raises(ModelUnavailableError) as caught:
        ModelName.parse("reference").locate()
    assert "reinstall Heliograph" in caught.value.__notes__[0]


@pytest.mark.parametrize("cached", [True, False])
def test_a_hubs_checkpoint_lies_where_its_configuration_does(
    cached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    answers: list[Any] = [str(tmp_path / "snapshot" / "config.json"), None, OSError("no network")]

    def cached_file(source: str, name: str, **how: Any) -> Any:
        asked.append((source, name, how))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(transformers.utils, "cached_file", cached_file)
    monkeypatch.setattr(ModelName, "locate", lambda name: Found("owner/model", "v2", cached))
    assert checkpoint_folder("owner/model@v2") == tmp_path / "snapshot"
    assert asked == [("owner/model", "config.json", {"revision": "v2", "local_files_only": cached})]
    for said in ("there is no config.json", "no network"):
        with pytest.raises(ModelUnavailableError) as caught:
            checkpoint_folder("owner/model@v2")
        assert said in caught.value.__notes__[0]


def test_a_folders_variant_is_known_by_what_exists(tmp_path: Path) -> None:
    for variant in ("", "#one-frame"):
        assert ModelName.parse(f"owner/name{variant}").one_frame == bool(variant)
    assert ModelName.parse("owner/name@") == ModelName("owner/name")
    assert ModelName.parse("owner/name#") == ModelName("owner/name")
    odd = tmp_path / "model#two"
    odd.mkdir()
    assert ModelName.parse(str(odd)) == ModelName(str(odd))


def test_names_for_the_public_tell_nothing_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert public_name("/no/such/model") == "model"
    assert public_name("owner/name") == "owner/name"
    (tmp_path / "here" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert public_name("here/model") == "model"
    monkeypatch.chdir(tmp_path / "here")
    assert public_name(".") == "here"


# ---- processors ----------------------------------------------------------------------------------------------
def test_no_code_of_a_checkpoint_is_run_for_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    class Family:
        @classmethod
        def _get_arguments_from_pretrained(cls, source: str, values: Any, **how: Any) -> list[str]:
            asked.append({"parts": cls.get_attributes(), **how})  # type: ignore[attr-defined]
            return ["loaded"]

    where = {"revision": "main", "local_files_only": True}
    for name in ("image_processor", "tokenizer"):
        assert processors._part(Family, name, "folder", {}, where) == "loaded"
    assert asked == [
        {"parts": ["image_processor"], "trust_remote_code": False, **where, "backend": "pil"},
        {"parts": ["tokenizer"], "trust_remote_code": False, **where},
    ]


def test_nor_for_the_kind_of_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def config_of(source: str, **how: Any) -> Any:
        asked.append(how)
        return SimpleNamespace()

    monkeypatch.setattr(processors, "_values", lambda source, name, where: {})
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", config_of)
    with pytest.raises(ModelUnavailableError):
        processors._family("folder", {"revision": "main", "local_files_only": False})
    assert asked == [{"trust_remote_code": False, "revision": "main", "local_files_only": False}]


@pytest.mark.parametrize(
    ("bases", "backend"),
    [(("PilBackend",), "pil"), (("TorchvisionBackend",), "torchvision"), ((), "other")],
)
def test_what_makes_pixels_is_told_by_its_family(bases: tuple[str, ...], backend: str) -> None:
    made = type("Images", tuple(type(name, (), {}) for name in bases), {})()
    assert processors.image_backend(SimpleNamespace(image_processor=made)) == backend


def test_bounds_of_pixels_go_where_the_image_processor_wants_them() -> None:
    class Images:
        valid_kwargs = type("Arguments", (), {"__annotations__": {"min_pixels": int, "max_pixels": int}})

        def __init__(self) -> None:
            self.size = {"shortest_edge": 1, "longest_edge": 2}

    stated = {"min_pixels": 30, "max_pixels": 40, "other": 5}
    processor = SimpleNamespace(image_processor=Images(), tokenizer=SimpleNamespace(init_kwargs=stated))
    processors._settle_sizes(processor)
    assert processor.image_processor.size == {"shortest_edge": 30, "longest_edge": 40}
    assert stated == {"other": 5}

    class Own(Images):
        min_pixels = 7  # it has the bound under its own name

    class Others(Images):
        valid_kwargs = type("Arguments", (), {"__annotations__": {}})

    for images, left in ((Own(), {"min_pixels": 30}), (Others(), {"min_pixels": 30, "max_pixels": 40})):
        stated = {"min_pixels": 30, "max_pixels": 40}
        processors._settle_sizes(SimpleNamespace(image_processor=images, tokenizer=SimpleNamespace(init_kwargs=stated)))
        assert stated == left


# ---- codec folders -------------------------------------------------------------------------------------------
def fitted(size: int, grid: Grid) -> KltCodec:
    draw = np.random.default_rng(0)
    sets = [VisualTokens(draw.normal(size=(grid.tokens, size)).astype(np.float32), grid) for _ in range(8)]
    return fit_klt(sets, modes=("none",), max_components=2, restore=False)


class Other(KltCodec):
    """A codec of another kind for the same tokens."""

    kind, files = "pq", ("pq.safetensors",)

    def save(self, folder: Path) -> None:
        (folder / "pq.safetensors").write_bytes(b"pq")

    @classmethod
    def load(cls, folder: Path) -> Any:
        if (folder / "pq.safetensors").read_bytes() != b"pq":
            raise BundleDamagedError(BundlePart.TABLES, FileFault.CONTENT)
        return other_codec()


def other_codec() -> Other:
    codec = fitted(4, Grid(2, 2))
    return Other(codec.grid, codec.transform, codec.tables, codec.layouts)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Other:
    from heliograph.codec import bundle

    monkeypatch.setattr(codec_folder, "model_fingerprint", lambda name: name[:1] * 64)
    known = bundle.CODECS.load
    monkeypatch.setattr(bundle.CODECS, "load", lambda kind: Other if kind == "pq" else known(kind))
    return other_codec()


def test_a_folder_keeps_its_grid_and_what_fits(tmp_path: Path, others: Other) -> None:
    grid = Grid(2, 2, 1, 640, 480)
    assert save_codec(tmp_path, others, grid, "a").grid == grid
    bundle = save_codec(tmp_path, fitted(4, Grid(2, 2)), Grid(2, 2), "a")
    assert (bundle.codec_kinds, bundle.grid, bundle.model) == (("pq", "klt"), grid, "a" * 64)
    assert not (tmp_path / "README.md").exists()
    again = save_codec(tmp_path, others, Grid(2, 2), "a")
    assert (again.codec_kinds, again.grid) == (("klt", "pq"), grid)


@pytest.mark.parametrize(("size", "model"), [(5, "a"), (4, "b")])
def test_codecs_of_other_tokens_or_another_model_are_not_kept(
    size: int, model: str, tmp_path: Path, others: Other
) -> None:
    save_codec(tmp_path, others, Grid(2, 2), "a")
    codec = fitted(size, Grid(2, 2))
    bundle = save_codec(tmp_path, codec, Grid(2, 2, 1, 7, 7), model)
    assert (bundle.codec_kinds, bundle.grid) == (("klt",), Grid(2, 2, 1, 7, 7))


def test_the_same_kind_alone_starts_anew(tmp_path: Path, others: Other) -> None:
    save_codec(tmp_path, others, Grid(2, 2), "a")
    assert save_codec(tmp_path, others, Grid(2, 2, 1, 7, 7), "a").grid == Grid(2, 2, 1, 7, 7)


def test_a_bundle_that_names_no_model_is_not_refused(others: Other) -> None:
    for model in ("", "a" * 64):
        bundle: Any = SimpleNamespace(model=model)
        assert check_fitted_on(bundle, "a") is None  # type: ignore[func-returns-value]


def test_cards_are_joined_under_the_first_ones_head() -> None:
    cards = [f"---\nlicense: {name}\n---\n# {name}\nmore --- of it\n" for name in "abc"]
    bodies = "\n".join(f"# {name}\nmore --- of it\n" for name in "abc")
    assert _joined(cards) == f"---\nlicense: a\n---\n{bodies}"
    assert _joined(cards[:1]) == cards[0]
    assert _joined(["# no head\n", *cards]) == "# no head\n"
