"""A NAT that forgets a flow, made of network namespaces and a router that drops packets below TCP."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.bench.hardening.forgotten_flow import measure_forgotten_flow
from heliograph.bench.hardening.namespaces import why_not
from heliograph.bench.tasks import scene_items
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.serving.opening import load_cloud
from heliograph.serving.web.application import CloudApplication

REASON = why_not()
TIMEOUT_S = 300.0


@pytest.mark.skipif(bool(REASON), reason=REASON)
def test_a_question_on_a_forgotten_flow_is_answered_long_before_its_time_is_over(reference_pair: Any) -> None:
    """Noticed at all: otherwise the question ends unanswered. How soon is published with the other figures."""
    device = Device(Bundle.load(reference_pair.bundle))
    photo = next(iter(scene_items(8_010_000, 1, descriptions=False))).photo
    device.encode(photo, device.preferred_strategy)  # loads the networks
    application = CloudApplication(load_cloud(str(reference_pair.model), reference_pair.bundle))
    measured = measure_forgotten_flow(application, device, photo, TIMEOUT_S)
    assert measured.reconnections == 1
    assert measured.same_answer
    assert measured.payload_bytes == 0  # the cloud had kept the photo
    assert measured.next_s < TIMEOUT_S / 4
    assert application.metrics.sessions_open <= 1  # the fresh client's may still be closing
