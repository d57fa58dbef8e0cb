"""What maintainers want to know of this machine, a line for each: ``heliograph doctor --verbose``."""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import io
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph import __version__
from heliograph.cli.failures import failure_of
from heliograph.cli.options.photo import open_bundle
from heliograph.cli.text import printable, shortened
from heliograph.config import DEFAULT_HOST
from heliograph.edge.processor import encoder_profile, this_processor, unsuited
from heliograph.errors import HeliographError
from heliograph.registry import OPEN

if TYPE_CHECKING:
    from heliograph.codec.bundle import Bundle

OK, ABSENT, BROKEN = "ok", "absent", "broken"
_MEGABYTE = 2**20
_MAX_SHOWN = 160

MODULES = {
    "base": ("numpy",),
    "edge": ("PIL", "pyvips", "onnxruntime", "websockets", "tokenizers", "rich"),
    "heif": ("pillow_heif",),
    "cloud": ("torch", "transformers", "safetensors", "starlette", "uvicorn", "num2words"),
    "train": ("onnx", "sklearn"),
    "bench": ("matplotlib", "ai_edge_litert"),
}
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "pillow_heif": "pillow-heif",
    "ai_edge_litert": "ai-edge-litert",
    "sklearn": "scikit-learn",
}
_NEEDED_PARTS = ("base", "edge")
_DATA_FOLDERS = ("easy-vqa", "kodak", "links", "mobilenet-v2", "qwen3-vl-processor", "textvqa-dev")


@dataclass(frozen=True)
class Check:
    """One line.

    Attributes:
        name: what was looked at.
        status: ``ok``, ``absent`` or ``broken``.
        needed: whether a device needs it.
        detail: what was found.
        plug_in: whether another package added it.
    """

    name: str
    status: str
    needed: bool
    detail: str
    plug_in: bool = False


def checks_of_use(bundle_folder: Path | None) -> Iterator[Check]:
    """What decides whether this machine can do something, cheap checks first; torch is not imported for it."""
    version = platform.python_version()
    yield Check("python", OK if sys.version_info >= (3, 11) else BROKEN, True, f"{version} on {platform.machine()}")
    yield Check("heliograph", OK, True, __version__)
    for part, modules in MODULES.items():
        for module in modules:
            yield check_module(module, part)
    for kind, needed in (("JPEG", True), ("WEBP", False), ("AVIF", False)):
        yield _guarded(kind.lower(), needed, lambda kind=kind: picture_round_trip(kind))  # type: ignore[misc]
    yield _guarded("reference model", False, model_size)
    yield _guarded("bundle", True, lambda: describe_bundle(open_bundle(bundle_folder)))
    yield _guarded("encoding a photo", True, lambda: encode_demo_photo(open_bundle(bundle_folder)))
    yield check_local_model(bundle_folder)
    yield from check_plug_ins()


def checks_of_care(bundle_folder: Path | None, port_number: int) -> Iterator[Check]:
    """What helps to find out why something is slow, or other than expected."""
    yield _guarded("processor", False, lambda: this_processor().text)
    yield check_encoder(bundle_folder)
    yield check_images()
    yield check_port(port_number)
    for name in _DATA_FOLDERS:
        yield check_data(name)


def check_module(module: str, part: str) -> Check:
    """Whether a module is installed, and its version; what a device needs is imported too."""
    needed = part in _NEEDED_PARTS
    if importlib.util.find_spec(module) is None:
        hint = f"pip install 'heliograph[{part}]'" if part != "base" else "pip install heliograph"
        return Check(module, ABSENT, needed, hint)
    if needed:
        try:
            importlib.import_module(module)
        except Exception as error:  # a damaged or foreign binary fails in its own way
            anew = f"pip install --force-reinstall {_DISTRIBUTIONS.get(module, module)}"
            return Check(module, BROKEN, needed, f"it is installed and cannot be loaded{_because(error)}; {anew}")
    return Check(module, OK, needed, importlib.metadata.version(_DISTRIBUTIONS.get(module, module)))


