"""The reference VLM's recipe: an unmodified Idefics3 (SmolVLM's architecture) in miniature.

Everything a checkpoint folder needs is made here from nothing: configuration, byte-level BPE tokenizer with
chat template, PIL image processor, and weights drawn from a seed. Training
(:mod:`heliograph.training.reference.loop`) replaces the weights and touches nothing else, so
``AutoProcessor`` and ``AutoModelForImageTextToText`` load the folder like any other checkpoint.

Shapes: photo -> (3, 128, 128) -> 8 x 8 patches of 16 pixels, width 160 -> projector -> 64 tokens x 128.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor, PreTrainedTokenizerFast
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from heliograph.reference.questions import WORDINGS, describe, plural, questions
from heliograph.reference.scenes import COLOURS, SHAPES, plan_scene

IMAGE_SIDE = 128
PATCH_SIDE = 16
SCALE_FACTOR = 1
GRID_SIDE = IMAGE_SIDE // PATCH_SIDE // SCALE_FACTOR
VISUAL_TOKENS = GRID_SIDE**2
HIDDEN_SIZE = 128
VOCABULARY_SIZE = 640
MAX_POSITIONS = 2048

PAD, START, END = "<|pad|>", "<|im_start|>", "<end_of_utterance>"
FAKE_IMAGE, IMAGE, GLOBAL_IMAGE = "<fake_token_around_image>", "<image>", "<global-img>"
SPECIAL_TOKENS = (PAD, START, END, FAKE_IMAGE, IMAGE, GLOBAL_IMAGE)

# The same turn layout as SmolVLM's template: an image directly after the colon, text after a space.
CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}:"
    "{% if message['content'][0]['type'] != 'image' %}{{ ' ' }}{% endif %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)

# Words of easy-VQA and of small talk, so that they too are whole tokens.
_FURTHER_WORDS = (
    "rectangle gray teal brown color image contain present shape shapes not no yes does is there what which "
    "are here photo picture it I see hello please tell me about this the of and or in on with one two three "
    "four five six seven none zero nothing anything object objects sign signs say read text small large"
)


def build_reference_model(folder: Path, seed: int = 0) -> Path:
    """Write a complete checkpoint with random weights into ``folder`` and return it.

    Args:
        folder: created where missing; files in it are replaced.
        seed: of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    processor = build_processor()
    model = build_model(processor.tokenizer, seed)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Idefics3ForConditionalGeneration:
    """The unmodified architecture with weights drawn from ``seed``; float32, evaluation mode."""
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(_configuration(tokenizer))
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(END)
    model.generation_config.pad_token_id = tokenizer.convert_tokens_to_ids(PAD)
    model.generation_config.bos_token_id = tokenizer.convert_tokens_to_ids(START)
    return model.eval()


def _configuration(tokenizer: PreTrainedTokenizerFast) -> Idefics3Config:
    ids: dict[str, int] = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL_TOKENS}
    text: dict[str, Any] = {
        "model_type": "llama",
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": HIDDEN_SIZE,
        "intermediate_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "pad_token_id": ids[PAD],
        "bos_token_id": ids[START],
        "eos_token_id": ids[END],
    }
    vision: dict[str, Any] = {
        "hidden_size": 160,
        "intermediate_size": 480,
        "num_hidden_layers": 6,
        "num_attention_heads": 5,
        "image_size": IMAGE_SIDE,
        "patch_size": PATCH_SIDE,
    }
    return Idefics3Config(
        text_config=text,
        vision_config=vision,
        scale_factor=SCALE_FACTOR,
        image_token_id=ids[IMAGE],
        tie_word_embeddings=True,
    )


def build_processor() -> Idefics3Processor:
    """Image processor (PIL, one tile) and tokenizer with chat template."""
    image_processor = Idefics3ImageProcessorPil(
        size={"longest_edge": IMAGE_SIDE},
        max_image_size={"longest_edge": IMAGE_SIDE},
        do_image_splitting=False,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return Idefics3Processor(
        image_processor, build_tokenizer(), image_seq_len=VISUAL_TOKENS, chat_template=CHAT_TEMPLATE
    )


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on the generator's own sentences: any text encodes, task words are one token.

    A leading space belongs to the word; digits stand alone, so plates are read character by character.
    """
    tokenizer = Tokenizer(models.BPE())
    words = Regex(r" ?[A-Za-z]+| ?\d| ?[^\sA-Za-z\d]+|\s")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        min_frequency=1,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        padding_side="left",
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
    )
    fast.add_special_tokens({"additional_special_tokens": [FAKE_IMAGE, IMAGE, GLOBAL_IMAGE]})
    return fast


def _corpus() -> list[str]:
    """Sentences of the generator, most weight on whole words, in a fixed order."""
    lines = [f"User: Assistant: {_FURTHER_WORDS}", "User:", "Assistant:"] * 20
    names = [*COLOURS, *SHAPES, *(plural(shape) for shape in SHAPES), "objects", "object"]
    lines += [f"a {name} an {name}, the {name}. {name}?" for name in names] * 20
    lines += [
        w.format(a="a", thing="thing", things="things", other="other") for ws in WORDINGS.values() for w in ws
    ] * 5
    for seed in range(400):
        plan = plan_scene(seed)
        lines += [f"{record.question}\n {record.answer}" for record in questions(plan)]
        lines.append(" " + describe(plan))
    return lines
