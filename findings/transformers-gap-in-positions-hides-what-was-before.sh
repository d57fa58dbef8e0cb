#!/usr/bin/env bash
# What:        transformers 5.23.0 with torch 2.13.0, any decoder-only model (here a Llama of random weights)
# Seen:        2026-11-30
# Naive guess: position_ids tell rotary embeddings where a token stands and nothing else; a prompt whose visual tokens were
#              pruned keeps the positions of those that stay, with gaps, and attention stays causal over all of it.
# Seen:        without an attention mask and without a cache, a step in position_ids other than one begins another
#              "packed sequence": the tokens behind a gap do not see those before it. With use_cache=True, or with a mask
#              of ones that hides nothing, they do. Nothing is raised or logged; answers from pruned prompts are just bad.
# Product:     prompts with merged visual tokens go with a mask of their own (heliograph/vlm/merged_tokens.py); a test
#              holds their first token against a pass put together by hand.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
"$folder/venv/bin/python" - <<'PY'
import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4
    )
).eval()
one, other = torch.tensor([[5, 6, 7, 8, 9, 10]]), torch.tensor([[15, 16, 17, 8, 9, 10]])  # the first three differ
gap = torch.tensor([[0, 1, 2, 10, 11, 12]])
ways = {
    "no mask, no cache": {"use_cache": False},
    "no mask, cache": {"use_cache": True},
    "mask of ones, no cache": {"use_cache": False, "attention_mask": torch.ones(1, 6, dtype=torch.long)},
}
seen = {}
with torch.inference_mode():
    for name, given in ways.items():
        first, second = (model(input_ids=ids, position_ids=gap, **given).logits[0, -1] for ids in (one, other))
        seen[name] = not torch.equal(first, second)
        print(f"{name}: the last token sees what stands before the gap: {seen[name]}")
assert list(seen.values()) == [False, True, True], seen
PY
