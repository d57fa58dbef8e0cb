"""One question about every photo of a folder, over one connection; a line of JSON for each photo on standard output.

    python examples/batch_folder.py photos "how many objects are there?" --server ws://127.0.0.1:8765

Needs the extra `edge` and a server. A photo that cannot be used is a line with its error, and the next one follows;
where the server cannot be reached any more, the rest is left. The exit code is 0 where every photo was answered.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from heliograph.codec.bundle import Bundle
from heliograph.config import default_bundle, default_server
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.errors import ConnectionLostError, HeliographError, ServerBusyError, ServerUnreachableError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.transport.opening import open_connection

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif")
LINK_ERRORS = (ConnectionLostError, ServerBusyError, ServerUnreachableError)


async def ask_about(folder: Path, question: str, server: str) -> bool:
    """Print a line for each photo, in the order of names; whether all were answered."""
    device = Device(Bundle.load(default_bundle() or shipped_bundle_folder()))
    photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    answered = 0
    async with DeviceClient(lambda: open_connection(server), device) as client:
        for photo in photos:
            try:
                report = await client.ask(photo, question)
            except HeliographError as error:
                print(json.dumps({"photo": photo.name, "error": error.name}), flush=True)
                if isinstance(error, LINK_ERRORS):
                    break
                continue
            answered += 1
            line = {"photo": photo.name, "answer": report.answer, "confidence": round(report.confidence, 3)}
            print(json.dumps(line | {"payload_bytes": report.payload_bytes}), flush=True)
    return answered == len(photos)


def main() -> int:
    """Read the arguments and ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("question")
    parser.add_argument("--server", default=default_server())
    arguments = parser.parse_args()
    return 0 if asyncio.run(ask_about(arguments.folder, arguments.question, arguments.server)) else 1


if __name__ == "__main__":
    sys.exit(main())
