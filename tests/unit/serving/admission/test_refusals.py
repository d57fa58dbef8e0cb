"""Wrong tokens: how long they wait, what the log says, and that neither grows without bound."""

from heliograph.serving.admission.refusals import OTHERS, Refusals


class Log:
    def __init__(self, longest_delay_s=10.0, now=5000.0):
        self.now, self.lines = now, []
        self.refusals = Refusals(longest_delay_s, lambda: self.now, lambda *line: self.lines.append(line))


def test_the_answer_comes_ever_later_up_to_a_bound():
    log = Log()
    delays = [log.refusals.note("a") for _ in range(12)]
    assert delays == [0, 0, 0, 0.25, 0.5, 1, 2, 4, 8, 10, 10, 10]
    assert log.refusals.note("b") == 0
    assert [Log(0).refusals.note("a") for _ in range(5)] == [0] * 5


def test_a_very_long_attack_overflows_nothing():
    log = Log()
    assert [log.refusals.note("a") for _ in range(5000)][-1] == 10


def test_an_address_that_was_quiet_for_long_begins_anew():
    log = Log()
    for _ in range(20):
        log.refusals.note("a")
    log.now += 600
    assert log.refusals.note("a") == 10
    log.now += 601
    assert log.refusals.note("a") == 0


def test_one_line_an_address_and_minute_tells_how_many():
    log = Log()
    for _ in range(420):
        log.refusals.note("a")
        log.now += 5 / 420
    log.refusals.note("b")
    log.refusals.tell()
    assert log.lines == [("a", 1), ("b", 1)]
    log.now += 60
    log.refusals.tell()
    assert log.lines == [("a", 1), ("b", 1), ("a", 419)]
    log.now += 60
    log.refusals.tell()
    assert len(log.lines) == 3


def test_a_crowd_of_addresses_is_counted_together():
    log = Log()
    for number in range(10_000):
        log.refusals.note(f"a{number}")
    assert len(log.lines) == 20
    log.now += 61
    log.refusals.tell()
    assert log.lines[20:] == [(OTHERS, 10_000 - 20)]


def test_the_table_is_bounded_and_forgets_the_longest_quiet():
    log = Log()
    for _ in range(5):
        log.refusals.note("first")
    for number in range(4095):
        log.refusals.note(f"a{number}")
    assert log.refusals.note("first") == 1
    for number in range(4096):
        log.refusals.note(f"b{number}")
    assert log.refusals.note("first") == 0
    assert len(log.refusals._records) == 4096


def test_every_minute_has_lines_and_a_rest_of_its_own():
    """30 addresses a minute: 20 lines, and one for the other ten when the minute is over."""
    log = Log()
    for minute in range(3):
        for number in range(30):
            log.refusals.note(f"{minute}: {number}")
        assert len(log.lines) == 20
        assert OTHERS not in dict(log.lines)
        log.lines.clear()
        log.now += 60
        log.refusals.tell()
        assert log.lines == [(OTHERS, 10)]
        log.lines.clear()
    log.now += 60
    log.refusals.tell()
    assert log.lines == []


def test_a_minute_is_not_over_before_its_last_second():
    log = Log()
    for number in range(21):
        log.refusals.note(f"a{number}")
    log.lines.clear()
    log.now += 59.9
    log.refusals.tell()
    assert log.lines == []


def test_the_first_wrong_token_is_said_at_once_however_young_the_clock_is():
    log = Log(now=0.0)
    log.refusals.note("a")
    assert log.lines == [("a", 1)]


def test_who_was_quiet_for_over_ten_minutes_leaves_the_table_and_what_was_not_said_of_it_is():
    log = Log()
    for _ in range(3):
        log.refusals.note("a")
    log.now += 59  # its line is not due yet
    log.refusals.note("b")
    log.refusals._records["a"].next_line_s = 1e9
    log.now += 600 - 59
    log.refusals.tell()
    assert list(log.refusals._records) == ["a", "b"]
    log.now += 1
    log.refusals.tell()
    assert list(log.refusals._records) == ["b"]
    log.now += 60
    log.refusals.tell()
    assert log.lines == [("a", 1), ("b", 1), (OTHERS, 2)]
