"""One registry per kind (codec, strategy, controller, task, suite) with lazy ``module:attribute`` targets.

Listing the names imports nothing, so ``heliograph --help`` stays fast and the device never pulls in torch.

Registries are open: a package adds to them by an entry point of the registry's group, a program by
:meth:`Registry.register`. What is broken or clashes is an error for whoever uses it, and for nobody else.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.errors import PlugInError, UnknownNameError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_TARGET = re.compile(r"[\w.]+:\w+")
_MAX_SHOWN = 200


@dataclass(frozen=True)
class PlugIn:
    """Something that is not Heliograph's own.

    Attributes:
        name: by which it is asked for.
        target: ``module:attribute``, or the thing itself.
        package: name and version of what installed it; empty where the program registered it.
    """

    name: str
    target: Any
    package: str = ""


class Registry:
    """Names to lazy targets.

    >>> codecs = Registry("codec", {"klt": "heliograph.codec.klt:KltCodec"})
    >>> codecs.names()
    ('klt',)

    Args:
        kind: what the names stand for, in a word or two.
        targets: of Heliograph itself.
        group: entry points of this group belong here too; empty for none.
        private: wire numbers from which plug-ins choose theirs (``wire_id``); empty where there are no numbers.
        needed: attributes that a plug-in must have.
    """

    def __init__(
        self,
        kind: str,
        targets: dict[str, str],
        *,
        group: str = "",
        private: range = range(0),
        needed: Sequence[str] = (),
    ) -> None:
        self.kind, self.group, self.private = kind, group, private
        self._targets = dict(targets)
        self._needed = tuple(needed)
        self._registered: list[PlugIn] = []
        self._installed: list[PlugIn] | None = None
        self._resolved: dict[str, Any] | None = None  # the plug-in, or a PlugInError

    def names(self) -> tuple[str, ...]:
        """All names, Heliograph's own first, in the order of registration; imports nothing."""
        return (*self._targets, *self.plug_in_names())

    def plug_in_names(self) -> tuple[str, ...]:
        """Names that are not Heliograph's own; imports nothing."""
        return tuple(dict.fromkeys(one.name for one in self.plug_ins() if one.name not in self._targets))

    def load(self, name: str) -> Any:
        """The object behind ``name``.

        Raises:
            UnknownNameError: no such name; lists the choices.
            PlugInError: a plug-in that cannot be used.
        """
        if name in self._targets:
            return _imported(self._targets[name])
        if name not in self.plug_in_names():
            raise UnknownNameError(self.kind, self.names())
        found = self._plug_ins_resolved()[name]
        if isinstance(found, PlugInError):
            raise found
        return found

    def register(self, name: str, target: Any) -> None:
        """Add something for this process.

        Args:
            name: lower-case letters, digits and hyphens.
            target: ``module:attribute``, imported when it is first used, or the thing itself.

        Raises:
            PlugInError: the name is taken or no name; a thing that is given itself is looked at now, a target when it
                is first used.
        """
        one = PlugIn(name, target)
        if name in self.names():
            raise self._refused(one, "this name is taken: choose another one")
        if not _NAME.fullmatch(name):
            raise self._refused(one, "a name is at most 32 lower-case letters, digits and hyphens")
        before, self._resolved = self._resolved, None
        self._registered.append(one)
        if isinstance(target, str):
            return
        found = self._plug_ins_resolved()[name]
        if isinstance(found, PlugInError):
            self._registered.remove(one)
            self._resolved = before
            raise found

    def plug_ins(self) -> tuple[PlugIn, ...]:
        """What entry points and :meth:`register` have added; imports nothing."""
        if self._installed is None:
            self._installed = _installed(self.group) if self.group else []
        return (*self._installed, *self._registered)

    def faults(self) -> tuple[tuple[PlugIn, str], ...]:
        """Every plug-in with what is wrong with it, empty where nothing is; imports them all."""
        resolved = self._plug_ins_resolved()
        found = []
        for one in self.plug_ins():
            taken = self._refused(one, "this name is Heliograph's own: rename it")
            fault = taken if one.name in self._targets else resolved[one.name]
            found.append((one, "; ".join(fault.__notes__) if isinstance(fault, PlugInError) else ""))
        return tuple(found)

    def numbers(self) -> dict[str, int]:
        """Wire numbers of the plug-ins that can be used; imports them all, once."""
        if not self.private:
            return {}
        resolved = self._plug_ins_resolved().items()
        return {name: found.wire_id for name, found in resolved if not isinstance(found, PlugInError)}

    def _plug_ins_resolved(self) -> dict[str, Any]:
        if self._resolved is None:
            own = [one for one in self.plug_ins() if one.name not in self._targets]
            found = {one.name: self._looked_at(one) for one in own}
            for name, count in Counter(one.name for one in own).items():
                if count > 1:
                    packages = " and ".join(one.package or "this program" for one in own if one.name == name)
                    found[name] = self._refused(PlugIn(name, ""), f"{packages} both have it: uninstall one of them")
            self._resolved = found | self._clashes(found)
        return self._resolved

    def _clashes(self, found: dict[str, Any]) -> dict[str, PlugInError]:
        """Both ends must mean the same by a number, so of two plug-ins that chose the same one neither is used."""
        numbers = {n: one.wire_id for n, one in found.items() if self.private and not isinstance(one, PlugInError)}
        clashing = {number for number, count in Counter(numbers.values()).items() if count > 1}
        refused = {}
        for name, number in numbers.items():
            if number in clashing:
                others = ", ".join(other for other in numbers if numbers[other] == number and other != name)
                why = f"wire_id {number} is that of {others} too: change one of them, at both ends"
                refused[name] = self._refused(PlugIn(name, ""), why)
        return refused

    def _looked_at(self, one: PlugIn) -> Any:
        """The plug-in, or the error that says why it cannot be used."""
        if not _NAME.fullmatch(one.name):
            return self._refused(one, "a name is at most 32 lower-case letters, digits and hyphens")
        found = one.target
        if isinstance(found, str):
            if not _TARGET.fullmatch(found):
                return self._refused(one, "its target is not module:attribute")
            try:
                found = _imported(found)
            except (Exception, SystemExit) as error:  # whatever its module does must not end this program
                refused = self._refused(one, _import_fault(error))
                refused.__cause__ = error
                return refused
        missing = [name for name in self._needed if not hasattr(found, name)]
        if missing:
            return self._refused(one, f"it lacks {', '.join(missing)}")
        if not self.private:
            return found
        if found.name != one.name:
            return self._refused(one, f"its class says name = {str(found.name)[:_MAX_SHOWN]!r}: make them equal")
        number = getattr(found, "wire_id", None)
        if not isinstance(number, int) or number not in self.private:
            first, last = self.private[0], self.private[-1]
            return self._refused(one, f"wire_id must be a number from {first} to {last}, chosen once and kept")
        return found

    def _refused(self, one: PlugIn, why: str) -> PlugInError:
        origin = f" of {one.package}" if one.package else ""
        return PlugInError().noted(f"{self.kind} {one.name[:_MAX_SHOWN]}{origin}: {why}")


