"""A session that is attended to, without sockets: the test is the device, the model and the clock."""

from types import SimpleNamespace

from desk_talk import Scripted
from heliograph.protocol.events import HelloReceived
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.question import Question
from heliograph.serving.attending import Attendant
from heliograph.serving.jobs import Outcome
from heliograph.types import Answer

HASH = b"8 bytes!"


class Attended:
    """A greeted session with its attendant; nothing runs by itself but timers."""

    def __init__(self, fake, cloud, **limits):
        self.shared, self.now = fake.shared_of(cloud, **limits), fake.now
        self.session, self.device = CloudSession(HASH, frozenset()), DeviceSession(HASH)
        self.outlet = SimpleNamespace(full=False, wakes=0, wake=self._wake)
        self.changes = []
        self.attendant = Attendant(self.session, self.shared, self.outlet, lambda: self.changes.append(1))
        self.metrics, self.desk = self.shared.metrics, self.attendant.desk
        self.device.start()
        self.say()

    def _wake(self):
        self.outlet.wakes += 1

    def ask(self, question_id=0, image_id=0, *says, **wishes):
        """Ask, with a controller that says what a test wants."""
        wishes = {"controller": "fixed", "target": 0, **wishes}
        self.device.ask(question_id, image_id, Question(f"question {question_id}", **wishes))
        self.say()
        controller = Scripted(*says)
        if question_id in self.desk.questions:
            self.desk.questions[question_id].controller = controller
        return controller

    def photo(self, image_id=0, segments=1, finish=False):
        self.device.announce_image(image_id, "klt", b"h")
        for _ in range(segments):
            self.device.send_segment(image_id, b"x")
        if finish:
            self.device.finish_image(image_id)
        self.say()

    def say(self):
        data = self.device.bytes_to_send()
        for event in self.session.receive(data, self.now()) if data else ():
            if not isinstance(event, HelloReceived):
                self.attendant.on_event(event)

    def hear(self):
        """What the device has been told since the last time, the greeting left out."""
        data = self.session.bytes_to_send()
        return self.device.receive(data, 0.0) if data else []

    def kinds(self):
        return [type(event) for event in self.hear()]

    def answered(self, text="red", confidence=0.5, **outcome):
        job = self.attendant.next_job()
        self.attendant.deliver(job, Outcome(Answer(text, confidence, 1.0, (7,)), **outcome))
        return job

    def made(self, **outcome):
        job = self.attendant.next_job()
        self.attendant.deliver(job, Outcome(**outcome))
        return job
