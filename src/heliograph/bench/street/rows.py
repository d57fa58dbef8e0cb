"""Rows and the table of the suite ``street``: every way at every setting, and the uncompressed path beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from heliograph.bench.metrics import ALL
from heliograph.bench.results import Row, Table
from heliograph.bench.scores import Mean
from heliograph.bench.semantic import SemanticConsistency
from heliograph.bench.stats import Interval, resampling_weights
from heliograph.bench.street.agreement import Agreement, mean_of
from heliograph.bench.street.asked import (
    KIND_TASK,
    NUMBER_TASK,
    PRESENCE_TASK,
    QUESTIONS,
    Answered,
)
from heliograph.bench.street.judge import Measured
from heliograph.bench.street.sent import Sent
from heliograph.training.field.photos import Photo
from heliograph.training.field.questions import Known

TASKS = (PRESENCE_TASK, NUMBER_TASK, KIND_TASK)
SENTENCES = "Answers by task, and people's sentences"
_HEAD = (
    *("strategy", "setting", "payload bytes", "agreement % (balanced)", "with a margin", "as counted"),
    *(*TASKS, "presence right % (balanced)", "caption loss, nats a token", "picked of ten %"),
)


@dataclass(frozen=True)
class Standards:
    """What answers are held against.

    Attributes:
        agreement: the uncompressed path's answers.
        truth: what people wrote, of the captioned photos, which come first.
        wanted: the uncompressed answers in words, (I, Q).
        sentence_tokens: (S,) tokens of the own captions.
        semantics: measures semantic consistency; None leaves it out.
    """

    agreement: Agreement
    truth: Agreement
    wanted: Sequence[Sequence[str]]
    sentence_tokens: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    semantics: SemanticConsistency | None

    def right(self, answers: Answered) -> Mean:
        """Balanced accuracy of yes and no about things that captions of some photos name and of others do not."""
        held = self.truth.photos
        return self.truth.balanced(Answered(answers.places[:held], answers.leads[:held]), PRESENCE_TASK)

    def consistency(self, answers: Answered) -> Mean | None:
        """Mean semantic consistency."""
        if self.semantics is None:
            return None
        pairs = zip(answers.texts(QUESTIONS), self.wanted, strict=True)
        return mean_of(np.array([float(np.mean(self.semantics.scores(*pair))) for pair in pairs]))

    @cached_property
    def floor(self) -> float | None:
        """Semantic consistency of unrelated answers."""
        if self.semantics is None:
            return None
        return self.semantics.floor([text for row in self.wanted for text in row])


def truth_of(photos: Sequence[Photo]) -> Agreement:
    """What captions say of presence; a thing that no caption of a photo names is not there."""
    asked = [one for one in QUESTIONS if one.thing]
    places = np.array([[int(bool(Known(photo).presence(one.thing))) for one in asked] for photo in photos], np.int16)
    return Agreement(Answered(places, np.full(places.shape, np.inf, np.float32)), asked)


def rows_of(one: Measured, standards: Standards) -> list[Row]:
    """A row of all questions together, then one of each task that has questions that count."""
    sent, consistency = one.sent, standards.consistency(one.answers)
    means = {name: _sent_mean(sent, name) for name in ("payload", "wire", "encode_ms", "decode_ms")}
    right = standards.right(one.answers)
    made = []
    for task in (ALL, *TASKS):
        chosen = None if task == ALL else task
        if not standards.agreement.counting(chosen):
            continue
        agreement = standards.agreement.balanced(one.answers, chosen)
        led = standards.agreement.asked(chosen, margin=True)
        sure = standards.agreement.balanced(one.answers, chosen, margin=True) if led else None
        accuracy = right if task == PRESENCE_TASK and not np.isnan(right.value) else None
        made.append(
            Row(
                strategy=sent.strategy,
                setting=sent.setting,
                task=task,
                questions=standards.agreement.asked(chosen),
                accuracy=_value(accuracy),
                accuracy_ci=_interval(accuracy),
                agreement=agreement.value,
                agreement_ci=agreement.interval,
                sure_agreement=_value(sure),
                sure_agreement_ci=_interval(sure),
                payload_bytes=_value(means["payload"]),
                payload_bytes_ci=_interval(means["payload"]),
                wire_bytes=_value(means["wire"]),
                wire_bytes_ci=_interval(means["wire"]),
                source="modelled",  # as wire bytes are, by the sessions of both ends
                encode_ms=_value(means["encode_ms"]),
                encode_ms_ci=_interval(means["encode_ms"]),
                decode_ms=_value(means["decode_ms"]),
                decode_ms_ci=_interval(means["decode_ms"]),
                consistency=_value(consistency) if task == ALL else None,
                consistency_ci=_interval(consistency) if task == ALL else None,
            )
        )
    return made


def sentence_table(measured: Sequence[Measured], standards: Standards) -> Table:
    """Every way at every setting on a line."""
    return Table(SENTENCES, _HEAD, tuple(_line(one, standards) for one in measured))


def caption_loss(one: Measured, standards: Standards) -> Mean:
    """Nats a token of the photos' own captions."""
    weights, tokens = resampling_weights(len(one.captions.nats)), standards.sentence_tokens
    return Mean(float(one.captions.nats.sum() / tokens.sum()), (weights @ one.captions.nats) / (weights @ tokens))


def _sent_mean(sent: Sent, name: str) -> Mean | None:
    """Mean over photos; None where nothing was sent."""
    return mean_of(getattr(sent, name)) if sent.payload.any() else None


def _value(found: Mean | None) -> float | None:
    return None if found is None else found.value


def _interval(found: Mean | None) -> Interval | None:
    return None if found is None else found.interval


def _line(one: Measured, standards: Standards) -> tuple[str, ...]:
    agreement = standards.agreement
    tasks = [_share(agreement.balanced(one.answers, task)) for task in TASKS]
    loss = caption_loss(one, standards)
    return (
        one.sent.strategy,
        one.sent.setting,
        f"{one.sent.payload.mean():.0f}" if one.sent.payload.any() else "",
        _share(agreement.balanced(one.answers)),
        _share(agreement.balanced(one.answers, margin=True)),
        _share(agreement.plain(one.answers)),
        *tasks,
        _share(standards.right(one.answers)),
        _between(loss, "{:.2f}", 1),
        _share(mean_of(one.captions.picked)),
    )


def _share(found: Mean) -> str:
    return "" if np.isnan(found.value) else _between(found, "{:.1f}", 100)


def _between(found: Mean, form: str, factor: float) -> str:
    text = form.format(factor * found.value)
    if found.interval is None:
        return text
    return f"{text} [{', '.join(form.format(factor * end) for end in found.interval)}]"
