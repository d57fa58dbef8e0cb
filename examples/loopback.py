"""A cloud and a device in one process: the shipped model, no network.

    python examples/loopback.py

Needs the extra `cloud`. The second question about the same photo sends no byte of it: the cloud still holds it.
"""

import asyncio

from heliograph.codec.bundle import Bundle
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.serving.cloud import Cloud
from heliograph.serving.service import CloudService
from heliograph.vlm.opening import open_model

QUESTIONS = ("describe the picture.", "how many objects are there?", "what is on the sign?")


async def main() -> None:
    """Ask the questions one after the other over one connection."""
    bundle = Bundle.load(shipped_bundle_folder())
    cloud = Cloud(open_model("reference"), bundle.codecs, bundle.hash, bundle.calibration)
    async with CloudService(cloud) as service, DeviceClient(service.connect, Device(bundle)) as client:
        for question in QUESTIONS:
            report = await client.ask(demo_photo_path(), question)
            print(f"{question} {report.answer} ({report.payload_bytes} bytes of photo)")


if __name__ == "__main__":
    asyncio.run(main())
