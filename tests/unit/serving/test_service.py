"""A service from within its process: what its connections share, how it begins and how it ends."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from heliograph.protocol.events import FinalReceived
from heliograph.protocol.session import DeviceSession
from heliograph.serving import service as service_module
from heliograph.serving.access_log import AccessLog
from heliograph.serving.limits import Limits
from heliograph.serving.metrics import Metrics
from heliograph.serving.service import CloudService

HASH = b"8 bytes!"


async def answer_over(end):
    """What a device hears that asks over this end of a connection."""
    session = DeviceSession(HASH)
    session.start()
    session.ask(0, 0, "what")
    session.announce_image(0, "klt", b"")
    session.send_segment(0, b"x")
    session.finish_image(0)
    await end.send(session.bytes_to_send())
    while True:
        for event in session.receive(await end.receive(), 0.0):
            if isinstance(event, FinalReceived):
                return event.text


def test_a_device_in_the_same_process_is_connected_and_let_go_with_the_service(cloud):
    async def whole():
        async with CloudService(cloud) as service:
            text = await answer_over(await service.connect())
            working = list(service._working)
        return text, [task.done() for task in working]

    assert asyncio.run(whole()) == ("what seen at 1", [True, True, True])


@pytest.mark.parametrize("given", [True, False])
def test_what_a_service_is_given_is_what_its_connections_share(cloud, given):
    metrics, events, log, limits = Metrics(), [], AccessLog(with_texts=True), Limits(keep_s=5.0, draft_patience=0.5)
    keys = (b"k" * 32,)
    options = {"keys": keys, "metrics": metrics, "trace": lambda *event: events.append(event), "access_log": log}
    service = CloudService(cloud, frozenset({"right"}), limits, **options) if given else CloudService(cloud)
    shared = service._shared
    assert service.turns is shared.turns
    assert (shared.trace is not None) is given
    shared.patience.note_answer(4.0)
    if given:
        assert (shared.metrics, shared.access_log, shared.limits, shared.keys) == (metrics, log, limits, keys)
        assert (shared.access_tokens, shared.patience.wait_s) == ({"right"}, 2.0)
    else:
        assert (shared.limits, shared.keys, shared.access_tokens) == (Limits(), (), frozenset())
        assert (shared.access_log, shared.patience.wait_s) == (AccessLog(), 1.0)
        assert shared.metrics == Metrics()
    shared.scheduler.close()


def test_plug_ins_that_cannot_be_used_are_named_before_the_first_device_comes(cloud, monkeypatch, caplog):
    registries = [
        SimpleNamespace(faults=lambda: [("good", None), ("bad", "a plug-in cannot be used")]),
        SimpleNamespace(faults=lambda: []),
        SimpleNamespace(faults=lambda: [("worse", "another one neither")]),
    ]
    for name, registry in zip(("STRATEGIES", "CONTROLLERS", "REGION_POLICIES"), registries, strict=True):
        monkeypatch.setattr(service_module, name, registry)
    with caplog.at_level(logging.WARNING, "heliograph.serving"):
        CloudService(cloud)
    assert [one.getMessage() for one in caplog.records] == ["a plug-in cannot be used", "another one neither"]