def _import_fault(error: Exception | SystemExit) -> str:
    """What keeps a plug-in from being imported, for people."""
    if isinstance(error, SystemExit):
        return "it ends the program when it is imported"
    reason = str(error)[:_MAX_SHOWN]
    return f"it cannot be imported: {reason}" if reason else "it cannot be imported"


def _imported(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


@functools.cache
def _entry_points() -> Any:  # SelectableGroups in Python 3.11, EntryPoints after it
    from importlib.metadata import entry_points  # costs some 20 ms, which loading our own does not need

    return entry_points()


def _installed(group: str) -> list[PlugIn]:
    found = sorted(_entry_points().select(group=group), key=lambda one: (one.name, one.value))
    return [PlugIn(one.name, one.value, f"{one.dist.name} {one.dist.version}" if one.dist else "") for one in found]


CODECS = Registry(
    "codec",
    {
        "klt": "heliograph.codec.klt:KltCodec",
        "meta": "heliograph.codec.meta:MetaCodec",
        "pq": "heliograph.codec.product:ProductCodec",
    },
    group="heliograph.codecs",
    needed=("kind", "files", "load"),
)

STRATEGIES = Registry(
    "strategy",
    {
        "klt": "heliograph.strategies.split.latent:KltStrategy",
        "meta": "heliograph.strategies.split.latent:MetaStrategy",
        "jpeg": "heliograph.strategies.baseline.pixels:JpegStrategy",
        "webp": "heliograph.strategies.baseline.pixels:WebpStrategy",
        "avif": "heliograph.strategies.baseline.pixels:AvifStrategy",
        "jpeg-bare": "heliograph.strategies.baseline.bare:BareJpegStrategy",
        "webp-bare": "heliograph.strategies.baseline.bare:BareWebpStrategy",
        "avif-bare": "heliograph.strategies.baseline.bare:BareAvifStrategy",
        "rgb": "heliograph.strategies.baseline.rgb:RgbStrategy",
        "int8": "heliograph.strategies.split.uniform:Int8Strategy",
        "int4": "heliograph.strategies.split.uniform:Int4Strategy",
        "pq": "heliograph.strategies.split.product:ProductStrategy",
        "downsample": "heliograph.strategies.token_compression.downsample:DownsampleStrategy",
        "random-drop": "heliograph.strategies.token_compression.random_drop:RandomDropStrategy",
        "local": "heliograph.strategies.baseline.local:LocalStrategy",
        "dynamicvit": "heliograph.strategies.token_compression.dynamicvit:DynamicVitStrategy",
        "visionzip": "heliograph.strategies.token_compression.visionzip:VisionZipStrategy",
        "divprune": "heliograph.strategies.token_compression.divprune:DivPruneStrategy",
        "tome": "heliograph.strategies.token_compression.tome:TomeStrategy",
        "dfmr": "heliograph.strategies.token_compression.dfmr:DfmrStrategy",
        "latent-neck": "heliograph.strategies.compressed_latent.latent_neck:LatentNeckStrategy",
        "tokens-1d": "heliograph.strategies.compressed_latent.tokens_1d:Tokens1dStrategy",
        "question-coded": "heliograph.strategies.compressed_latent.question_coded:QuestionCodedStrategy",
        "jpeg-dct": "heliograph.strategies.compressed_domain.jpeg_dct:JpegDctStrategy",
        "feature-adapt": "heliograph.strategies.compressed_domain.feature_adapt:FeatureAdaptStrategy",
        "caption": "heliograph.strategies.semantic.caption:CaptionStrategy",
        "read": "heliograph.strategies.semantic.read:ReadStrategy",
        "side-info": "heliograph.strategies.semantic.side_info:SideInfoStrategy",
        "entropic-student": "heliograph.strategies.split.bottleneck:EntropicStudentStrategy",
        "frankensplit": "heliograph.strategies.split.bottleneck:FrankenSplitStrategy",
        "split-k": "heliograph.strategies.split.split_k:SplitKStrategy",
        "roi-jpeg": "heliograph.strategies.guided.roi_jpeg:RoiJpegStrategy",
        "roi-webp": "heliograph.strategies.guided.roi_webp:RoiWebpStrategy",
        "roi-avif": "heliograph.strategies.guided.roi_avif:RoiAvifStrategy",
        "prefilter": "heliograph.strategies.guided.prefilter:PrefilterStrategy",
        "cotam": "heliograph.strategies.guided.cotam:CotamStrategy",
        "nnc": "heliograph.strategies.split.nnc:NncStrategy",
        "klt-nnc": "heliograph.strategies.split.nnc:KltNncStrategy",
        "feature-video": "heliograph.strategies.split.feature_video:FeatureVideoStrategy",
    },
    group="heliograph.strategies",
    private=range(96, 128),
    needed=("name", "kind", "needs_bundle", "default_setting", "encode", "restore"),
)

CONTROLLERS = Registry(
    "controller",
    {
        "fixed": "heliograph.controllers.fixed:FixedController",
        "energy": "heliograph.controllers.energy:EnergyController",
        "push": "heliograph.controllers.push:PushController",
        "pull": "heliograph.controllers.pull:PullController",
        "level": "heliograph.controllers.level:LevelController",
    },
    group="heliograph.controllers",
    private=range(12, 16),
    needed=("name", "from_target", "decide"),
)

REGION_POLICIES = Registry(
    "region policy",
    {
        "never": "heliograph.controllers.region.never:Never",
        "always": "heliograph.controllers.region.always:Always",
        "random-box": "heliograph.controllers.region.random_box:RandomBox",
        "random": "heliograph.controllers.region.random:Random",
        "threshold": "heliograph.controllers.region.threshold:Threshold",
        "calibrated": "heliograph.controllers.region.calibrated:Calibrated",
    },
    group="heliograph.region_policies",
    private=range(240, 256),
    needed=("name", "decide"),
)

SUITES = Registry(
    "suite",
    {
        "smoke": "heliograph.bench.reference.suite:SmokeSuite",
        "reference": "heliograph.bench.reference.suite:ReferenceSuite",
        "photos": "heliograph.bench.photos.suite:PhotosSuite",
        "region": "heliograph.bench.region.suite:RegionSuite",
        "loop": "heliograph.bench.loop.suite:LoopSuite",
        "planner": "heliograph.bench.planner.suite:PlannerSuite",
        "hardening": "heliograph.bench.hardening.suite:HardeningSuite",
        "bytes": "heliograph.bench.bytes.suite:BytesSuite",
        "street": "heliograph.bench.street.suite:StreetSuite",
        "second-look": "heliograph.bench.second_look.suite:SecondLookSuite",
        "families": "heliograph.bench.families.suite:FamiliesSuite",
    },
    group="heliograph.suites",
    needed=("name", "run"),
)

TRANSPORTS = Registry(
    "transport",
    {
        "ws": "heliograph.transport.websocket_client:open_websocket",
        "wss": "heliograph.transport.websocket_client:open_websocket",
    },
    group="heliograph.transports",
)
"""Transports by scheme of the cloud's address; each is called as ``open_websocket``."""

MODELS = Registry("model", {}, group="heliograph.models")
"""What makes a model that ``--vlm`` names: called with name and device, it gives a
:class:`heliograph.vlm.contract.AnsweringModel`. Every other name is a checkpoint's."""

OPEN = (CODECS, STRATEGIES, CONTROLLERS, REGION_POLICIES, SUITES, TRANSPORTS, MODELS)
"""Every registry that plug-ins add to."""
