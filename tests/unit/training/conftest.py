"""What trainings on generated scenes are tested with: a few scenes, rendered once, and the reference model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from few_scenes import FEW_SCENES, silent

if TYPE_CHECKING:
    from heliograph.training.bottleneck.lessons import Material


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of rendered scenes, filled by whoever needs them first."""
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="module")
def material(shared_cloud: Any, scenes: Path) -> Material:
    """The scenes and the shipped reference model."""
    from heliograph.training.bottleneck.lessons import Material
    from heliograph.training.bottleneck.scenes import SceneCache
    from heliograph.training.meta.teacher import Teacher

    cache = SceneCache(scenes, FEW_SCENES, 0, silent)
    return Material(Teacher(shared_cloud.model), cache.pixels(), cache.seeds)
