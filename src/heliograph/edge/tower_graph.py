"""The blocks of a transformer within an encoder's graph: found by what is joined to what, by no name and no family.

::

    hidden (1, P, d) ──LayerNormalization── queries, keys, values (1, P, width) ── softmax(s Q K^T) V = mixed (1, P, w)
      └──────────────────────────── Add ◄── product ◄────────────────────────────────────────────────────────┘
    attended (1, P, d) ──LayerNormalization── MLP ──► Add ► the next block's hidden

Attention is a ``Softmax`` between two products or one fused ``MultiHeadAttention``. Nothing is exported for this: the
values named here are in every graph that a tower of this kind was traced to, in float or in eight bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from heliograph.codec.onnx_graph import Network, Node
from heliograph.edge.attention import AttentionFacts
from heliograph.errors import ModelUnsupportedError

_NORM, _FUSED, _SOFTMAX, _PRODUCT, _SUM = "LayerNormalization", "MultiHeadAttention", "Softmax", "MatMul", "Add"
_SHAPING = frozenset({"Reshape", "Transpose", "Cast", "Squeeze", "Unsqueeze", "Identity"})
_SCALING = frozenset({"Mul", "Div"})
_HEADS_RANK = 4  # (1, positions, heads, head size)
_MAX_STEPS = 64


@dataclass(frozen=True)
class Block:
    """One block's values.

    Attributes:
        hidden: (1, P, d) states that it is given.
        queries, keys, values: (1, P, width), heads side by side.
        mixed: (1, P, width), what the heads give.
        attended: (1, P, d) states between attention and MLP.
        after: (1, P, d) states that it gives.
        facts: of its attention.
    """

    hidden: str
    queries: str
    keys: str
    values: str
    mixed: str
    attended: str
    after: str
    facts: AttentionFacts


def read_blocks(network: Network) -> tuple[Block, ...]:
    """The blocks, first one first.

    Raises:
        ModelUnsupportedError: it is no such tower, as a convolutional one.
    """
    reader = _Reader(network)
    made = [reader.block(node) for node in network.nodes if node.operator in (_SOFTMAX, _FUSED)]
    blocks = tuple(one for one in made if one is not None)
    joined = all(one.after == other.hidden for one, other in pairwise(blocks))
    if not blocks or len(blocks) != len(made) or not joined:
        raise ModelUnsupportedError().noted("the encoder of this bundle has no attention that can be read.")
    return blocks


class _Reader:
    def __init__(self, network: Network) -> None:
        self._network = network

    def block(self, node: Node) -> Block | None:
        """The block around an attention; None where it is none of this kind."""
        found = self._fused(node) if node.operator == _FUSED else self._plain(node)
        if found is None:
            return None
        (queries, keys, values), mixed, facts = found
        hidden = self._normed(queries)
        attended = None if hidden is None else self._added(hidden, mixed)
        after = None if attended is None else self._added(attended, attended)
        if hidden is None or attended is None or after is None:
            return None
        return Block(hidden, queries, keys, values, mixed, attended, after, facts)

    def _fused(self, node: Node) -> tuple[tuple[str, str, str], str, AttentionFacts] | None:
        numbers = self._network.numbers(node)
        if "num_heads" not in numbers or "scale" not in numbers or [*map(bool, node.inputs)] != [True] * 3:
            return None
        query, key, value = node.inputs
        facts = AttentionFacts.of(float(numbers["num_heads"][0]), float(numbers["scale"][0]))
        return None if facts is None else ((query, key, value), node.outputs[0], facts)

    def _plain(self, node: Node) -> tuple[tuple[str, str, str], str, AttentionFacts] | None:
        name, scale = self._back(node.inputs[0], _SCALING)
        scores, weighed = self._network.maker(name), self._network.users(self._forward(node.outputs[0]))
        if scores is None or scores.operator != _PRODUCT or len(weighed) != 1 or weighed[0].operator != _PRODUCT:
            return None
        (query, by), (key, also) = (self._back(one, _SCALING | _SHAPING) for one in scores.inputs)
        value, _ = self._back(weighed[0].inputs[1], _SHAPING)
        facts = AttentionFacts.of(*self._heads(query, scale * by * also))
        return None if facts is None else ((query, key, value), self._forward(weighed[0].outputs[0]), facts)

    def _back(self, name: str, through: frozenset[str]) -> tuple[str, float]:
        """Where a value comes from, behind operators that only scale or shape it; and by what it was scaled."""
        scale = 1.0
        while (node := self._network.maker(name)) is not None and node.operator in through:
            if node.operator not in _SCALING:
                name = node.inputs[0]
                continue
            constants = [self._network.constant(one) for one in node.inputs]
            factor = next((one for one in constants if one is not None and len(one) == 1), None)
            if factor is None or (constants[0] is not None and node.operator == "Div"):
                break
            scale = scale * float(factor[0]) if node.operator == "Mul" else scale / float(factor[0])
            name = node.inputs[0] if constants[0] is None else node.inputs[1]
        return name, scale

    def _forward(self, name: str) -> str:
        """A value after the operators that only shape it."""
        while len(users := self._network.users(name)) == 1 and users[0].operator in _SHAPING:
            name = users[0].outputs[0]
        return name

    def _heads(self, name: str, scale: float) -> tuple[float, float, float]:
        """Heads that a value is shaped into, the scale, and the size of one head; 0 or less for what is left open."""
        for node in self._network.users(name):
            shape = self._network.constant(node.inputs[1]) if node.operator == "Reshape" else None
            if shape is not None and len(shape) == _HEADS_RANK:
                return float(shape[2]), scale, float(shape[3])
        return 0.0, scale, 0.0

    def _normed(self, name: str) -> str | None:
        """What was normalised on the way to a value."""
        front = [name]
        for _ in range(_MAX_STEPS):
            makers = [node for one in front if (node := self._network.maker(one)) is not None]
            norm = next((node for node in makers if node.operator == _NORM), None)
            if norm is not None:
                return norm.inputs[0]
            front = [one for node in makers for one in node.inputs if one]
        return None

    def _added(self, stream: str, branch: str) -> str | None:
        """The sum of a stream and what was made of it on the way through ``branch``."""
        sums = [node for node in self._network.users(stream) if node.operator == _SUM]
        if len(sums) != 1 or not any(node.operator == _NORM for node in self._network.users(stream)):
            return None
        other = next((one for one in sums[0].inputs if one != stream), "")
        return sums[0].outputs[0] if self._reaches(branch, other) else None

    def _reaches(self, start: str, end: str) -> bool:
        front, seen = [end], set[str]()
        for _ in range(_MAX_STEPS):
            if start in front:
                return True
            makers = [node for one in front if (node := self._network.maker(one)) is not None]
            front = [one for node in makers for one in node.inputs if one not in seen]
            seen.update(front)
        return False
