"""What a rule set worked out for one row, each name when it is asked for: recorded, or worked out again by the definition.

It knows no other step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.backends import reference
from engine.backends.matching import UNDECIDED
from engine.lang import ir
from engine.values import Value

if TYPE_CHECKING:
    from engine.backends.rules import RuleStep
    from engine.plan import Row


class Worked(dict[str, Value]):
    """The row as the rule set of `step` sees it, and everything its statements write. `recorded` is the whole row of a decision in which
    the step ran; none where what stands there is not what it says."""

    def __init__(self, step: RuleStep, given: Row, open_: bool, recorded: Row | None = None) -> None:
        super().__init__(given)
        self.step, self.open, self.recorded = step, open_, recorded
        self.states = States(self)

    def __missing__(self, name: str) -> Value:
        column = self.step.outputs.get(name)
        if self.recorded is not None and column in self.recorded and name != "outcome":
            self[name] = self.recorded[column]
        elif name in ("score", ir.POINTS):
            self["score"], self[ir.POINTS] = reference.score(self.step.rules, self)
        else:
            statement = self.step.writers[name]
            if isinstance(statement, ir.Rule):
                self[name] = self.states[statement.id].state
            else:
                reference.write(statement, self)
        return self[name]

    def said(self, name: str) -> Value:
        """What a name holds; what the rule set does not write for its own rules to read is open."""
        return self[name] if name in self or name == "score" or name in self.step.writers else UNDECIDED


class States(dict[str, reference.State]):
    """The states of rules by their ids, judged by the definition."""

    def __init__(self, work: Worked) -> None:
        super().__init__()
        self.work = work

    def __missing__(self, rule: str) -> reference.State:
        statement, step = self.work.step.writers[ir.hit(rule)], self.work.step
        assert isinstance(statement, ir.Rule)  # only a rule writes a state
        self[rule] = reference.judge(statement, step.defines, self.work, self.work.open)
        return self[rule]