def _because(error: Exception) -> str:
    """What a foreign error says, in its first line, without its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f": {shortened(printable(lines[0]), _MAX_SHOWN)}" if lines else ""


def _guarded(name: str, needed: bool, look: Callable[[], str]) -> Check:
    try:
        return Check(name, OK, needed, look())
    except HeliographError as error:
        return Check(name, BROKEN, needed, failure_of(error, "doctor").message)
    except ImportError as error:
        return Check(
            name, ABSENT, needed, f"needs {error.name}" if error.name else f"cannot be loaded{_because(error)}"
        )


def picture_round_trip(kind: str) -> str:
    """Write and read a small picture.

    Raises:
        HeliographError: Pillow was built without this format.
    """
    import PIL
    from PIL import Image

    from heliograph.errors import PhotoUnreadableError

    buffer = io.BytesIO()
    try:
        Image.new("RGB", (16, 16), (200, 40, 40)).save(buffer, kind)
        Image.open(io.BytesIO(buffer.getvalue()), formats=[kind]).load()
    except (KeyError, OSError) as error:
        raise PhotoUnreadableError from error
    return f"Pillow {PIL.__version__} writes and reads it"


def model_size() -> str:
    """The shipped checkpoint.

    Raises:
        ModelUnavailableError: there is none.
    """
    from heliograph.reference.assets import shipped_model_folder

    size = sum(file.stat().st_size for file in shipped_model_folder().rglob("*") if file.is_file())
    return f"{size / _MEGABYTE:.1f} MB"


def describe_bundle(bundle: Bundle) -> str:
    """Hash and grid of a bundle whose files match their hashes, and whether a device can answer with it alone."""
    local = "answers locally" if bundle.local_model_path else "no local model"
    return f"{bundle.hash.hex()}, hashes verified, {bundle.grid.tokens} x {bundle.hidden_size} tokens, {local}"


def check_local_model(bundle_folder: Path | None) -> Check:
    """Whether the bundle holds a language model that the device runs itself."""
    name = "local model"
    try:
        held = open_bundle(bundle_folder).local_model_path is not None
    except HeliographError as error:
        return Check(name, BROKEN, False, failure_of(error, "doctor").message)
    except ImportError as error:
        return Check(name, ABSENT, False, f"needs {error.name}")
    if not held:
        return Check(name, ABSENT, False, "the bundle holds no local model: heliograph export --local adds one")
    return Check(name, OK, False, "the bundle holds a local model: heliograph ask --strategy local")


def encode_demo_photo(bundle: Bundle) -> str:
    """The demo photo through encoder and codec.

    Raises:
        HeliographError: whatever does not work on the way.
    """
    from heliograph.edge.device import Device
    from heliograph.edge.photos.file import load_photo
    from heliograph.reference.assets import demo_photo_path

    encoded = Device(bundle).encode(load_photo(demo_photo_path()), bundle.codec_kinds[0])
    restored = bundle.codec(encoded.strategy).decode(encoded.header, encoded.segments)
    rows, columns = restored.values.shape
    size = f"{encoded.payload_bytes:,} B in {len(encoded.segments)} segments"
    return f"the demo photo takes {size}, and {rows} x {columns} tokens come back"


def check_encoder(bundle_folder: Path | None) -> Check:
    """Whether the bundle's encoder was made for processors like this one."""
    try:
        bundle = open_bundle(bundle_folder)
        warning, profile = unsuited(bundle), encoder_profile(bundle)
    except HeliographError as error:
        return Check("encoder", BROKEN, False, failure_of(error, "doctor").message)
    made = "in float32" if profile is None else f"in eight bits, made for {profile}"
    return Check("encoder", BROKEN if warning else OK, False, warning or f"{made}: suits this processor")


def check_images() -> Check:
    """What makes pixels of photos in the cloud, and whether torchvision, which is not to, is there."""
    name = "image processor"
    for module in ("torch", "transformers"):
        if importlib.util.find_spec(module) is None:
            return Check(name, ABSENT, False, f"needs {module}")
    from heliograph.reference.assets import shipped_model_folder
    from heliograph.vlm.checkpoint.processors import PIL, image_backend, load_processor

    try:
        processor = load_processor(str(shipped_model_folder()))
    except Exception as error:  # damaged or foreign installations fail in their own ways
        return Check(name, BROKEN, False, f"it cannot be loaded{_because(error)}")
    try:
        torchvision = f"torchvision {importlib.metadata.version('torchvision')} is installed and not used"
    except importlib.metadata.PackageNotFoundError:
        torchvision = "torchvision is not installed and not needed"
    backend = image_backend(processor)
    found = f"{type(processor.image_processor).__name__}, backend {backend}; {torchvision}"
    return Check(name, OK if backend == PIL else BROKEN, False, found)


def check_port(number: int) -> Check:
    """Whether ``serve`` could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((DEFAULT_HOST, number))
        except OSError as error:
            why = "in use; a server may be running" if error.errno == errno.EADDRINUSE else "cannot be bound"
            return Check(f"port {number}", ABSENT, False, why)
    return Check(f"port {number}", OK, False, "free")


def check_plug_ins() -> Iterator[Check]:
    """What other packages have added, and what is wrong with it."""
    for registry in OPEN:
        for one, fault in registry.faults():
            origin = one.package or "registered by this program"
            yield Check(f"{registry.kind} {one.name}", BROKEN if fault else OK, False, fault or origin, plug_in=True)


def check_data(name: str) -> Check:
    """Whether the bench finds a folder of third-party data."""
    from heliograph.config import DATA_VARIABLE

    try:
        from heliograph.bench.data import data_folder

        return Check(f"data {name}", OK, False, str(data_folder(name)))
    except ImportError:
        return Check(f"data {name}", ABSENT, False, "pip install heliograph-cloud: the bench is there")
    except HeliographError:
        return Check(f"data {name}", ABSENT, False, f"set {DATA_VARIABLE} to the folder that holds it")
