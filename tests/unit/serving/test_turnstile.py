"""Connections are read in turns, each turn for a bounded time; the clock and the event loop are the test's."""

from heliograph.serving.turnstile import SLICE_BYTES, TURN_S, Turnstile


class Loop:
    def __init__(self):
        self.now, self.soon, self.turns = 0.0, [], []
        self.turnstile = Turnstile(self.soon.append, lambda: self.now)

    def run(self, most_turns=10_000):
        """Each turn runs what was there when it began; how long each took is noted."""
        while self.soon and len(self.turns) < most_turns:
            due, began_s = self.soon[:], self.now
            self.soon.clear()
            for call in due:
                call()
            self.turns.append(self.now - began_s)


class Sender:
    def __init__(self, loop, size, cost_s=0.0):
        self.loop, self.left, self.cost_s, self.done_s = loop, size, cost_s, None

    def read_slice(self, most_bytes):
        self.loop.now += self.cost_s
        self.left = max(0, self.left - most_bytes)
        if not self.left:
            self.done_s = self.loop.now
        return self.left > 0


def test_costly_data_is_read_over_many_turns():
    loop = Loop()
    loop.turnstile.queue(Sender(loop, 200 * SLICE_BYTES, cost_s=TURN_S / 2))
    loop.run()
    assert len(loop.turns) == 100
    assert max(loop.turns) <= 1.5 * TURN_S


def test_the_time_of_a_turn_is_shared_by_all_connections():
    loop = Loop()
    for _ in range(64):
        loop.turnstile.queue(Sender(loop, 10 * SLICE_BYTES, cost_s=TURN_S))
    loop.run()
    assert max(loop.turns) <= 1.5 * TURN_S


def test_a_small_message_waits_for_one_slice_of_each_of_the_others():
    loop = Loop()
    for _ in range(8):
        loop.turnstile.queue(Sender(loop, 10_000 * SLICE_BYTES, cost_s=TURN_S))
    device = Sender(loop, 60)
    loop.turnstile.queue(device)
    loop.run(most_turns=20)
    assert device.done_s <= 8.5 * TURN_S


def test_cheap_data_is_read_in_one_turn():
    loop = Loop()
    sender = Sender(loop, 1 << 20)
    loop.turnstile.queue(sender)
    loop.run()
    assert (sender.left, len(loop.turns)) == (0, 1)


def test_a_connection_is_queued_once_and_again_when_it_has_more():
    loop = Loop()
    sender = Sender(loop, SLICE_BYTES)
    for _ in range(3):
        loop.turnstile.queue(sender)
    assert len(loop.soon) == 1
    loop.run()
    assert len(loop.turns) == 1
    sender.left = SLICE_BYTES
    loop.turnstile.queue(sender)
    loop.run()
    assert (sender.left, len(loop.turns)) == (0, 2)
