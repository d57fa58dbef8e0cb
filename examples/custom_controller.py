"""A controller of your own: the more bytes a photo has cost, the less sure the answer has to be.

    python examples/custom_controller.py

Needs the extra `cloud`. A controller runs in the cloud and decides from an observation alone, so it can be tried
without one. Here both ends are in one process; between machines, both need the package that registers it
(docs/howto/add-a-controller.md).
"""

from heliograph.controllers.base import Controller, Decision, Enough, Observation, Wait, checked_target
from heliograph.question import Question
from heliograph.registry import CONTROLLERS
from heliograph.testing import ask_in_process

SURE_AT_FIRST, SURE_AT_LAST = 0.99, 0.5


class PatienceController(Controller):
    """Asks for a confidence that falls from 0.99 with the first byte to 0.5 with the byte that the target names.

    The target byte is in units of 4 bytes.
    """

    name = "patience"
    wire_id = 13  # of 12 to 15, chosen once and kept
    judges_answers = True

    def __init__(self, target: int) -> None:
        self.last_byte = 4 * max(checked_target(target), 1)

    @classmethod
    def from_target(cls, target: int) -> "PatienceController":
        """The controller for the target byte of a question."""
        return cls(target)

    def decide(self, observation: Observation) -> Decision:
        """Enough as soon as the newest draft is sure enough for what has arrived."""
        if observation.image_finished:
            return Enough()
        spent = min(observation.received_bytes / self.last_byte, 1.0)
        needed = SURE_AT_FIRST + (SURE_AT_LAST - SURE_AT_FIRST) * spent
        if observation.draft_confidence is not None and observation.draft_confidence >= needed:
            return Enough(take_draft=True)
        return Wait()


def main() -> None:
    """Show what it decides, and ask a question with it."""
    CONTROLLERS.register("patience", PatienceController)
    controller = PatienceController.from_target(50)
    for received, confidence in ((40, 0.85), (40, 0.95), (120, 0.85)):
        observation = Observation(received, segments=received // 8, draft_confidence=confidence)
        print(f"{received} bytes, {confidence:.0%} sure: {type(controller.decide(observation)).__name__}")
    report = ask_in_process(Question("what is on the sign?", controller="patience", target=50))
    print(f"{report.answer} ({report.payload_bytes} bytes of photo)")


if __name__ == "__main__":
    main()
