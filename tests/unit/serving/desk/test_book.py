"""What is counted and held of a photo, a question and a session, in numbers worked out by hand. No sockets."""

import re
from array import array
from sys import getsizeof

import numpy as np
import pytest

from desk_talk import Talk
from heliograph.serving.desk.photo import NOTHING, Photo
from heliograph.serving.holding import Account, Holdings
from heliograph.serving.jobs import AnswerJob, Purpose
from heliograph.serving.kept import KeptSessions, Owner
from heliograph.serving.limits import Limits
from heliograph.serving.metrics import Metrics
from heliograph.types import Answer, Grid, VisualTokens


def tokens(value=1.0):
    return VisualTokens(np.full((4, 2), value, np.float32), Grid(2, 2))


# ---- a photo ---------------------------------------------------------------------------------------------
def test_the_longest_prefix_that_was_restored_is_kept():
    photo = Photo("klt", b"h")
    for _ in range(3):
        photo.add(b"x", 1.0)
    two, three = tokens(2.0), tokens(3.0)
    assert photo.newest_tokens() is None
    photo.note_tokens(two, 2)
    assert photo.newest_tokens() is None
    photo.note_tokens(three, 3)
    photo.note_tokens(two, 2)  # an older job came late
    photo.note_tokens(None, 3)
    assert photo.newest_tokens() is three
    photo.note_tokens(two, 3)  # the same prefix again
    assert photo.newest_tokens() is three
    photo.drop_tokens()
    assert (photo.tokens, photo.tokens_segments) == (None, NOTHING)
    photo.note_tokens(tokens(0.0), 0)
    assert photo.tokens_segments == 0


def test_the_memory_of_a_photo_grows_with_what_it_holds():
    photo = Photo("klt", b"h", now=2.0)
    empty = photo.held_bytes
    assert empty == 700 + getsizeof(bytearray()) + getsizeof(array("I")) + getsizeof(array("d"))
    photo.add(b"x" * 1000, 3.0)
    segment = photo.held_bytes
    assert empty + 1000 + 4 + 8 <= segment <= empty + 1500
    photo.note_tokens(tokens(), 1)
    assert photo.held_bytes == segment + 4 * 2 * 4
    whole = np.zeros((100, 2), np.float32)
    photo.note_tokens(VisualTokens(whole[:4], Grid(2, 2)), 2)
    assert photo.held_bytes == segment + 100 * 2 * 4  # a view keeps the whole of it alive
    assert (photo.used_s, photo.news_s, photo.finished) == (3.0, 3.0, False)
    begun = Photo("klt", b"h", 7, now=2.0)
    assert (begun.used_s, begun.news_s, begun.total_segments) == (2.0, 2.0, 7)
    assert (Photo("klt", b"h").used_s, Photo("klt", b"h").total_segments) == (0.0, 0)


# ---- a question -------------------------------------------------------------------------------------------
def test_the_memory_of_a_question_grows_with_its_text_and_its_draft():
    talk = Talk()
    talk.ask(0, text="w")
    talk.ask(1, text="w" * 1001)
    short, long = (question.held_bytes for question in talk.desk.questions.values())
    assert long - short == 1000
    assert short == 2600 + getsizeof("w")
    talk.desk.questions[0].draft = Answer("", 0.5, 1.0, (), token_bits=())
    bare = talk.desk.questions[0].held_bytes
    talk.desk.questions[0].draft = Answer("", 0.5, 1.0, (1, 2, 3), token_bits=(0.5, 0.5))
    assert talk.desk.questions[0].held_bytes - bare == 3 * (8 + 32) + 2 * (8 + 24)  # places and numbers


def test_a_desk_holds_its_photos_and_questions():
    talk = Talk()
    assert talk.desk.held_bytes == 0
    talk.photo(0)
    talk.ask(0)
    assert talk.desk.held_bytes == talk.desk.photos[0].held_bytes + talk.desk.questions[0].held_bytes
    talk.desk.forget(0)
    assert talk.desk.held_bytes == 0


def test_only_a_draft_is_not_final():
    made = {p: AnswerJob(0, 0, None, None, None, None, p).final for p in Purpose}
    assert made == {Purpose.DRAFT: False, Purpose.FINAL: True, Purpose.LOOK: True, Purpose.SECOND: True}


