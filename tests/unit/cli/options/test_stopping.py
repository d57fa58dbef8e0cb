"""What ``--target`` alone means."""

from __future__ import annotations

import argparse

from heliograph.cli.options.stopping import add_length_option, add_stop_options, question_from


def test_a_target_alone_leaves_the_controller_to_the_bundle() -> None:
    parser = argparse.ArgumentParser()
    add_stop_options(parser)
    add_length_option(parser)
    arguments = parser.parse_args(["--target", "0.9"])
    arguments.question, arguments.budget = "what?", None
    question = question_from(arguments)
    assert (question.controller, question.target) == (None, 230)
    assert question.completed(calibrated=True).controller == "push"
    assert question.completed(calibrated=False).controller == "energy"
