"""The bounds of a server as they are published (docs/protocol.md, decision record 0021), in bytes and seconds."""

from heliograph.serving.access_log import AccessLog
from heliograph.serving.limits import Limits, bounds
from heliograph.serving.metrics import Metrics

KIB, MIB = 1024, 1024 * 1024

PUBLISHED = {
    "max_sessions": 64,
    "max_sessions_per_address": 48,
    "max_ungreeted": 256,
    "max_ungreeted_bytes": 32 * MIB,
    "max_per_address": 64,
    "request_timeout_s": 30.0,
    "hello_timeout_s": 15.0,
    "refusal_delay_s": 10.0,
    "idle_timeout_s": 300.0,
    "send_timeout_s": 120.0,
    "max_held_bytes": 512 * MIB,
    "max_unsent_bytes": 256 * KIB,
    "retain_s": None,
    "keep_s": 120.0,
    "max_kept_sessions": 64,
    "max_kept_bytes": 64 * MIB,
    "max_batch_tokens": 1,
    "draft_patience": 0.25,
    "shed_drafts_s": 2.0,
    "shed_looks_s": 5.0,
    "refuse_s": 30.0,
    "question_timeout_s": 120.0,
    "max_regions": 32,
    "region_timeout_s": 20.0,
}


def test_the_defaults_are_the_published_ones():
    assert {bound.name: bound.default for bound in bounds()} == PUBLISHED
    assert {name: getattr(Limits(), name) for name in PUBLISHED} == PUBLISHED


def test_a_new_server_has_counted_nothing():
    assert set(vars(Metrics()).values()) == {0}


def test_texts_are_kept_out_of_the_access_log_unless_somebody_asks_for_them():
    assert AccessLog().with_texts is False
