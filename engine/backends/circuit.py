"""Conditions as a circuit of and, or and not over facts, two bits each: whether it is true, and whether it is false; neither where nobody
knows. A fact is what one column alone says. It knows neither frames nor how facts are found out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Final, NamedTuple

NEVER: Final = 0
ALWAYS: Final = 1
AND, OR, AND_NOT, NOT, OUT = range(5)
"""What an instruction does: with two slots, with one, or hand a slot out."""


class Truth(NamedTuple):
    """The nodes that say that something is true, and that it is false."""

    yes: int
    no: int


class Leaf(NamedTuple):
    """A bit that comes from a column: `what` is `fact` or `denied`, of the fact with this number, or `known`; of a column of flags `true`
    or `false`."""

    what: str
    column: str
    number: int = 0


class Gate(NamedTuple):
    op: int
    left: int
    right: int


class Code(NamedTuple):
    """A circuit as instructions: (operation, slot to write, two slots to read). The first slots hold the `leaves`; there are `slots` in
    all. What is handed out goes to the place of its node in the list of those that were asked for."""

    leaves: tuple[Leaf, ...]
    instructions: tuple[tuple[int, int, int, int], ...]
    slots: int


class Circuit:
    """A circuit under construction; equal parts are one node.

    >>> made = Circuit()
    >>> big, known = made.leaf(Leaf("fact", "amount", 0)), made.leaf(Leaf("known", "amount"))
    >>> made.both(big, ALWAYS) == big, made.either(big, made.both(big, known)) != big, made.both(big, made.opposite(big)) == NEVER
    (True, True, True)
    """

    def __init__(self) -> None:
        self.nodes: list[Leaf | Gate | None] = [None, None]
        self._places: dict[Leaf | Gate, int] = {}

    def _node(self, node: Leaf | Gate) -> int:
        place = self._places.setdefault(node, len(self.nodes))
        if place == len(self.nodes):
            self.nodes.append(node)
        return place

    # --- bits ---

    def leaf(self, leaf: Leaf) -> int:
        return self._node(leaf)

    def both(self, a: int, b: int) -> int:
        if NEVER in (a, b) or self._opposed(a, b):
            return NEVER
        if a == b or b == ALWAYS:
            return a
        return b if a == ALWAYS else self._node(Gate(AND, min(a, b), max(a, b)))

    def either(self, a: int, b: int) -> int:
        if ALWAYS in (a, b) or self._opposed(a, b):
            return ALWAYS
        if a == b or b == NEVER:
            return a
        return b if a == NEVER else self._node(Gate(OR, min(a, b), max(a, b)))

    def opposite(self, a: int) -> int:
        if a in (NEVER, ALWAYS):
            return ALWAYS - a
        node = self.nodes[a]
        return node.left if isinstance(node, Gate) and node.op == NOT else self._node(Gate(NOT, a, a))

    def without(self, a: int, b: int) -> int:
        """`a` and not `b`."""
        if a in (NEVER, b) or b == ALWAYS:
            return NEVER
        if b == NEVER:
            return a
        return self.opposite(b) if a == ALWAYS else self._node(Gate(AND_NOT, a, b))

    def _opposed(self, a: int, b: int) -> bool:
        return Gate(NOT, a, a) in (self.nodes[b],) or Gate(NOT, b, b) in (self.nodes[a],)

    # --- truths ---

    def all_of(self, truths: Iterable[Truth]) -> Truth:
        """and3: true where all are, false where one is."""
        return reduce(lambda a, b: Truth(self.both(a.yes, b.yes), self.either(a.no, b.no)), truths, Truth(ALWAYS, NEVER))

    def any_of(self, truths: Iterable[Truth]) -> Truth:
        """or3: true where one is, false where all are."""
        return reduce(lambda a, b: Truth(self.either(a.yes, b.yes), self.both(a.no, b.no)), truths, Truth(NEVER, ALWAYS))

    def supposed(self, truth: Truth, what: bool) -> Truth:
        """The truth where it is known, else `what`."""
        return Truth(self.opposite(truth.no), truth.no) if what else Truth(truth.yes, self.opposite(truth.yes))

    def unknown(self, truth: Truth) -> int:
        return self.opposite(self.either(*truth))

    def differ(self, a: Truth, b: Truth) -> int:
        """Whether one is known and the other is not, or is the opposite."""
        parts = [self.without(one, other) for one, other in ((a.yes, b.yes), (b.yes, a.yes), (a.no, b.no), (b.no, a.no))]
        return reduce(self.either, parts, NEVER)

    # --- code ---

    def code(self, outputs: Sequence[int]) -> Code:
        """Instructions for these nodes, none of which is `NEVER` or `ALWAYS`; slots are used again as soon as nobody reads them."""
        needed = self._needed(outputs)
        leaves = [place for place in needed if isinstance(self.nodes[place], Leaf)]
        slots = {place: slot for slot, place in enumerate(leaves)}
        asked: dict[int, list[int]] = {}
        for number, place in enumerate(outputs):
            asked.setdefault(place, []).append(number)
        last = {read: place for place in needed for read in self._reads(place)}
        free: list[int] = []
        high = len(leaves)
        done: list[tuple[int, int, int, int]] = [(OUT, number, slots[place], 0) for place in leaves for number in asked.get(place, ())]
        for place in needed:
            node = self.nodes[place]
            if not isinstance(node, Gate):
                continue
            left, right = slots[node.left], slots[node.right]
            free += {slots[read] for read in self._reads(place) if last[read] == place and slots[read] >= len(leaves)}
            if not free:
                free.append(high)
                high += 1
            slots[place] = free.pop()
            done.append((node.op, slots[place], left, right))
            done += [(OUT, number, slots[place], 0) for number in asked.get(place, ())]
        return Code(tuple(self.nodes[place] for place in leaves), tuple(done), high)  # type: ignore[misc]  # leaves are leaves

    def _reads(self, place: int) -> tuple[int, ...]:
        node = self.nodes[place]
        return (node.left, node.right) if isinstance(node, Gate) else ()

    def _needed(self, outputs: Sequence[int]) -> list[int]:
        """The nodes that these depend on, and they, in the order in which they were made, which is one in which they can be computed."""
        seen, queue = set(outputs), list(outputs)
        while queue:
            for read in self._reads(queue.pop()):
                if read not in seen:
                    seen.add(read)
                    queue.append(read)
        return sorted(seen)
