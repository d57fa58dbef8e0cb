"""``heliograph train codec``: fit ``klt`` to a frozen VLM, from photos or scenes, without labels.

What the language model notices of a token's error is measured by the second moment of the gradient of its own
answers' log-likelihood with respect to the visual tokens (an empirical Fisher information); the codec then
spends bits where that says they count. The gradient is taken where the codec works: at tokens that a first, rougher
codec has restored from short prefixes. At uncompressed tokens a sure model shows little of what it would miss.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from heliograph.codec.klt import KltCodec
from heliograph.errors import CodecNotFittedError, DataMissingError
from heliograph.reference.scenes import ScenePlan
from heliograph.training.token_cache import TokenCache
from heliograph.types import FloatArray, VisualTokens
from heliograph.vlm.fingerprint import fingerprint
from heliograph.vlm.loading import REFERENCE
from heliograph.vlm.model import VisionLanguageModel

FIT_SEEDS_START = 7_900_000  # training seeds that no shard of the reference model's training reaches
GENERIC_QUESTIONS = ("what is in the picture?", "describe the picture.", "what does the sign say?")
_ENCODE_BATCH = 32
# A model that is sure has no gradient left: softened, its answers still show what they stand on. On the
# reference model 1 gave 0.73 accuracy at 123 bytes and 4 gave 0.84 (docs/experiments.md).
_TEMPERATURE = 4.0
_FIRST_PICTURES, _MOST_PICTURES = 60, 300  # gradients cost most of the time; tables need more pictures than they do
_WORKING_SHARE = 0.85  # of the weighted energy: near there the answers become those of the uncompressed tokens

Progress = Callable[[str], None]


def fit_codec(
    model_name: str,
    out: Path,
    *,
    photos: Path | None = None,
    scenes: int = 400,
    seed: int = 0,
    weighted: bool = True,
    progress: Progress = print,
) -> Path:
    """Fit ``klt`` and save it into ``out``.

    Args:
        model_name: ``reference``, a folder or a hub id.
        out: codec folder.
        photos: folder, zip or list of photos; None fits on generated scenes (for the reference model). Their tokens are
            kept in the folder ``tokens`` of ``out``, so that a run that was killed goes on.
        scenes: how many scenes or photos at most.
        seed: shifts the scenes' seeds.
        weighted: weigh errors by the language model's sensitivity; else plain variance.
        progress: receives a line per stage.

    Raises:
        DataMissingError: the folder holds no readable photo.
        CodecNotFittedError: fewer photos than the codec needs.
    """
    model = VisionLanguageModel.load(model_name)
    tokens, asked = fitting_tokens(model, photos, scenes, FIT_SEEDS_START + seed, out / "tokens", progress)
    if len(tokens) < 8:
        raise CodecNotFittedError
    sensitivity = None
    if weighted:
        sensitivity = working_sensitivity(model, tokens, asked, progress)
    progress("fitting")
    codec = KltCodec.fit(tokens, sensitivity=sensitivity)
    out.mkdir(parents=True, exist_ok=True)
    codec.save(out)
    card = {
        "codec": "klt",
        "model": model_name,
        "pictures": len(tokens),
        "source": "photos" if photos else f"scenes from seed {FIT_SEEDS_START + seed}",
        "weighted": weighted,
        "seed": seed,
    }
    (out / "fit.json").write_text(json.dumps(card, indent=2) + "\n")
    return out


def fitting_tokens(
    model: VisionLanguageModel, photos: Path | None, most: int, first_seed: int, cache: Path, progress: Progress
) -> tuple[list[VisualTokens], list[tuple[str, ...]]]:
    """Visual tokens and questions to fit on: of at most so many photos, see :func:`cached_photos`, or where there are
    none of so many scenes with seeds from ``first_seed``."""
    if photos:
        return cached_photos(model, photos, most, cache, progress)
    pictures, asked = scene_material(first_seed, most)
    progress(f"encoding {len(pictures)} pictures")
    return encode_all(model, pictures), asked


def cached_photos(
    model: VisionLanguageModel, source: Path, most: int, cache: Path, progress: Progress
) -> tuple[list[VisualTokens], list[tuple[str, ...]]]:
    """Visual tokens of at most so many photos, kept in ``cache``, each with the generic questions.

    Raises:
        DataMissingError: no readable photo in the source.
        FileUnreadableError, TokensNotFiniteError, OutputUnwritableError: see :class:`TokenCache`.
    """
    kept = TokenCache.open(cache, fingerprint(model.torch_model))
    kept.extract(model, source, progress, most)
    if not len(kept):
        raise DataMissingError
    tokens = list(islice(kept.tokens(), most))
    return tokens, [GENERIC_QUESTIONS] * len(tokens)


def encode_all(model: VisionLanguageModel, pictures: Sequence[Image.Image]) -> list[VisualTokens]:
    """Visual tokens of all pictures, in batches."""
    found: list[VisualTokens] = []
    for start in range(0, len(pictures), _ENCODE_BATCH):
        found += model.encode_images(pictures[start : start + _ENCODE_BATCH])
    return found


def scene_material(first: int, count: int) -> tuple[list[Image.Image], list[tuple[str, ...]]]:
    """Scenes with seeds from ``first``, and the questions about each (not those that only a crop can answer)."""
    from heliograph.reference.render import render_scene

    made = [render_scene(first + i) for i in range(count)]
    return [scene.image for scene in made], [scene_questions(scene.plan) for scene in made]


def scene_questions(plan: ScenePlan) -> tuple[str, ...]:
    """Questions about a scene, but for those that only a crop can answer."""
    from heliograph.reference.questions import questions

    return tuple(record.question for record in questions(plan) if record.task != "small-print")


def channel_codec(
    model_name: str,
    model: VisionLanguageModel,
    tokens: Sequence[VisualTokens],
    asked: Sequence[Sequence[str]],
    start: Path | None,
    progress: Progress,
) -> KltCodec:
    """The closed-form codec whose channel transform other kinds of codecs start from.

    Args:
        model_name: as the model was loaded.
        model: the frozen VLM.
        tokens, asked: of the pictures that it is fitted on where there is none yet.
        start: folder of a fitted one; None takes the shipped one for the reference model.
        progress: receives a line per stage.
    """
    if start is not None:
        return KltCodec.load(start)
    if model_name == REFERENCE:
        from heliograph.reference.assets import shipped_bundle_folder

        return KltCodec.load(shipped_bundle_folder())
    sensitivity = working_sensitivity(model, tokens, asked, progress)
    return KltCodec.fit(tokens, sensitivity=sensitivity, modes=("none",), restore=False)


def working_sensitivity(
    model: VisionLanguageModel, tokens: Sequence[VisualTokens], asked: Sequence[Sequence[str]], progress: Progress
) -> FloatArray:
    """What the language model notices at the rates where the codec works; (D, D) float32."""
    progress("measuring what the language model notices of uncompressed tokens")
    few, questions = tokens[:_FIRST_PICTURES], asked[:_FIRST_PICTURES]
    rough = KltCodec.fit(tokens, sensitivity=measure_sensitivity(model, few, few, questions), restore=False)
    progress("measuring what it notices of short prefixes")
    some, questions = tokens[:_MOST_PICTURES], asked[:_MOST_PICTURES]
    short = [_working_point(rough, one) for one in some]
    return measure_sensitivity(model, some, short, questions)


def _working_point(codec: KltCodec, tokens: VisualTokens) -> VisualTokens:
    """Restored from the shortest prefix that holds ``_WORKING_SHARE`` of the weighted energy."""
    encoded = codec.encode(tokens)
    wanted = bisect_left(encoded.predicted_quality, _WORKING_SHARE) + 1
    return codec.decode(encoded.header, encoded.segments[:wanted])


def measure_sensitivity(
    model: VisionLanguageModel,
    exact: Sequence[VisualTokens],
    seen: Sequence[VisualTokens],
    asked: Sequence[Sequence[str]],
    *,
    answer_tokens: int = 24,
) -> FloatArray:
    """Second moment over pictures, questions and positions of d log p(answer) / d token; (D, D) float32.

    The answers are the model's own greedy ones, so no labels are needed. Scaled to a mean diagonal of one.

    Args:
        model: the frozen VLM.
        exact: uncompressed tokens, whose answers are to be kept.
        seen: tokens at which the gradient is taken, one for each of ``exact``.
        asked: questions about each picture.
        answer_tokens: longest answer.
    """
    total: npt.NDArray[np.float64] = np.zeros((model.hidden_size, model.hidden_size))
    for gradient in _gradients(model, exact, seen, asked, answer_tokens):
        g = gradient.double().numpy()  # (N, D)
        total += g.T @ g
    mean = float(np.trace(total)) / model.hidden_size
    if not np.isfinite(mean) or mean <= 0:
        raise CodecNotFittedError
    return (total / mean).astype(np.float32)


def _gradients(
    model: VisionLanguageModel,
    exact: Sequence[VisualTokens],
    seen: Sequence[VisualTokens],
    asked: Sequence[Sequence[str]],
    answer_tokens: int,
) -> Iterator[Tensor]:
    parameters = list(model.torch_model.parameters())
    wanted = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        for image, restored, questions in zip(exact, seen, asked, strict=True):
            answers = model.answer_questions([image], list(questions), max_new_tokens=answer_tokens)
            for question, answer in zip(questions, answers, strict=True):
                if answer.token_ids:
                    yield _gradient(model, restored, question, answer.token_ids)
    finally:
        for parameter, flag in zip(parameters, wanted, strict=True):
            parameter.requires_grad_(flag)


def _gradient(model: VisionLanguageModel, image: VisualTokens, question: str, answer: Sequence[int]) -> Tensor:
    """(N, D) gradient of the answer's log-likelihood over the root of its length, by the visual tokens."""
    prompt = model.prompts.build(question, 1)
    asked = [*prompt.head, *prompt.tail]
    ids = torch.tensor([[*asked, *answer]])  # (1, T)
    visual = torch.from_numpy(image.values).clone().requires_grad_(True)  # (N, D)
    embeds = model.torch_model.get_input_embeddings()(ids)  # (1, T, D)
    places = (ids == model.torch_model.config.image_token_id).unsqueeze(-1)
    merged = embeds.masked_scatter(places, visual)
    logits = model.torch_model(inputs_embeds=merged, use_cache=False).logits[0, len(asked) - 1 : -1]  # (A, V)
    likelihood = torch.log_softmax(logits.float() / _TEMPERATURE, dim=-1).gather(1, torch.tensor(answer)[:, None]).sum()
    (likelihood / len(answer) ** 0.5).backward()  # a long answer does not outweigh many short ones
    assert visual.grad is not None
    return visual.grad
