"""Helps tests of plug-ins: the shipped model as a cloud, and a device with the shipped bundle, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from heliograph.codec.bundle import Bundle
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.report import AskReport
from heliograph.question import Question
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder, shipped_model_folder
from heliograph.serving.cloud import Cloud
from heliograph.serving.service import CloudService
from heliograph.vlm.opening import open_model


@asynccontextmanager
async def serving_in_process() -> AsyncIterator[CloudService]:
    """A cloud over the shipped model and bundle."""
    async with CloudService(_cloud()) as service:
        yield service


def ask_in_process(question: str | Question, **how: Any) -> AskReport:
    """One question about the shipped photo, to such a cloud.

    Args:
        question: to ask.
        how: further arguments of :meth:`heliograph.edge.client.DeviceClient.ask`.

    Raises:
        HeliographError: whatever goes wrong at either end.
    """

    async def asked() -> AskReport:
        async with serving_in_process() as service, DeviceClient(service.connect, Device(_bundle())) as client:
            return await client.ask(demo_photo_path(), question, **how)

    return asyncio.run(asked())


@cache
def _bundle() -> Bundle:
    return Bundle.from_pretrained(shipped_bundle_folder())


@cache
def _cloud() -> Cloud:
    bundle = _bundle()
    model = open_model(str(shipped_model_folder()))
    return Cloud(
        model, bundle.codecs, bundle.hash, bundle.calibration, familiarity=bundle.familiarity, parts=bundle.part
    )
