"""One model with its bundle for every test that needs a whole line: the shipped ones, and nothing in their place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from heliograph.reference import assets

if TYPE_CHECKING:
    from heliograph.serving.cloud import Cloud

# What the person who runs the tests has configured is nobody's business here.
os.environ["HELIOGRAPH_CONFIG"] = os.devnull

# How long a busy machine takes to make an example is no property of the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


SLOWEST_FIRST = (
    "integration/test_any_vlm.py",
    "integration/test_fit.py",
    "unit/training/export",
    "unit/training/meta",
    "unit/training",
    "unit/vlm",
    "integration",
    "unit/bench",
    "unit/serving",
)
"""Files and folders of this one: what takes long is begun while there is other work for the other processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring tests into that order; within a folder they keep theirs."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix() if item.path.is_relative_to(here) else ""
        places = [place for place, slow in enumerate(SLOWEST_FIRST) if name == slow or name.startswith(f"{slow}/")]
        return min(places, default=len(SLOWEST_FIRST))

    items.sort(key=rank)


@dataclass(frozen=True)
class ReferencePair:
    """The shipped checkpoint's folder, and the shipped bundle that was exported from it."""

    model: Path
    bundle: Path


@pytest.fixture(scope="session")
def reference_pair() -> ReferencePair:
    """A package whose model or bundle does not load fails every test that needs one."""
    return ReferencePair(assets.shipped_model_folder(), assets.shipped_bundle_folder())


@pytest.fixture(scope="session")
def shared_cloud(reference_pair: ReferencePair) -> Cloud:
    """That model, loaded once."""
    from heliograph.serving.opening import load_cloud

    return load_cloud(str(reference_pair.model), reference_pair.bundle)


@pytest.fixture(scope="session")
def cloud_url(shared_cloud: Cloud) -> Iterator[str]:
    """A cloud with that model on a free port of this machine."""
    from heliograph.serving.web.application import CloudApplication
    from heliograph.serving.web.runner import BackgroundServer

    with BackgroundServer(CloudApplication(shared_cloud)) as server:
        yield server.url


@pytest.fixture
def pair_as_default(
    reference_pair: ReferencePair, cloud_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ReferencePair:
    """What commands and documentation examples find without being told: this pair and this cloud."""
    monkeypatch.setenv("HELIOGRAPH_SERVER", cloud_url)
    monkeypatch.setenv("HELIOGRAPH_MODEL", str(reference_pair.model))
    monkeypatch.setenv("HELIOGRAPH_BUNDLE", str(reference_pair.bundle))
    monkeypatch.setenv("HELIOGRAPH_STATE", str(tmp_path))
    monkeypatch.setattr(assets, "shipped_model_folder", lambda: reference_pair.model)
    monkeypatch.setattr(assets, "shipped_bundle_folder", lambda: reference_pair.bundle)
    return reference_pair


@pytest.fixture
def brief_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """See :mod:`brief_training`."""
    from brief_training import make_brief

    make_brief(monkeypatch)


@pytest.fixture(scope="session")
def tiny_qwen3_vl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder: Qwen3-VL's real tokenizer, chat template and image processor, few and random weights.

    A grid for every photo's size, and two deeper levels beside the tokens. Copy it where it is to be changed.
    """
    from data_at_hand import data_or_skip

    parts = data_or_skip("qwen3-vl-processor")
    from heliograph.bench.tiny_checkpoint import build_tiny_qwen3_vl

    return build_tiny_qwen3_vl(tmp_path_factory.mktemp("qwen3-vl"), parts)
