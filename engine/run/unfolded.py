"""The rows of both readings of a decision that was made straight, unfolded from its bits: column for column what `run.event` says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.backends.fused import Fused
from engine.backends.matching import UNDECIDED
from engine.backends.rules import POSSIBLE, RuleStep
from engine.lang import ir
from engine.lang.axes import bits
from engine.plan import POLICY, Plan, Row
from engine.values import Interval, Value


@dataclass(slots=True)
class Unfolded:
    """For a step that writes nothing but points, states, flags and an outcome. `bounds` and `possible` are of the generated code."""

    name: str
    closed: Row
    open: Row
    states: tuple[str, ...]
    flags: tuple[tuple[str, int], ...]
    refer: int
    undecided: str
    given: tuple[str, ...]
    bounds: Callable[[int, int], tuple[int, int, int]]
    possible: Callable[..., tuple[str, ...]]

    @classmethod
    def of(cls, plan: Plan, step: RuleStep, parts: Fused, space: dict[str, Any]) -> Unfolded | None:
        """The step's; none where it writes more."""
        rules = step.rules
        if rules.exemptions or any(isinstance(statement, ir.Set | ir.Table) for statement in rules.body) or rules.decide is None:
            return None
        flags = tuple((step.outputs[name], mask) for name, mask in parts.states.items() if name.startswith("flags."))
        states = tuple(column for _, column in step.states)
        return cls(
            f"{step.name}.",
            dict.fromkeys(step.writes, False),
            dict.fromkeys(plan.open[0].writes, False),
            states,
            flags,
            parts.refer,
            rules.decide.undecided,
            parts.read_by_decide,
            space["bounds"],
            space["possible"],
        )

    def rows(self, base: Row, hits: int, open_: int) -> tuple[Row, Row]:
        """The row of the first reading and that of the second: the same where no policy changed anything. `hits` are after policies,
        `open_` those that could not be judged before them."""
        raw, left = hits & ~open_, open_ & self.refer
        closed = self._row(base, self.closed, hits, left)
        kept = closed[f"{self.name}{POSSIBLE}"]
        closed[f"{self.name}outcome"] = kept[0] if len(kept) == 1 else self.undecided
        touched = closed[f"{self.name}{POLICY}"] = hits != raw or left != open_ or len(kept) != 1
        if not touched:
            return closed, closed
        opened = self._row(base, self.open, raw, open_)
        kept = opened[f"{self.name}{POSSIBLE}"]
        opened[f"{self.name}outcome"] = kept[0] if len(kept) == 1 else UNDECIDED
        return closed, opened

    def _row(self, base: Row, blank: Row, hits: int, open_: int) -> Row:
        low, high, sure = self.bounds(hits, open_)
        score: Value = low if low == high else Interval(low, high, "undecided")
        row = base | blank
        row[f"{self.name}score"] = score
        row[f"{self.name}{POSSIBLE}"] = self.possible(score, hits, open_, *(base[name] for name in self.given))
        if f"{self.name}{ir.POINTS}" in blank:
            row[f"{self.name}{ir.POINTS}"] = sure
        for place in bits(hits):
            row[self.states[place]] = True
        for place in bits(open_):
            row[self.states[place]] = UNDECIDED
        if hits | open_:
            for column, mask in self.flags:
                if hits & mask:
                    row[column] = True
                elif open_ & mask:
                    row[column] = UNDECIDED
        return row
