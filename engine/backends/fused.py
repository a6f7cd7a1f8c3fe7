"""A rule set whose rules stand by themselves, as parts of one generated function: what each subject's value leaves, the score, the outcome.

It writes no semantics: what a cell means is said by its column, what has no column is asked as `source` writes it. It knows no events.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import Final

from engine.backends.index import Index, Sense, Worth, index, worth
from engine.backends.source import Function, Module, comment
from engine.lang import ir
from engine.values import show

TAKEN: Final = (
    "event", "get", "may", "lost", "here", "away", "hits", "undecided", "outcome", "possible", "settled", "bounds", "decision",
    "score_range", "given", "every", "left", "allowed", "decide",
)  # fmt: skip
"""Names that the generated functions use for themselves."""

_SHOWN: Final = 8
"""So many values of a subject stand in a comment."""
_SCORE: Final = 'low if low == high else Interval(low, high, "undecided")'


def fits(rules: ir.RuleSet) -> bool:
    """Whether no rule reads another, no policy gives a value, and `decide` reads only points, flags, states and what is given."""
    if rules.decide is None or any(rule.once or rule.assume or not isinstance(rule.points, int) for rule in rules.rules):
        return False
    if any(table.gives_points for table in rules.tables) or any(when is not None for _, when in rules.scoring.floors):
        return False
    states = {column.name for column in rules.outputs()}
    written = {name for s in rules.body if isinstance(s, ir.Set | ir.Table) for name in ir.written(s)}
    asked = _behind(rules, [ir.condition(rule) for rule in rules.rules])
    decided = _behind(rules, [when for _, when in rules.decide.rows if when is not None])
    return asked.isdisjoint(states) and decided.isdisjoint(written | {"outcome"})


def _behind(rules: ir.RuleSet, exprs: list[ir.Expr]) -> set[str]:
    """Everything that expressions read, through defines."""
    defines, found = rules.defines, set[str]()
    queue = [name for expr in exprs for name in ir.reads(expr)]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += ir.reads(defines[name]) if name in defines else ()
    return found


class Fused:
    """The parts of the function for one rule set. `asked` are the columns it reads of a row, those by which its rows decide among them."""

    def __init__(self, module: Module, rules: ir.RuleSet) -> None:
        assert rules.decide is not None  # `fits` says so
        self.module, self.rules, self.decide = module, rules, rules.decide
        module.identifier("score")
        self.index: Index = index(rules.rules, rules.defines)
        self.worth: Worth = worth(self.index, lambda rule: rule.points if isinstance(rule.points, int) else 0)
        decides = _behind(rules, [when for _, when in self.decide.rows if when is not None])
        made = {*rules.defines, *(column.name for column in rules.outputs())}
        self.read_by_decide = tuple(sorted(decides - made))
        subjects = _behind(rules, [sense.subject for sense in self.index.senses])
        self.asked = frozenset({*subjects, *self.read_by_decide} - made)
        self.alert = self.index.chosen(lambda rule: rule.policy == "alert")
        self.refer = self.index.chosen(lambda rule: rule.policy == "refer")

    # --- what each subject leaves -------------------------------------------------------------------------------------

    def at_hand(self) -> dict[str, Sense]:
        """The subjects that are columns of the row."""
        return {s.subject.name: s for s in self.index.senses if isinstance(s.subject, ir.Read) and s.subject.name not in self.rules.defines}

    def computed(self, function: Function) -> None:
        """The subjects that must be worked out, each only where it can still change something."""
        behind = [sense for sense in self.index.senses if not (isinstance(sense.subject, ir.Read) and sense.subject.name in self.asked)]
        needed = _behind(self.rules, [sense.subject for sense in behind])
        for statement in self.rules.body:
            if isinstance(statement, ir.Define) and statement.name in needed:
                text, _ = function.expr(statement.value)
                function.line(f"{self.module.identifier(statement.name)} = {text}")
                function.made.add(statement.name)
        for sense in behind:
            function.line(f"# {self.about(sense)}")
            function.line(f"if may & {self.module.constant(sense.asked, 'asked')}:")
            function.indent += 1
            text, _ = function.expr(sense.subject)
            name = self.module.temporary()
            function.line(f"{name} = {text}")
            self.sense(function, sense, name)
            function.indent -= 1

    @staticmethod
    def about(sense: Sense) -> str:
        """A comment on a subject: how much is asked of it, and where its values part."""
        axis, type_ = sense.column.axis, sense.subject.type
        values = sorted(axis.named, key=str) if axis.named is not None else axis.cuts
        parts = list(dict.fromkeys(f"{one:.12g}" if one.__class__ is float else show(one, type_) for one in values))
        shown = ", ".join(parts[:_SHOWN]) + (f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else "")
        return comment(f"{sense.asked.bit_count()} ways to hit ask {sense.cells} questions" + (f", which part at {shown}" if shown else ""))

    def sense(self, function: Function, sense: Sense, name: str) -> None:
        """What a typed value in `name` leaves."""
        if not sense.column.plain:
            self.otherwise(function, sense, name)
            return
        function.line(f"if {name}.__class__ is not Missing:")
        function.line(f"    may &= {self.left(sense, name)}")
        function.line("else:")
        function.indent += 1
        self.otherwise(function, sense, name)
        function.indent -= 1

    def otherwise(self, function: Function, sense: Sense, name: str) -> None:
        """What a value leaves that may be missing or an interval."""
        function.line(f"here, away = {self.module.constant(sense.told, f'{name}_told')}({name})")
        function.line("may &= here")
        function.line("lost |= away")

    def left(self, sense: Sense, name: str) -> str:
        """The bits that a known value of a plain column leaves."""
        axis, masks = sense.column.axis, sense.column.may
        wish = sense.subject.name if isinstance(sense.subject, ir.Read) else name
        if axis.named is None:
            left = self.module.constant(tuple(masks), f"{wish}_leaves")
            return f"{left}[bisect({self.module.constant(tuple(axis.cuts), f'{wish}_cuts')}, {name})]"
        left = self.module.constant({value: masks[place] for value, place in axis.named.items()}, f"{wish}_leaves")
        rest = self.module.constant(masks[axis.other or 0], f"{wish}_rest")
        if sense.subject.type.kind == "flag":
            return f"{left}[{name}]"
        return f"{left}.get({name}, {rest})"

    # --- the score ----------------------------------------------------------------------------------------------------

    def points(self, bits: str, more: str | None = None) -> str:
        """What rules give together that are hit; what `more` of them would take away besides."""
        if self.rules.scoring.how == "max":
            ladder = "".join(f"{step} if {bits} & {self.module.constant(mask, 'points')} else " for step, mask in self.worth.ladder)
            return f"({ladder}0)"
        gives, takes = self._sum(self.worth.gives, bits), self._sum(self.worth.takes, more or bits)
        return f"{gives} - {takes}" if self.worth.takes else gives

    def _sum(self, slices: tuple[int, ...], bits: str) -> str:
        counts = [f"({bits} & {self.module.constant(mask, 'points')}).bit_count()" for mask in slices]
        parts = [count if place == 0 else f"{1 << place} * {count}" for place, count in enumerate(counts)]
        return f"{self.worth.unit} * ({' + '.join(parts)})" if parts else "0"

    def bounded(self, text: str) -> str:
        """A score within what scoring says of it."""
        scoring = self.rules.scoring
        floors = [least for least, _ in scoring.floors]
        text = f"max({text}, {max(floors)})" if floors else text
        return text if scoring.most is None else f"min({text}, {scoring.most})"

    # --- the outcome --------------------------------------------------------------------------------------------------

    def outcome(self) -> str | None:
        """The outcome in one expression of `score` and `hits`, where nothing else is asked and nothing open."""
        tests = [(name, None if when is None else self._plainly(when)) for name, when in self.decide.rows]
        if any(test is None for (_, test), (_, when) in zip(tests, self.decide.rows, strict=True) if when is not None):
            return None
        return "".join(f"{name!r} if {test} else " for name, test in tests if test is not None) + repr(tests[-1][0])

    def _plainly(self, expr: ir.Expr) -> str | None:
        """A condition of `score`, flags and states while nothing is undecided."""
        match expr:
            case ir.Compare(op, ir.Read("score"), ir.Const(value=int() as bound)):
                return f"score {'==' if op == '=' else op} {bound}"
            case ir.Read(name) if name in self.rules.defines:
                return self._plainly(self.rules.defines[name])
            case ir.Read(name) if name in self.states:
                return f"hits & {self.module.constant(self.states[name], name)}"
            case ir.Not(item):
                text = self._plainly(item)
                return None if text is None else f"not ({text})"
            case ir.And(items) | ir.Or(items) if items:
                texts = [self._plainly(item) for item in items]
                word = " and " if isinstance(expr, ir.And) else " or "
                return None if None in texts else "(" + word.join(map(str, texts)) + ")"
        return None

    @cached_property
    def states(self) -> dict[str, int]:
        """The bits behind every flag and state."""
        found = {ir.hit(rule.id): 1 << place for place, rule in enumerate(self.index.rules)}
        flags = {f"flags.{s.name}": s.rules for s in self.rules.body if isinstance(s, ir.Flag)}
        return found | {name: sum(found[ir.hit(rule)] for rule in set(rules)) for name, rules in flags.items()}

    def settle(self) -> str:
        """Adds the functions for what is not settled: the outcomes a reading allows, and what both readings come to. Gives the call."""
        given = [self.module.identifier(name) for name in self.read_by_decide]
        self.module.add(self._bounds())
        self.module.add(self._possible(["score", "hits", "undecided", *given]))
        self.module.add(self._settled(given))
        return f"settled({', '.join(['hits', 'undecided', *given])})"

    def _possible(self, parameters: list[str]) -> list[str]:
        function = Function(self.module, "possible", causes=False)
        function.made |= {"score", *self.read_by_decide}
        needed = _behind(self.rules, [when for _, when in self.decide.rows if when is not None])
        for name, mask in self.states.items():
            if name in needed:
                bits = self.module.constant(mask, name)
                function.line(f"{self.module.identifier(name)} = True if hits & {bits} else UNDECIDED if undecided & {bits} else False")
                function.made.add(name)
        for statement in self.rules.body:
            if isinstance(statement, ir.Define) and statement.name in needed:
                text, _ = function.expr(statement.value)
                function.line(f"{self.module.identifier(statement.name)} = {text}")
                function.made.add(statement.name)
        function.line("kept = {}")
        for name, when in self.decide.rows:
            text = "True" if when is None else function.expr(when)[0]
            function.line(f"state = {text}")
            function.line("if state is not False:")
            function.line(f"    kept[{name!r}] = None")
            function.line("if state is True:")
            function.line("    return tuple(kept)")
        return function.source(parameters)

    def _settled(self, given: list[str]) -> list[str]:
        """Both readings: with policies first, then without."""
        function = Function(self.module, "settled", causes=False)
        rest = "".join(f", {name}" for name in given)
        alert, refer = (self.module.constant(bits, name) for bits, name in ((self.alert, "alert"), (self.refer, "refer")))
        function.line(f"sure, left = hits | undecided & {alert}, undecided & {refer}")
        function.line("low, high, score = bounds(sure, left)")
        function.line(f"kept = possible({_SCORE}, sure, left{rest})")
        function.line("low, high, _ = bounds(hits, undecided)")
        function.line("if sure == hits and left == undecided:")
        function.line("    allowed = kept")
        function.line("else:")
        function.line(f"    allowed = tuple(dict.fromkeys((*possible({_SCORE}, hits, undecided{rest}), *kept)))")
        function.line(f"return kept[0] if len(kept) == 1 else {self.decide.undecided!r}, allowed, score, (low, high), sure")
        return function.source(["hits", "undecided", *given])

    def _bounds(self) -> list[str]:
        """The least and the most that points can come to, and what is sure of them."""
        function = Function(self.module, "bounds", causes=False)
        function.line("every = hits | undecided")
        for name, points in (("low", ("hits", "every")), ("high", ("every", "hits")), ("sure", ("hits", None))):
            function.line(f"{name} = {self.bounded(self.points(*points))}")
        function.line("return low, high, sure")
        return function.source(["hits", "undecided"])


SHARED: Final = {"bisect": bisect_right}
"""What the parts call."""
