"""ONNX Runtime sessions that fit a small device: one thread, no memory arena, no telemetry, quiet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.codec.network_values import check_values
from heliograph.codec.onnx_graph import Network
from heliograph.codec.protobuf import network_damaged
from heliograph.errors import BundleDamagedError, MissingExtraError
from heliograph.reasons import BundleFault

if TYPE_CHECKING:
    import onnxruntime

_ERRORS_ONLY = 3
_EXTERNAL = "session.model_external_initializers_file_folder_path"


def open_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A CPU session for one ONNX file.

    The arena is off because it keeps the largest working set for ever, which costs more memory than the few
    milliseconds it saves on networks of this size.

    Args:
        path: of the network.
        threads: that one step of it may use.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        BundleDamagedError: no file there, no network that this version can run, one that reads files which do not lie
            beside it, or a weight that is no number or absurdly large.
    """
    _runtime()
    _checked(path)
    return _session(str(path), path, threads)


def load_network(path: Path) -> Network:
    """A network whose parts are to be run.

    Raises:
        BundleDamagedError: as :func:`open_session`.
    """
    _checked(path)
    return Network.load(path)


def open_part(
    network: Network, outputs: Sequence[str], inputs: Sequence[str] = (), threads: int = 1
) -> onnxruntime.InferenceSession:
    """A CPU session for a part of a network (:meth:`heliograph.codec.onnx_graph.Network.cut`).

    Raises:
        MissingExtraError, BundleDamagedError: as :func:`open_session`.
    """
    return _session(network.cut(outputs, inputs), network.path, threads)


def _checked(path: Path) -> None:
    try:
        check_values(path)
    except BundleDamagedError as error:
        error.add_note(f"{path.name}.")
        raise


def _session(network: str | bytes, path: Path, threads: int) -> onnxruntime.InferenceSession:
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    if isinstance(network, bytes):
        options.add_session_config_entry(_EXTERNAL, str(path.parent))
    try:
        return runtime.InferenceSession(network, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen classes of its own for damaged files
        raise network_damaged(BundleFault.NOT_NETWORK).noted(f"{path.name}.") from error


def _runtime() -> onnxruntime:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("edge") from error
    return onnxruntime
