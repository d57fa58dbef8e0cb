"""A processor for photos: every number of the checkpoint, the PIL backend whatever is installed, and no video half.

The judge is the library's own way to a processor, with a stand-in where the half for videos wants torchvision.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers.processing_utils import ProcessorMixin
from transformers.utils import PushToHubMixin

import processor_folders as folders
from heliograph.reference.assets import shipped_model_folder
from heliograph.vlm.checkpoint.processors import OTHER, PIL, VideoNumbers, image_backend, load_processor

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # the library's arrays

PARTS = (folders.VIDEO, folders.IMAGES, folders.TOKENIZER, folders.SOUND)
WITH_VIDEOS = [kind for kind in folders.families_with_videos() if folders.image_class(kind)]
SIZES = ((120, 90), (90, 160), (64, 64))


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("processors")
    return lambda kind: folders.write_folder(root / kind, kind)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``AutoProcessor`` as it is where the half for videos can be loaded: that half alone is a stand-in."""
    from transformers.models.auto import video_processing_auto

    class Videos(PushToHubMixin):
        num_frames, fps, merge_size, slice_mode, downsample_mode = 5, 3, 2, True, "16x"

        def to_dict(self) -> dict[str, Any]:
            return {}

        @classmethod
        def from_pretrained(cls, *_: Any, **__: Any) -> Any:
            return cls()

    checked = ProcessorMixin.check_argument_for_proper_class

    def check(self: Any, name: str, argument: Any) -> Any:
        return Videos if isinstance(argument, Videos) else checked(self, name, argument)

    monkeypatch.setattr(video_processing_auto, "AutoVideoProcessor", Videos)
    monkeypatch.setattr(ProcessorMixin, "check_argument_for_proper_class", check)
    return lambda folder: transformers.AutoProcessor.from_pretrained(str(folder))


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def prompted(processor: Any, photo: Image.Image) -> Any:
    content = [{"type": "image"}, {"type": "text", "text": "what is it?"}]
    template = folders.CHAT.replace("IMAGE", getattr(processor, "image_token", "<image>"))
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, chat_template=template
    )
    return processor(text=[text], images=[photo], return_tensors="pt")


def numbers(processor: Any) -> dict[str, Any]:
    """What a processor holds beside its parts; of the half for videos nothing."""
    return {
        name: value for name, value in vars(processor).items() if name not in PARTS and not name.startswith("video_")
    }


# ---- every number of the checkpoint ------------------------------------------------------------------
def test_there_are_families_to_try() -> None:
    assert len(WITH_VIDEOS) >= 20
    assert {"llava_onevision", "smolvlm", "internvl", "qwen3_vl", "gemma4"} <= set(WITH_VIDEOS)


@pytest.mark.parametrize("kind", WITH_VIDEOS)
def test_a_processor_without_its_video_half_is_the_librarys_own(kind: str, folder_of: Any, library: Any) -> None:
    folder = folder_of(kind)
    own, found = library(folder), load_processor(str(folder))
    assert type(found).__name__ == type(own).__name__
    assert numbers(found) == numbers(own)
    assert found.image_processor.to_dict() == own.image_processor.to_dict()
    assert found.tokenizer.get_vocab() == own.tokenizer.get_vocab()
    for name, value in folders.own_numbers(kind).items():
        if hasattr(own, name):
            assert getattr(found, name) == getattr(own, name), (name, value)
    for size in SIZES:
        expected, made = prompted(own, noise(size)), prompted(found, noise(size))
        assert sorted(made) == sorted(expected)
        for name, value in expected.items():
            assert torch.equal(torch.as_tensor(made[name]), torch.as_tensor(value)), name


