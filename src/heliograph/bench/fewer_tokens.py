"""``python -m heliograph.bench.fewer_tokens``: strategies that send fewer tokens, and what is put for the others.

::

    scenes --device--> tokens --strategy at a setting--> bytes --restored, missing tokens in every way--> answers
                                                                  beside those from uncompressed tokens

Two tables on standard output: every way at three settings of each strategy that leaves tokens out, with the difference
from the one that is usual; and all settings of those strategies beside ``klt`` and the other strategies of their
family.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.bench.bytes.judge import Judge
from heliograph.bench.bytes.rates import Rate
from heliograph.bench.numbers import number_text
from heliograph.bench.scores import Mean
from heliograph.bench.stats import percentile_interval
from heliograph.bench.tasks import Item, scene_items
from heliograph.bench.tools import Bench, open_bench
from heliograph.codec.bundle import Bundle
from heliograph.codec.fallback import CLOSED_FORM
from heliograph.codec.klt import FINENESSES, KltCodec
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Family, Setting, Strategy, label
from heliograph.strategies.missing import PLACE, PREDICTED, WAYS
from heliograph.strategies.selection import strategies_with, strategy_class
from heliograph.vlm.model import VisionLanguageModel

RESTORATION = "klt's restoration"
"""A further way: what ``klt`` adds to the coefficients of its own streams, as if the missing ones had all been zero."""

_SEED, _SCENES = 8_100_000, 64
_THREE = (0.25, 0.4, 0.55)  # of a sweep, where many tokens are missing


@dataclass(frozen=True)
class Line:
    """One row: bytes a photo, the share of answers that agree, and the difference from the usual way."""

    name: str
    setting: str
    payload_bytes: float
    agreement: Mean
    difference: Mean | None = None

    def __str__(self) -> str:
        """The row of a Markdown table."""
        shown = [self.name, self.setting, number_text(self.payload_bytes), _percent(self.agreement)]
        return "| " + " | ".join([*shown, *([_percent(self.difference)] if self.difference else [])]) + " |"


def _percent(mean: Mean) -> str:
    low, high = percentile_interval(100 * mean.samples) or (float("nan"),) * 2
    return f"{100 * mean.value:.1f} [{low:.1f}, {high:.1f}]"


class Comparison:
    """Judges strategies on the same scenes.

    Args:
        bench: both ends and the model.
        items: scenes with their questions.
    """

    def __init__(self, bench: Bench, items: Sequence[Item]) -> None:
        self._bench, self._items = bench, items
        self._photos = [bench.device.device.encode_tokens(one.photo) for one in items]
        self._judge = Judge(bench.model, items, self._photos)

    def ways(self, name: str) -> Iterator[Line]:
        """What is put for missing tokens, at three settings of a strategy's sweep."""
        sweep = strategy_class(name)().settings()
        for setting in (sweep[int(share * len(sweep))] for share in _THREE):
            made = {way: self._rate(_in_way(name, way), setting) for way in WAYS}
            made[RESTORATION] = self._with_restoration(made[PLACE])
            found = {way: self._line(rate, way) for way, rate in made.items()}
            usual = found[PREDICTED].agreement
            for way, one in found.items():
                apart = Mean(one.agreement.value - usual.value, one.agreement.samples - usual.samples)
                yield Line(f"{name}: {way}", one.setting, one.payload_bytes, one.agreement, apart)

    def rates(self, name: str) -> Iterator[Line]:
        """A strategy's whole sweep."""
        strategy = strategy_class(name)()
        for setting in strategy.settings():
            yield self._line(self._rate(strategy, setting), name)

    def _rate(self, strategy: Strategy, setting: Setting) -> Rate:
        completed, payload, restored = strategy.complete_setting(setting), [], []
        for item in self._items:
            stream = self._bench.device.encode(strategy, item.photo, completed).stream
            payload.append(stream.payload_bytes)
            tokens = strategy.restore(stream, self._bench.cloud).tokens
            assert tokens is not None  # a strategy of tokens
            restored.append(tokens.values)
        return Rate(strategy.name, setting, np.array(payload, np.float64), np.stack(restored))

    def _with_restoration(self, place: Rate) -> Rate:
        """The same streams; tokens that are the mean of their place get what ``klt`` would add there."""
        codec = self._bench.bundle.codec(CLOSED_FORM)
        assert isinstance(codec, KltCodec)
        assert codec.restoration is not None
        grid, level = self._bench.bundle.grid, float(place.setting["level"]) / FINENESSES
        made = []
        for values in place.tokens:
            spectrum = codec.transform.channels(values.reshape(grid.tiles, -1, values.shape[1]))
            missing = np.abs(spectrum).max(axis=2) < codec.transform.step / 2
            whole = codec.restoration.apply(spectrum, (grid.rows, grid.columns), level)
            mixed = np.where(missing[:, :, None], whole, spectrum)
            made.append(codec.transform.synthesise(mixed, grid, True))
        return Rate(place.codec, place.setting, place.payload_bytes, np.stack(made))

    def _line(self, rate: Rate, name: str) -> Line:
        scores = self._judge.scores(rate, self._bench.bundle.grid)
        return Line(name, label(rate.setting), float(rate.payload_bytes.mean()), scores.agreement())


def _in_way(name: str, way: str) -> Strategy:
    """A strategy that puts something else for missing tokens."""
    made: Strategy = type("InWay", (STRATEGIES.load(name),), {"missing": way})()
    return made


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=_SCENES, help="how many (default: %(default)d)")
    parser.add_argument("--seed-start", type=int, default=_SEED, help="of the first scene (default: %(default)d)")
    parser.add_argument("--rates", action="store_true", help="only the second table")
    arguments = parser.parse_args()
    bench = open_bench(VisionLanguageModel.load("reference"), Bundle.load(shipped_bundle_folder()))
    items = list(scene_items(arguments.seed_start, arguments.scenes, descriptions=False))
    found = Comparison(bench, items)
    print(f"{len(items)} scenes, {sum(len(one.records) for one in items)} questions")
    family = [one for one in strategies_with() if strategy_class(one).family is Family.TOKEN_COMPRESSION]
    if not arguments.rates:
        print("| way | setting | bytes | agreement % | less the usual way |\n| --- | --- | --- | --- | --- |")
        for name in family:
            for line in found.ways(name) if hasattr(strategy_class(name), "missing") else ():
                print(line, flush=True)
    print("| strategy | setting | bytes | agreement % |\n| --- | --- | --- | --- |")
    for name in (CLOSED_FORM, *family):
        for line in found.rates(name):
            print(line, flush=True)


if __name__ == "__main__":
    main()
