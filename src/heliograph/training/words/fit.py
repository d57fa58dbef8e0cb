"""Fits the network of :mod:`heliograph.strategies.semantic.text_model` on lines of text, and rounds it to integers.

``python -m heliograph.training.words.fit --read READ.jsonl --answers questions.jsonl --text FILE ... --out FOLDER``

Weights are rounded in every step of training (straight-through, arXiv 1308.3432), so that what is fitted is what ships.
A last part of the sources is kept apart: the best network by its bits on them is written, counted in integers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.strategies.perception import ReadLine
from heliograph.strategies.semantic.lines import in_order, place_of, size_of, symbols_of
from heliograph.strategies.semantic.symbol_coder import TOTAL
from heliograph.strategies.semantic.text_model import (
    BIGRAM_SHIFT,
    CONTEXT,
    EMBEDDING,
    END,
    FIRST_SHIFT,
    HIDDEN,
    MATCH_ONE,
    MAX_HIDDEN,
    SECOND_SHIFT,
    STEPS_PER_OCTAVE,
    SYMBOLS,
    TextModel,
    TextState,
)
from heliograph.training.words.corpus import Source, answers_in, found_in, plain_lines

_BATCH, _RATE = 1024, 4e-3
_HELD_OUT = 0.1
_SEED = 5
_MATCH_PHOTOS = 200
_OCTAVE = float(np.log(2.0)) / STEPS_PER_OCTAVE

Pairs = tuple[Tensor, Tensor, Tensor]
"""Contexts (n, 8), next symbols (n,), weights (n,)."""


def _rounded(weight: Tensor, most: float) -> Tensor:
    """To the nearest integer within -most to most, with the gradient of the number itself."""
    kept = weight.clamp(-most, most)
    return kept + (kept.round() - kept).detach()


class Network(nn.Module):
    """The same arithmetic in floats; weights are integers in disguise."""

    def __init__(self) -> None:
        super().__init__()

        def normal(*shape: int, spread: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape) * spread)

        self.embedding = normal(SYMBOLS, EMBEDDING, spread=24.0)
        self.first = normal(CONTEXT * EMBEDDING, HIDDEN, spread=4.0)
        self.first_bias = nn.Parameter(torch.zeros(HIDDEN))
        self.second = normal(HIDDEN, SYMBOLS, spread=4.0)
        self.bigram = nn.Parameter(torch.zeros(SYMBOLS, SYMBOLS))
        self.bias = nn.Parameter(torch.zeros(SYMBOLS))

    def forward(self, contexts: Tensor) -> Tensor:
        """(n, 97) logarithms of chances from (n, 8) symbols."""
        seen = _rounded(self.embedding, 127)[contexts].flatten(1)  # (n, 64)
        hidden = (seen @ _rounded(self.first, 127) + self.first_bias * 64) / 2**FIRST_SHIFT
        hidden = hidden.clamp(0, MAX_HIDDEN)  # (n, 96)
        logits = (hidden @ _rounded(self.second, 127) + self.bias * 64) / 2**SECOND_SHIFT
        logits = logits + _rounded(self.bigram, 127)[contexts[:, -1]] * 2**BIGRAM_SHIFT
        return torch.log_softmax(logits * _OCTAVE, dim=1)

    def integers(self) -> dict[str, np.ndarray]:
        """The tables that it stands for."""
        with torch.no_grad():
            found = {
                name: getattr(self, name).clamp(-127, 127).round()
                for name in ("embedding", "first", "second", "bigram")
            }
            found |= {name: (getattr(self, name) * 64).round() for name in ("first_bias", "bias")}
        return {name: value.numpy().astype(np.int64) for name, value in found.items()}


def pairs_of(sources: Sequence[Source]) -> Pairs:
    """Every symbol of the sources with the eight before it; lines of one source follow each other."""
    contexts, following, weights = [], [], []
    for source in sources:
        seen = [END] * CONTEXT
        for line in source.lines:
            for symbol in symbols_of(line):
                if symbol < SYMBOLS:  # bytes behind an escape have no context and give none
                    contexts.append(seen[-CONTEXT:])
                    following.append(symbol)
                    weights.append(source.weight)
                    seen.append(symbol)
    return torch.tensor(contexts), torch.tensor(following), torch.tensor(weights)


def fitted(train: Pairs, held_out: Pairs, steps: int) -> tuple[Network, float]:
    """The network with the fewest bits a symbol on the held-out pairs, and those bits."""
    torch.manual_seed(_SEED)
    network = Network()
    groups = [
        {"params": [network.embedding, network.first, network.second], "lr": _RATE * 24},
        {"params": [network.first_bias, network.bias], "lr": _RATE * 24},
        {"params": [network.bigram], "lr": _RATE * 48},
    ]
    optimiser = torch.optim.Adam(groups)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    contexts, following, weights = train
    best, best_bits, kept = network.state_dict(), float("inf"), 0
    for step in range(steps):
        rows = torch.multinomial(weights, _BATCH, replacement=True)
        loss = nn.functional.nll_loss(network(contexts[rows]), following[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        scheduler.step()
        if step % 500 == 499 or step == steps - 1:
            bits = bits_of(network, held_out)
            print(f"step {step + 1}: {float(loss.detach()) / np.log(2):.3f} bits, held out {bits:.3f}", flush=True)
            if bits < best_bits:
                best_bits, kept = bits, step
                best = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(best)
    print(f"kept the network of step {kept + 1}")
    return network, best_bits


@torch.no_grad()
def bits_of(network: Network, pairs: Pairs) -> float:
    """Weighted mean of the bits that a symbol takes."""
    contexts, following, weights = pairs
    nats = torch.cat(
        [
            nn.functional.nll_loss(network(part), wanted, reduction="none")
            for part, wanted in zip(torch.split(contexts, 4096), torch.split(following, 4096), strict=True)
        ]
    )
    return float((nats * weights).sum() / weights.sum() / np.log(2))


def match_shares(model: TextModel, sources: Sequence[Source]) -> np.ndarray:
    """(9,) the shares, by length of a match, with which the symbols of the sources take the fewest bits."""
    chances: list[list[tuple[float, bool]]] = [[] for _ in range(CONTEXT + 1)]
    for source in sources:
        state, seen = TextState(model), [END] * CONTEXT
        for symbol in (one for line in source.lines for one in symbols_of(line) if one < SYMBOLS):
            length, following = state.match()
            chances[length].append((float(model.frequencies(seen[-CONTEXT:])[symbol]) / TOTAL, following == symbol))
            state.take(symbol)
            seen.append(symbol)
    found = np.zeros(CONTEXT + 1, dtype=np.int64)
    tried = np.arange(0, MATCH_ONE, 4)  # (64,)
    for length, pairs in enumerate(chances[1:], start=1):
        alone, hits = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True)) if pairs else ((), ())
        mixed = np.outer(1 - tried / MATCH_ONE, alone) + np.outer(tried / MATCH_ONE, hits)  # (64, n)
        found[length] = tried[int(np.log2(mixed + 1e-9).sum(axis=1).argmax())] if len(pairs) else found[length - 1]
    return found


def line_tables(photos: Sequence[Sequence[ReadLine]]) -> dict[str, np.ndarray]:
    """How often another line follows after so many, and how often lines have which size and place."""
    more = np.full((33, 2), (1.0, 3.0))
    sizes, places = np.ones(4), np.ones(9)
    for lines in photos:
        kept = in_order(lines)
        for count in range(len(kept) + 1):
            more[min(count, 32), int(count < len(kept))] += 1
        for line in kept:
            sizes[size_of(line)] += 1
            places[place_of(line)] += 1
    chance = more[:, 1] / more.sum(axis=1)
    return {
        "more": np.clip(np.rint(chance * TOTAL), 64, TOTAL - 64).astype(np.int64),
        "sizes": _shares(sizes),
        "places": _shares(places),
    }


def _shares(counts: np.ndarray) -> np.ndarray:
    """Counts as frequencies that add up to 2 ** 16."""
    found = np.maximum(1, np.floor(counts / counts.sum() * TOTAL)).astype(np.int64)
    found[int(found.argmax())] += TOTAL - found.sum()
    return np.asarray(found)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--read", type=Path, nargs="+", required=True, help="what read_photos wrote")
    parser.add_argument("--answers", type=Path, nargs="*", default=[], help="questions.jsonl of TextVQA")
    parser.add_argument("--text", type=Path, nargs="*", default=[], help="files of plain text, a line a line")
    parser.add_argument("--text-share", type=float, default=0.3, help="of all weight")
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    photos = [lines for path in arguments.read for _, lines in found_in(path)]
    read = [Source(tuple(one.text for one in in_order(lines))) for lines in photos if lines]
    texts = [line for path in arguments.text for line in path.read_text(encoding="utf-8").splitlines()]
    texts += [line for path in arguments.answers for line in answers_in(path)]
    plain = list(plain_lines(texts, 1.0))
    held = max(1, int(len(read) * _HELD_OUT))
    characters = [sum(len(line) + 1 for source in some for line in source.lines) for some in (read, plain)]
    share = arguments.text_share * characters[0] / ((1 - arguments.text_share) * max(characters[1], 1))
    train = [*read[held:], *(Source(one.lines, share) for one in plain)]
    network, bits = fitted(pairs_of(train), pairs_of(read[:held]), arguments.steps)
    print(f"{characters[0]} and {characters[1]} characters; {bits:.3f} bits a symbol of {held} photos kept apart")
    none = np.zeros(CONTEXT + 1, dtype=np.int64)
    model = TextModel(**network.integers(), **line_tables(photos), match=none)
    replace(model, match=match_shares(model, read[:_MATCH_PHOTOS])).save(arguments.out)


if __name__ == "__main__":
    main()