def test_the_numbers_that_were_lost_before(folder_of: Any) -> None:
    """By hand, from what the folders state, without any code of the library's to compare with."""
    one = load_processor(str(folder_of("llava_onevision")))
    assert (one.num_image_tokens, one.vision_feature_select_strategy) == (729, "full")
    assert one.vision_aspect_ratio == "anyres_max_4"
    assert load_processor(str(folder_of("internvl"))).image_seq_length == 256 + 7
    assert load_processor(str(folder_of("smolvlm"))).image_seq_len == 169 + 7
    next_video = load_processor(str(folder_of("llava_next_video")))
    assert (next_video.patch_size, next_video.num_additional_image_tokens) == (7, 7)


def test_a_processor_can_be_copied_and_saved_and_opened_again(folder_of: Any, tmp_path: Path) -> None:
    found = load_processor(str(folder_of("smolvlm")))
    assert found.video_processor.num_frames == 5
    assert found.video_processor.unheard_of is None
    copied = copy.deepcopy(found)
    assert copied.video_processor.fps == 3
    copied.save_pretrained(tmp_path)
    stated = json.loads((tmp_path / "processor_config.json").read_text())
    assert (stated["image_seq_len"], stated["video_processor"]["num_frames"]) == (176, 5)
    assert load_processor(str(tmp_path)).image_seq_len == 176


def test_older_folders_keep_their_video_numbers_in_files_of_their_own(folder_of: Any, tmp_path: Path) -> None:
    shutil.copytree(folder_of("smolvlm"), tmp_path, dirs_exist_ok=True)
    stated = json.loads((tmp_path / "processor_config.json").read_text())
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps({"num_frames": 11}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stated.pop("image_processor")))
    del stated["video_processor"]
    (tmp_path / "processor_config.json").write_text(json.dumps(stated))
    assert load_processor(str(tmp_path)).video_processor.num_frames == 11


def test_a_folder_that_names_no_class_takes_the_one_of_its_kind(folder_of: Any, tmp_path: Path) -> None:
    shutil.copytree(folder_of("internvl"), tmp_path, dirs_exist_ok=True)
    stated = json.loads((tmp_path / "processor_config.json").read_text())
    del stated["processor_class"]
    (tmp_path / "processor_config.json").write_text(json.dumps(stated))
    assert type(load_processor(str(tmp_path))).__name__ == "InternVLProcessor"


