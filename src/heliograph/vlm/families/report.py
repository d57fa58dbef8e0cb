"""``python -m heliograph.vlm.families.report docs/vlms.md``: checks every family and writes what was found.

Two files: ``families.json`` beside this module, which ``heliograph doctor --vlms`` shows, and a page for people.
Neither is ever written by hand; a test checks every family again and compares.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from heliograph.vlm.families.contract import EXACT, SIDE_BY_SIDE, Verdict, check_family, families
from heliograph.vlm.families.records import RECORDS, read_records

_COMMAND = "python -m heliograph.vlm.families.report docs/vlms.md"


def check_all() -> list[Verdict]:
    """The contract on all families, with a line on standard error for each."""
    found = []
    for kind in sorted(families()):
        found.append(check_family(kind))
        print(f"{kind}: {found[-1].outcome}", file=sys.stderr, flush=True)
    return found


def write_records(verdicts: Sequence[Verdict]) -> None:
    """``families.json``."""
    text = {
        "transformers": version("transformers"),
        "torch": version("torch"),
        "families": [asdict(v) for v in verdicts],
    }
    RECORDS.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


def page() -> str:
    """The page, from ``families.json``."""
    records = read_records()
    exact = [r for r in records.families if r["outcome"] == EXACT]
    rows = [
        f"| `{r['kind']}` | {r['model']} | {_text(r['outcome'])} | {_tokens(r['tokens'])} "
        f"| {_text(r['side_by_side'] or '')} |"
        for r in records.families
    ]
    together = [r for r in exact if r["side_by_side"] == SIDE_BY_SIDE]
    return f"""# Which vision-language models the tap fits

Written by `{_COMMAND}`; not by hand.

Of the {len(records.families)} families that transformers {records.transformers} offers for questions about pictures,
{len(exact)} are exact: a tiny random model of the family gives the same logits and greedy answers, bit for bit
(float32, CPU, torch {records.torch}), from tokens that were sent as from the photos themselves; for one photo, for two,
and for two of different sizes or with more tiles where the family can. *Tokens*: rows and channels of one tiny photo;
levels that the language model adds to deeper layers travel as more channels.

What is checked is the border between vision tower and language model, on random weights. Processors, prompts and codecs
are another matter: `heliograph` answers through its server with the families that
[other models](howto/other-models.md) names.

*Side by side*: whether several sequences in one pass have the logits that each has alone, so that a cloud can answer
their questions at the same time ({len(together)} of the exact ones); else why such a model answers one at a time. A
checkpoint is tried once more, with a photo and against its own `generate`, when it is first asked side by side
([decision 0044](decisions/0044-continuous-batching.md)).

| family | model | outcome | tokens | side by side |
| --- | --- | --- | --- | --- |
{chr(10).join(rows)}
"""


def _text(outcome: str) -> str:
    return outcome.replace("|", "\\|")


def _tokens(found: Sequence[int] | None) -> str:
    return "" if found is None else " x ".join(map(str, found))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    arguments = parser.parse_args()
    write_records(check_all())
    arguments.page.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
