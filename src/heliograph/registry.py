"""One registry per kind (codec, strategy, controller, task, suite) with lazy ``module:attribute`` targets.

Listing the names imports nothing, so ``heliograph --help`` stays fast and the device never pulls in torch.
"""

from __future__ import annotations

import importlib
from typing import Any

from heliograph.errors import UnknownNameError


class Registry:
    """Names to lazy targets.

    >>> codecs = Registry("codec", {"klt": "heliograph.codec.klt:KltCodec"})
    >>> codecs.names()
    ('klt',)
    """

    def __init__(self, kind: str, targets: dict[str, str]) -> None:
        self.kind = kind
        self._targets = dict(targets)

    def names(self) -> tuple[str, ...]:
        """All names, in the order of registration; imports nothing."""
        return tuple(self._targets)

    def load(self, name: str) -> Any:
        """The object behind ``name``.

        Raises:
            UnknownNameError: no such name; lists the choices.
        """
        target = self._targets.get(name)
        if target is None:
            raise UnknownNameError(self.kind, self.names())
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)


CODECS = Registry(
    "codec",
    {
        "klt": "heliograph.codec.klt:KltCodec",
        "meta": "heliograph.codec.meta:MetaCodec",
        "pq": "heliograph.codec.product:ProductCodec",
    },
)

STRATEGIES = Registry(
    "strategy",
    {
        "klt": "heliograph.strategies.latent:KltStrategy",
        "meta": "heliograph.strategies.latent:MetaStrategy",
        "jpeg": "heliograph.strategies.pixels:JpegStrategy",
        "webp": "heliograph.strategies.pixels:WebpStrategy",
        "avif": "heliograph.strategies.pixels:AvifStrategy",
        "rgb": "heliograph.strategies.rgb:RgbStrategy",
        "int8": "heliograph.strategies.uniform:Int8Strategy",
        "int4": "heliograph.strategies.uniform:Int4Strategy",
        "pq": "heliograph.strategies.product:ProductStrategy",
        "downsample": "heliograph.strategies.downsample:DownsampleStrategy",
        "random-drop": "heliograph.strategies.random_drop:RandomDropStrategy",
        "local": "heliograph.strategies.local:LocalStrategy",
    },
)

CONTROLLERS = Registry(
    "controller",
    {
        "fixed": "heliograph.controllers.fixed:FixedController",
        "energy": "heliograph.controllers.energy:EnergyController",
        "push": "heliograph.controllers.push:PushController",
        "pull": "heliograph.controllers.pull:PullController",
    },
)

REGION_POLICIES = Registry(
    "region policy",
    {
        "never": "heliograph.controllers.region_never:Never",
        "always": "heliograph.controllers.region_always:Always",
        "random-box": "heliograph.controllers.region_random_box:RandomBox",
        "random": "heliograph.controllers.region_random:Random",
        "threshold": "heliograph.controllers.region_threshold:Threshold",
        "calibrated": "heliograph.controllers.region_calibrated:Calibrated",
    },
)

SUITES = Registry(
    "suite",
    {
        "smoke": "heliograph.bench.reference_suite:SmokeSuite",
        "reference": "heliograph.bench.reference_suite:ReferenceSuite",
        "photos": "heliograph.bench.photos_suite:PhotosSuite",
        "region": "heliograph.bench.region_suite:RegionSuite",
        "loop": "heliograph.bench.loop_suite:LoopSuite",
        "planner": "heliograph.bench.planner_suite:PlannerSuite",
        "hardening": "heliograph.bench.hardening.suite:HardeningSuite",
    },
)