# ---- the same pixels everywhere ----------------------------------------------------------------------
@pytest.fixture
def torchvision_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library believes in torchvision, and its image processors of that backend are stand-ins that show."""
    from transformers.models.auto import image_processing_auto as auto

    monkeypatch.setattr(auto, "is_torchvision_available", lambda: True)
    monkeypatch.setattr(auto, "DEFAULT_TO_PIL_BACKEND_IMAGE_PROCESSORS", [])
    original = auto.get_image_processor_class_from_name

    def class_from_name(name: str) -> Any:
        made = original(f"{name}Pil") if not name.endswith("Pil") else original(name)
        if made is None or name.endswith("Pil"):
            return made or original(name)
        return type(name, (made,), {"process_image": _other_pixels(made)})

    monkeypatch.setattr(auto, "get_image_processor_class_from_name", class_from_name)


def _other_pixels(family: Any) -> Any:
    """As the other backend does: a level or two off."""
    return lambda self, image, **more: np.minimum(family.process_image(self, image, **more) + 2, 255)


def test_the_pil_backend_is_taken_where_torchvision_is_installed(torchvision_there: None) -> None:
    folder, photo = str(shipped_model_folder()), noise((200, 150))
    careless = transformers.AutoProcessor.from_pretrained(folder)
    found = load_processor(folder)
    assert not type(careless.image_processor).__name__.endswith("Pil")  # the stand-in is what would be taken
    assert type(found.image_processor).__name__ == "Idefics3ImageProcessorPil"
    assert image_backend(found) == PIL

    def pixels(one: Any) -> torch.Tensor:
        return one.image_processor([[photo]], do_image_splitting=False, return_tensors="pt").pixel_values

    assert float((pixels(careless) - pixels(found)).abs().max()) > 0.01
    plain = transformers.models.idefics3.image_processing_pil_idefics3.Idefics3ImageProcessorPil.from_pretrained(folder)
    expected = plain([[photo]], do_image_splitting=False, return_tensors="pt").pixel_values
    assert torch.equal(pixels(found), expected)


def test_an_encoder_can_be_exported_where_torchvision_is_installed(torchvision_there: None, tmp_path: Path) -> None:
    from heliograph.training.export.encoder_export import export_frames
    from heliograph.vlm.opening import open_model

    made = export_frames(open_model(str(shipped_model_folder())), tmp_path)
    assert [one.pixel_error for one in made.parity] == [0.0]


@pytest.mark.parametrize("kind", WITH_VIDEOS)
def test_every_family_with_a_pil_variant_gets_it(kind: str, folder_of: Any, torchvision_there: None) -> None:
    found = image_backend(load_processor(str(folder_of(kind))))
    assert found == (OTHER if kind == "video_llava" else PIL)  # one class for all, written before there were backends


@pytest.mark.parametrize("size", [(200, 1), (1, 200), (200, 3), (3, 3), (1, 1), (4, 1)])
def test_photos_of_one_row_or_three_are_read_as_the_device_reads_them(size: tuple[int, int]) -> None:
    from heliograph.edge.preprocessing.square import Preprocessor

    images = load_processor(str(shipped_model_folder())).image_processor
    own = Preprocessor.from_config(json.loads(images.to_json_string()))(noise(size))
    made = images([[noise(size)]], do_image_splitting=False, return_tensors="pt").pixel_values
    np.testing.assert_array_equal(own, made.numpy().reshape(own.shape))


# ---- nothing that the library warns of -----------------------------------------------------------------
@pytest.mark.parametrize("kind", WITH_VIDEOS)
def test_no_family_warns_of_how_it_is_called(kind: str, folder_of: Any, library: Any, tmp_path: Path) -> None:
    """Also where a tokenizer's file states bounds of a photo's pixels, as older folders do: they count as ever."""
    shutil.copytree(folder_of(kind), tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tokenizer_config.json"
    bounds = {"min_pixels": 56 * 56 * 4, "max_pixels": 56 * 56 * 64}
    path.write_text(json.dumps(json.loads(path.read_text()) | bounds))
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        warnings.simplefilter("error", DeprecationWarning)
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # of the library's own arrays
        found = load_processor(str(tmp_path))
        made = prompted(found, noise((120, 90)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = prompted(library(tmp_path), noise((120, 90)))
    for name, value in expected.items():
        assert torch.equal(torch.as_tensor(made[name]), torch.as_tensor(value)), name


def test_the_real_files_of_a_family_do_not_warn(tiny_qwen3_vl: Path) -> None:
    from heliograph.vlm.opening import open_model

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = open_model(str(tiny_qwen3_vl))
        tokens = model.encode_image(noise((300, 200)))
        answer = model.answer("what is it?", [tokens, noise((200, 300))], max_new_tokens=2)
    assert 1 <= len(answer.token_ids) <= 2


# ---- one way ---------------------------------------------------------------------------------------------
def test_every_place_takes_its_processor_from_one_function() -> None:
    """Nothing else in the package names what chooses a backend by itself."""
    import heliograph

    package = Path(heliograph.__file__).parent
    careless = re.compile(
        r"Auto(Image|Video)?Processor\.from_pretrained|import .*\bAuto(Image)?Processor\b|\w+ImageProcessor\("
    )
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if careless.search(path.read_text(encoding="utf-8"))
    }
    assert not found


def test_the_stand_in_says_what_it_knows() -> None:
    numbers = VideoNumbers({"fps": 2})
    assert (numbers.fps, numbers.num_frames, numbers.to_dict()) == (2, None, {"fps": 2})
    with pytest.raises(AttributeError):
        _ = numbers._private
