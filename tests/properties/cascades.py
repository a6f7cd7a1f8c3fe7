"""Random cascades as people would write them: rule sets that read one another through gates, `with`, models and nested cascades.

Everything is drawn from one `Random`, so that a seed gives a workspace again. Nothing in them asks whether a value is missing, unless
they are `curious`: law 6 leaves that out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

RECORD: Final = """record t/event version 1.0.0
  key id
  time at
  field id: text
  field at: datetime
  field a: integer
  field b: integer
  field c: integer
  field f: flag
  field g: flag
  field t: text
  field m: money USD not negative
  field l: list of text
"""
FIELDS: Final[dict[str, list[Any]]] = {
    "a": [0, 1, 2, 3],
    "b": [-1, 0, 2],
    "c": [0, 1, 5],
    "f": [True, False],
    "g": [True, False],
    "t": ["x", "y", "z"],
    "m": ["0", "9.99", "10.00"],
    "l": [[], ["x"], ["y", "z"], ["y", None]],
}
"""Values of each field; the last list is one that is not wholly known."""
WORDS: Final = ['"x"', '"y"']
OUTCOMES: Final = ["block", "review", "approve"]
MODEL: Final = "t/tiny"
HEAD: Final = "\nversion: 1.0.0\nrecord: t/event\n"


@dataclass(slots=True)
class Names:
    """What may be read somewhere, by kind."""

    integers: list[str] = field(default_factory=lambda: ["a", "b", "c"])
    flags: list[str] = field(default_factory=lambda: ["f", "g"])
    texts: list[str] = field(default_factory=lambda: ["t"])
    numbers: list[str] = field(default_factory=list)
    rule_sets: list[str] = field(default_factory=list)


class Maker:
    """Makes the texts of one workspace."""

    def __init__(self, seed: int, *, curious: bool = False, history: bool = False) -> None:
        self.random, self.curious, self.history = Random(seed), curious, history
        self.files: dict[str, str] = {"rulesets/t/event.rules": RECORD}
        self.rule_sets = 0

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def one_of(self, names: list[str]) -> str:
        """A name, more often one of the last, which stand for what came out of steps or into a rule set."""
        return self.random.choice(names[-3:] if self.chance(0.6) else names)

    def write(self, folder: Path) -> Path:
        """Write a workspace and give the path of its cascade."""
        self.cascade("main", depth=2)
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder / "cascades" / "main.yaml"

    # --- expressions ---------------------------------------------------------------------------------------------------

    def integer(self, names: Names, depth: int = 1) -> str:
        pick = self.random.random()
        if depth and pick < 0.35:
            left, right = self.integer(names, depth - 1), self.integer(names, depth - 1)
            how = self.random.choice(["({} + {})", "({} - {})", "min({}, {})", "max({}, {})"])
            return how.format(left, right)
        if depth and pick < 0.42:
            return f"{self.random.choice([2, 3])} * {self.integer(names, 0)}"
        if self.curious and pick < 0.5:
            return f"({self.one_of(names.integers)} else {self.random.randint(0, 3)})"
        return self.one_of(names.integers)

    def condition(self, names: Names, depth: int = 2) -> str:
        pick = self.random.random()
        if depth and pick < 0.4:
            left, right = self.condition(names, depth - 1), self.condition(names, depth - 1)
            return f"({left} {self.random.choice(['and', 'or'])} {right})"
        if depth and pick < 0.5:
            return f"not {self.condition(names, 0)}"
        return self.atom(names)

    def atom(self, names: Names) -> str:
        random, pick = self.random, self.random.random()
        if self.curious and pick < 0.12:
            return f"{self.one_of(names.integers)} is missing"
        if pick < 0.45:
            right = random.choice(["0", "1", "2", "3", "20", "40", self.integer(names, 0)])
            return f"{self.integer(names)} {random.choice(['<', '>=', '=', '!='])} {right}"
        if pick < 0.55 and names.numbers:
            return f"{self.one_of(names.numbers)} >= {random.choice(['0.25', '0.5'])}"
        if pick < 0.65:
            return f"{self.one_of(names.texts)} {random.choice(['=', '!='])} {WORDS[0]}"
        if pick < 0.7:
            return f"{random.choice(['any', 'all'])} of l where (it = {random.choice(WORDS)})"
        if pick < 0.75:
            return "m >= 10 USD"
        return self.one_of(names.flags)

    # --- rule sets -----------------------------------------------------------------------------------------------------

    def rule_set(self, others: list[str], *, decides: bool) -> tuple[str, dict[str, str]]:
        """A rule set's name, and the kind of every input it wants."""
        random, name = self.random, f"t/r{self.rule_sets}"
        self.rule_sets += 1
        names, inputs = Names(), {"i": "integer", "q": "flag", "w": "text"}
        inputs = {local: kind for local, kind in inputs.items() if self.chance(0.6 if not decides else 0.9)}
        lines = [
            f"ruleset {name} version 1.0.0",
            "  record t/event",
            f"  on missing {random.choice(['refer', 'refer', 'ignore', 'alert'])}",
        ]
        lines += self.states([other for other in others if self.chance(0.3)], names)
        lines += self.scoring(decides=decides)
        for local, kind in inputs.items():
            lines.append(f"input {local}: {kind}" + (" optional" if self.chance(0.3) else ""))
            {"integer": names.integers, "flag": names.flags, "text": names.texts}[kind].append(local)
        if self.history and self.chance(0.4):
            lines.append(f"feature n = count over 2 days per t{random.choice(['', ' where f', ' where a > 1'])}")
            names.integers.append("n")
        lines.append(f"define d = {self.integer(names)}")
        rows = [(random.choice(OUTCOMES), self.row(names)) for _ in range(random.randint(1, 4))] if decides else []
        for number in range(random.randint(1, 4)):
            rule = self.rule(number, names, [outcome for outcome, _ in rows])
            lines += rule
            if self.chance(0.25) and "assume" not in "".join(rule):
                lines += self.exception(number, names)
        if decides:
            lines += ["decide outcome first match", *(f"  {outcome} when {when}" for outcome, when in rows)]
            lines += ["  approve otherwise", "  otherwise undecided refer"]
        self.files[f"rulesets/{name}.rules"] = "\n".join(lines) + "\n"
        return name, inputs

    def states(self, others: list[str], names: Names) -> list[str]:
        """Other rule sets of the same cascade, whose states are read."""
        for other in others:
            text, alias = self.files[f"rulesets/{other}.rules"], other.removeprefix("t/")
            names.integers.append(f"{alias}.score")
            names.flags += [f'{alias}.hit("R-0")', *(f"{alias}.flags.{flag}" for flag in ("red", "blue") if f"flag {flag}" in text)]
            names.texts += [f"{alias}.tier"] if "set tier" in text else []
        return [f"  uses ruleset {other}" for other in others]

    def scoring(self, *, decides: bool) -> list[str]:
        """How points come together, where they are not merely added up."""
        if self.chance(0.5):
            return []
        lines = [f"  score {self.random.choice(['max', 'sum at most 30', 'max at most 20', 'sum', 'at most 40'])}"]
        lines += (
            [f"  score at least {self.random.choice([5, 20])} when {self.random.choice(['f', 'a > 1', 'not g'])}"]
            if self.chance(0.5)
            else []
        )
        return lines + (["  score at least 0"] if self.chance(0.2) else [])

    def row(self, names: Names) -> str:
        return self.condition(names, 1) if self.chance(0.7) else "score >= 20"

    def rule(self, number: int, names: Names, outcomes: list[str]) -> list[str]:
        random = self.random
        effects = [f"score {random.choice([10, 20, 40, -10])}"] if not outcomes or self.chance(0.8) else []
        effects += [f"flag {random.choice(['red', 'blue'])}"] if self.chance(0.5) else []
        effects += [f"set tier = {random.choice([WORDS[0], 't'])}"] if self.chance(0.3) else []
        effects += [f"set level = {self.integer(names)}"] if self.chance(0.2) else []
        effects += [f"outcome {random.choice(outcomes)}"] if outcomes and self.chance(0.2) else []
        condition = self.condition(names)
        lines = [f'rule R-{number} "rule {number}"', f"  when {condition}"]
        if self.chance(0.2):
            lines.append(f'  unless {self.condition(names, 0)} because "so it is"')
        lines.append("  then " + ", ".join(effects or ["score 10"]))
        lines.append('  because "a is {a}, d is {d}"')
        read = [name for name in ("a", "b", "c", "i") if name in names.integers and re.search(rf"\b{name}\b", condition)]
        asks = re.search(r"\b(missing|else)\b", "".join(lines))  # what asks must not assume
        if read and not asks and self.chance(0.2):
            lines.append(f"  on missing {random.choice(read)} assume {random.choice([0, 1, 2])}")
        elif self.chance(0.3):
            lines.append(f"  on missing {random.choice(['refer', 'ignore', 'alert'])}")
        if self.chance(0.1):
            lines.append(f"  effective from 2026-01-0{random.randint(1, 6)}")
        return lines

    def exception(self, number: int, names: Names) -> list[str]:
        days = [f"until 2026-01-0{self.random.randint(1, 9)}"]
        days += [f"from 2025-12-{self.random.randint(10, 31)}"] if self.chance(0.3) else []
        lines = [f'exception R-{number}-E "for {number}" for R-{number}', f"  when {self.condition(names, 1)}"]
        return [*lines, *days, 'approved by "somebody" because "so it is"']

    # --- cascades ------------------------------------------------------------------------------------------------------

    def cascade(self, name: str, depth: int) -> None:
        names, steps = Names(), list[str]()
        for number in range(self.random.randint(1, 4)):
            steps += self.step(f"s{number}", names, depth)
        rules, inputs = self.rule_set(names.rule_sets, decides=True)
        steps += [f"  v: {{rules: {rules}}}"] if not inputs else [f"  v:\n    rules: {rules}", *self.wires(inputs, names)]
        self.files[f"cascades/{name}.yaml"] = f"cascade: t/{name}{HEAD}steps:\n" + "\n".join(steps) + "\ndecision: v\n"

    def step(self, name: str, names: Names, depth: int) -> list[str]:
        pick = self.random.random()
        if pick < 0.2:
            lines = [f"  {name}:\n    model: {MODEL}", *self.wires({"x": "integer", "y": "integer"}, names)]
            lines += self.gate(names, {"value": self.random.choice(["0.0", "0.5"])})
            lines += ["    on_missing: {value: 1.0}"] if self.chance(0.4) else []
            names.numbers.append(f"{name}.value")
        elif pick < 0.2 + 0.12 * depth:
            inner = f"{name}_{depth}_{self.rule_sets}"
            self.cascade(inner, depth - 1)
            lines = [f"  {name}:\n    cascade: t/{inner}", *self.renames(), *self.gate(names, {"outcome": "approve"})]
            names.texts.append(f"{name}.outcome")
            names.integers.append(f"{name}.score")
        else:
            lines = self.rules_step(name, names)
        return lines

    def rules_step(self, name: str, names: Names) -> list[str]:
        rules, inputs = self.rule_set(names.rule_sets, decides=self.chance(0.2))
        names.rule_sets.append(rules)
        text = self.files[f"rulesets/{rules}.rules"]
        gives = {"score": "5"} | ({"flags.red": "true"} if "flag red" in text else {}) | ({"tier": "x"} if "set tier" in text else {})
        lines = [f"  {name}:\n    rules: {rules}", *self.wires(inputs, names), *self.gate(names, gives)]
        names.integers += [f"{name}.score", *([f"{name}.level"] if "set level" in text else [])]
        names.flags += [f'{name}.hit("R-0")', *(f"{name}.flags.{flag}" for flag in ("red", "blue") if f"flag {flag}" in text)]
        names.texts += [f"{name}.tier"] if "set tier" in text else []
        return lines

    def gate(self, names: Names, gives: dict[str, str]) -> list[str]:
        if not self.chance(0.5):
            return []
        kept = {output: value for output, value in gives.items() if self.chance(0.6)}
        return [f"    when: '{self.condition(names, 1)}'"] + (
            ["    otherwise: {" + ", ".join(f"{output}: {value}" for output, value in kept.items()) + "}"] if kept else []
        )

    def wires(self, inputs: dict[str, str], names: Names) -> list[str]:
        """What a step's inputs are given; optional ones sometimes nothing."""
        made = {"integer": self.integer, "flag": lambda n: self.condition(n, 1), "text": lambda n: self.one_of(n.texts)}
        given = [f"{local}: '{made[kind](names)}'" for local, kind in inputs.items()]
        return ["    with: {" + ", ".join(given) + "}"] if given else []

    def renames(self) -> list[str]:
        return ["    with: {a: " + self.random.choice(["b", "c", "a + 1"]) + "}"] if self.chance(0.3) and not self.history else []
