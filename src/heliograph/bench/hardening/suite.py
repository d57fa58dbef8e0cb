"""Suite ``hardening``: real processes beside strangers, forgetful networks and odd files; three quarters of an hour.

Waits are compared with those of the same run without a stranger: run it on a machine with nothing else to do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from heliograph.bench.hardening import namespaces
from heliograph.bench.hardening.claimed_size import ClaimedSize, measure_claimed_size
from heliograph.bench.hardening.crowded_door import SLOW_HELLOS, UNFINISHED_REQUESTS, CrowdedDoor, measure_crowded_door
from heliograph.bench.hardening.forgotten_flow import ForgottenFlow, measure_forgotten_flow
from heliograph.bench.hardening.fuzz_targets import every_target
from heliograph.bench.hardening.fuzzing import MAX_CASE_MB, MAX_GROWTH_MB, RUNS, SEED, TargetResult, run_all
from heliograph.bench.hardening.hostile_sender import Compared, Waits, measure_hostile_senders
from heliograph.bench.hardening.hostile_shapes import SHAPES as HOSTILE_SHAPES
from heliograph.bench.hardening.measured import Measured, Values
from heliograph.bench.hardening.overhead import Overhead, measure_overhead
from heliograph.bench.hardening.photo_files import SMALL, odd_photos
from heliograph.bench.hardening.photo_memory import PhotoMemory, photo_memory, worst
from heliograph.bench.hardening.plots import PHOTOS_TABLE, PICTURES, WAITS_TABLE
from heliograph.bench.hardening.session_memory import SHAPES as MEMORY_SHAPES
from heliograph.bench.hardening.session_memory import Growth, measure_session_memory
from heliograph.bench.results import Figure, Provenance, SuiteResult, Table
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.serving.opening import load_cloud
from heliograph.serving.web.application import CloudApplication
from heliograph.training.progress import Progress
from heliograph.vlm.checkpoint.loading import REFERENCE

SUITE = "hardening"
PARTS = Path("runs") / "hardening-parts"
TIMEOUTS_S = (60.0, 600.0)
_HOSTILE_S = 12.0
_SESSIONS = 64


@dataclass(frozen=True)
class Part:
    """What one measurement gives the report."""

    figures: tuple[Figure, ...]
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


class HardeningSuite:
    """``heliograph bench --suite hardening``."""

    name = SUITE

    def run(self, *, limit: int | None = None, seed_start: int | None = None, quiet: bool = False) -> SuiteResult:
        """Runs it.

        Args:
            limit: so many fuzzed cases, odd photos and seconds beside each stranger at most; None for all, and then
                what a stopped run of this commit has measured is taken from ``runs/hardening-parts``.
            seed_start: of the fuzzed cases.
            quiet: show no progress.

        Raises:
            DataMissingError: Qwen3-VL's processor files are not at hand.
        """
        provenance, seed = Provenance.now(), SEED if seed_start is None else seed_start
        with Progress(quiet) as progress, tempfile.TemporaryDirectory() as scratch:
            whole = limit is None and not provenance.commit.endswith("+")
            kept = Measured(PARTS if whole else Path(scratch) / "parts", f"{provenance.commit} {seed}")
            parts = [
                _claimed_size(kept),
                _forgotten_flow(kept, progress),
                _overhead(kept, limit),
                _crowded_door(kept, progress),
                _hostile_senders(kept, limit, progress),
                _session_memory(kept, limit, progress),
                _photos(kept, limit, progress),
                _fuzzing(kept, limit, seed, progress),
            ]
        return SuiteResult(
            suite=SUITE,
            provenance=provenance,
            rows=(),
            b99={},
            figures=tuple(figure for part in parts for figure in part.figures),
            tables=tuple(table for part in parts for table in part.tables),
            notes=tuple(note for part in parts for note in part.notes),
            pictures=PICTURES,
        )


def _claimed_size(kept: Measured) -> Part:
    found = ClaimedSize(**kept.part("claimed-size", lambda: asdict(measure_claimed_size())))
    name = "9-byte header claiming 2^28 pixels"
    return Part(
        (
            Figure(f"{name}: seconds to the error", found.seconds, None, 0.1),
            Figure(f"{name}: growth of peak memory, MB", found.growth_mb, None, 20),
        ),
        notes=(f"The header's claim was answered with error {found.error}.",),
    )


def _forgotten_flow(kept: Measured, progress: Progress) -> Part:
    reason = namespaces.why_not()
    if reason:
        return Part((), notes=(f"No forgotten flow was measured: {reason}",))
    measured = kept.part("forgotten-flow", lambda: {"flows": [one.data() for one in _flows(progress)]})
    figures = []
    for found in (ForgottenFlow(**values) for values in measured["flows"]):
        name = f"forgotten NAT flow, deadline {found.timeout_s:g} s: seconds to the answer of"
        figures += [
            Figure(f"{name} the next question", found.next_s, None, 12),
            Figure(f"{name} a fresh client", found.fresh_s),
        ]
    return Part(tuple(figures))


def _flows(progress: Progress) -> Iterator[ForgottenFlow]:
    device = Device(Bundle.load(shipped_bundle_folder()))
    with Image.open(demo_photo_path()) as opened:
        photo = opened.convert("RGB")
    for timeout_s in progress.over(TIMEOUTS_S, "forgotten flows"):
        application = CloudApplication(load_cloud(REFERENCE, None))
        yield measure_forgotten_flow(application, device, photo, timeout_s)


def _overhead(kept: Measured, limit: int | None) -> Part:
    found = Overhead(**kept.part("overhead", lambda: asdict(measure_overhead(limit))))
    name = "bytes of an exchange beyond payload and text, open connection"
    return Part((Figure(name, found.plain, None, 64), Figure(f"{name}, with a key", found.authenticated, None, 76)))


def _crowded_door(kept: Measured, progress: Progress) -> Part:
    progress.say("a device among unfinished requests and slow greetings")
    found = CrowdedDoor(**kept.part("crowded-door", lambda: asdict(measure_crowded_door())))
    name = f"seconds to a device's answer among {UNFINISHED_REQUESTS} unfinished requests and {SLOW_HELLOS} slow hellos"
    return Part((Figure(name, found.crowded_s, None, 1), Figure("the same with nobody else there", found.alone_s)))


def _hostile_senders(kept: Measured, limit: int | None, progress: Progress) -> Part:
    seconds = _HOSTILE_S if limit is None else min(float(limit), _HOSTILE_S)
    progress.say(f"beside {len(HOSTILE_SHAPES)} hostile senders, {seconds:g} s and {seconds:g} s without each")
    measured = kept.part(
        "hostile-senders", lambda: {shape: asdict(one) for shape, one in measure_hostile_senders(seconds).items()}
    )
    found = {
        shape: Compared(*(Waits(**one[part]) for part in ("without", "beside"))) for shape, one in measured.items()
    }
    health = max(found, key=lambda shape: found[shape].health_ratio)
    welcome = max(found, key=lambda shape: found[shape].welcome_ratio)
    slowest = max(max(one.beside.health_p99_ms, one.beside.welcome_p99_ms) for one in found.values())
    body = tuple(
        (
            shape,
            str(one.beside.count),
            f"{one.without.health_p99_ms:.0f}",
            f"{one.beside.health_p99_ms:.0f}",
            f"{one.without.welcome_p99_ms:.0f}",
            f"{one.beside.welcome_p99_ms:.0f}",
        )
        for shape, one in found.items()
    )
    head = ("sender", "n", "/health p99 ms without", "beside", "WELCOME p99 ms without", "beside")
    return Part(
        (
            Figure(
                "99th percentile of /health beside the worst sender / without",
                found[health].health_ratio,
                None,
                5,
            ),
            Figure(
                "99th percentile of WELCOME beside the worst sender / without",
                found[welcome].welcome_ratio,
                None,
                5,
            ),
            Figure("the slowest of these 99th percentiles, ms", slowest, None, None, 50),
        ),
        (Table(WAITS_TABLE, head, body),),
        (f"The worst sender is {health} for /health and {welcome} for WELCOME.",),
    )


def _session_memory(kept: Measured, limit: int | None, progress: Progress) -> Part:
    sessions = _SESSIONS if limit is None else min(limit, 2)
    shapes = tuple(MEMORY_SHAPES)
    measured = kept.part(
        "session-memory",
        lambda: {
            shape: asdict(measure_session_memory(shape, sessions))
            for shape in progress.over(shapes, "sessions in memory")
        },
    )
    found = {shape: Growth(**one) for shape, one in measured.items()}
    worst_shape = max(found, key=lambda shape: found[shape].ratio)
    body = tuple(
        (
            shape,
            f"{(one.open_bytes + one.kept_bytes) / 1e6:.2f}",
            f"{(one.open_counted + one.kept_counted) / 1e6:.2f}",
            f"{one.ratio:.2f}",
        )
        for shape, one in found.items()
    )
    title = f"{sessions} open and {sessions} kept sessions: memory beside what is counted"
    name = f"memory of {sessions} open and {sessions} kept sessions / what the counters say, worst shape"
    return Part(
        (Figure(name, found[worst_shape].ratio, None, 1.5),),
        (Table(title, ("sessions of", "MB", "counted MB", "ratio"), body),),
        (f"The worst shape of sessions in memory is {worst_shape}.",),
    )


def _photos(kept: Measured, limit: int | None, progress: Progress) -> Part:
    measured = kept.part("photos", lambda: {"photos": [asdict(one) for one in _odd_photos(limit, progress)]})
    found = [PhotoMemory(**{**one, "size": one["size"] and tuple(one["size"])}) for one in measured["photos"]]
    largest, ratio = worst(found)
    accepted = sum(one.error is None for one in found)
    name = f"device's peak memory, worst of {accepted} accepted photos of {len(found)}"
    return Part(
        (
            Figure(f"{name}, MB", largest.peak_mb, None, 200),
            Figure(f"{name} / a 1-megapixel JPEG's", ratio, None, 1.7),
        ),
        (Table(PHOTOS_TABLE, ("file", "peak MB", "read s", "used as"), tuple(map(_photo_row, found))),),
        (f"The photo with the largest peak is {largest.name}.",),
    )


def _odd_photos(limit: int | None, progress: Progress) -> Iterator[PhotoMemory]:
    chosen = odd_photos()
    if limit is not None:
        chosen = tuple(photo for photo in chosen if photo.name == SMALL) + chosen[:limit]
    with tempfile.TemporaryDirectory() as folder:
        advance = progress.bar(len(chosen), "odd photos")
        for one in photo_memory(Path(folder), chosen):
            yield one
            advance(1)


def _photo_row(one: PhotoMemory) -> tuple[str, str, str, str]:
    used = one.error or "" if one.size is None else f"{one.size[0]} x {one.size[1]}"
    return one.name, f"{one.peak_mb:.0f}", f"{one.read_s:.2f}", used


def _fuzzing(kept: Measured, limit: int | None, seed: int, progress: Progress) -> Part:
    measured = kept.part("fuzzing", lambda: _fuzz(RUNS if limit is None else limit, seed, progress))
    found = {name: TargetResult(**one) for name, one in measured.items()}
    runs = sum(one.runs for one in found.values())
    growth, case = (max(getattr(one, name) for one in found.values()) for name in ("growth_mb", "case_mb"))
    body = tuple(
        (name, f"{one.runs:,}", f"{one.named:,}", str(len(one.failures)), f"{one.growth_mb:.1f}", f"{one.seconds:.0f}")
        for name, one in found.items()
    )
    failures = [f"{name} {number}: {what}" for name, one in found.items() for number, what in one.failures]
    return Part(
        (
            Figure("fuzzed frames, files, streams and headers", float(runs), None, 1e6, at_least=True),
            Figure("of those that ended in anything but an answer or a named error", float(len(failures)), None, 0),
            Figure("growth of peak memory while fuzzing, worst target, MB", growth, None, MAX_GROWTH_MB),
            Figure("memory of one fuzzed case, worst sampled, MB", case, None, MAX_CASE_MB),
        ),
        (Table(f"Fuzzing, seed {seed}", ("target", "cases", "named", "failures", "growth MB", "s"), body),),
        tuple(failures),
    )


def _fuzz(runs: int, seed: int, progress: Progress) -> Values:
    with tempfile.TemporaryDirectory() as folder:
        found = run_all(every_target(Path(folder)), runs, seed, progress)
    return {name: asdict(one) for name, one in found.items()}
