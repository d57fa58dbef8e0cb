"""A question as numbers for small networks: its words, hashed, in their order; needs no tokenizer."""

from __future__ import annotations

import re
import zlib

import numpy as np
import numpy.typing as npt

MAX_WORDS = 20
BUCKETS = 511
NO_WORD = 0


def question_words(question: str) -> npt.NDArray[np.int64]:
    """(1, 20) int64: the bucket, 1 to 511, of each of the first twenty words, and 0 behind the last."""
    found = np.zeros((1, MAX_WORDS), dtype=np.int64)
    for place, word in enumerate(re.findall(r"\w+", question.lower())[:MAX_WORDS]):
        found[0, place] = 1 + zlib.crc32(word.encode()) % BUCKETS
    return found