# ---- the server ---------------------------------------------------------------------------------------------
class Tenant:
    """A session that gives back ``spare`` bytes, or everything."""

    def __init__(self, metrics, held, spare, log):
        self.account, self.spare, self.log = Account(metrics), spare, log
        self.account.set(held)

    def shed(self):
        self.log.append(("shed", self.account.held_bytes))
        self.account.set(self.account.held_bytes - self.spare)

    def evict(self):
        self.log.append(("evict", self.account.held_bytes))
        self.account.close()


class Shelf:
    def __init__(self, metrics, held, log):
        self.accounts, self.log = [Account(metrics) for _ in held], log
        for account, size in zip(self.accounts, held, strict=True):
            account.set(size)

    def drop_one(self):
        self.log.append("drop")
        if not self.accounts:
            return False
        self.accounts.pop().close()
        return True


@pytest.mark.parametrize(
    ("most", "done"),
    [
        (165, []),
        (164, [("shed", 70)]),
        (150, [("shed", 70), ("shed", 50)]),
        (135, [("shed", 70), ("shed", 50), ("shed", 30), "drop"]),
        (130, [("shed", 70), ("shed", 50), ("shed", 30), "drop", "drop"]),
        (120, [("shed", 70), ("shed", 50), ("shed", 30), "drop", "drop", "drop", ("evict", 60)]),
        (0, [("shed", 70), ("shed", 50), ("shed", 30), "drop", "drop", "drop", *[("evict", n) for n in (60, 40, 25)]]),
    ],
)
def test_room_is_made_from_what_can_be_spared_and_the_largest_go_first(most, done):
    """Sessions of 50, 70 and 30 with 10, 10 and 5 to spare; two kept ones of 10 and 5."""
    metrics, log = Metrics(), []
    holdings = Holdings(metrics, most)
    for held, spare in ((50, 10), (70, 10), (30, 5)):
        holdings.move_in(Tenant(metrics, held, spare, log))
    shelf = Shelf(metrics, (10, 5), log)
    assert holdings.full is (most < 165)
    if holdings.full:
        holdings.make_room(shelf)
    assert log == done
    assert metrics.held_bytes_open <= most


def test_who_has_moved_out_gives_nothing():
    metrics, log = Metrics(), []
    holdings = Holdings(metrics, 10)
    tenant = Tenant(metrics, 50, 10, log)
    holdings.move_in(tenant)
    holdings.move_out(tenant)
    holdings.move_out(tenant)
    holdings.make_room(Shelf(metrics, (), log))
    assert log == ["drop"]


def test_what_may_not_be_held_for_long_is_not_kept_for_longer():
    assert Limits(keep_s=120.0).longest_kept_s == 120.0
    assert Limits(keep_s=120.0, retain_s=60.0).longest_kept_s == 60.0
    assert Limits(keep_s=30.0, retain_s=60.0).longest_kept_s == 30.0


def test_every_counter_is_one_line_of_its_kind_with_its_help():
    metrics = Metrics(sessions_open=3, questions_total=5, model_seconds_total=1.5)
    text = metrics.render()
    assert "\n# TYPE heliograph_sessions_open gauge\nheliograph_sessions_open 3\n" in text
    assert "\n# TYPE heliograph_questions_total counter\nheliograph_questions_total 5\n" in text
    assert "\nheliograph_model_seconds_total 1.5\n" in text
    names = re.findall(r"^heliograph_(\w+) ", text, re.M)
    assert names == list(vars(metrics))
    assert re.findall(r"^# HELP heliograph_(\w+) [A-Z].*\.$", text, re.M) == names
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_a_session_is_served_until_it_ends_and_to_its_owner_alone():
    kept = KeptSessions(60.0, 4, 1 << 20, lambda: 0.0)
    ann, ben = Owner(b"ann" * 8, b"ann"), Owner(b"ben" * 8, b"ben")
    kept.serve(b"token", object(), ann)
    assert kept.is_served(b"token", ann)
    assert not kept.is_served(b"token", ben)
    assert not kept.is_served(b"other", ann)
    kept.end(b"token")
    kept.end(b"token")
    assert not kept.is_served(b"token", ann)
