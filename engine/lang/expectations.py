"""The tests an author writes beside the rules, typed: what is given, and what is expected of which row. It runs nothing."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine import zones
from engine.lang import ast, fit, history, ir, literals
from engine.lang.cases import CaseRow, Expected, TestCase
from engine.lang.dated import is_fixed
from engine.lang.environment import called, states
from engine.lang.expressions import Typer
from engine.lang.parse import parse_cell
from engine.lang.problems import Report
from engine.lang.ruleset import expressions
from engine.lang.scope import Scope
from engine.record import border
from engine.values import EPOCH_DAY, INTEGER, MISSING, Money, Type, Value, date_of, interval, known, missing

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.environment import Environment

_FIRST_DAY = dt.date(2000, 1, 1).toordinal() - EPOCH_DAY.toordinal()
_RULE = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+")
_RANGE = re.compile(r"(-?\s*[\d_]+)\s+to\s+(-?\s*[\d_]+)")
_STATES = ("hit", "clear", "undecided")


def cases(tree: ast.File, ruleset: ir.RuleSet, env: Environment, report: Report) -> tuple[TestCase, ...]:
    """Every test, story and examples of the file that is sound; problems of the others are noted."""
    maker = _Maker(tree, ruleset, env, report)
    found: list[TestCase | None] = []
    for node in tree.declarations:
        match node:
            case ast.Test():
                found.append(maker.test(node))
            case ast.Story():
                found.append(maker.story(node))
            case ast.Examples():
                found.append(maker.examples(node))
    return tuple(case for case in found if case is not None)


def filling(tree: ast.File, ruleset: ir.RuleSet, env: Environment) -> Callable[[Mapping[str, Value]], dict[str, Value]]:
    """What makes an event of what is given, as a test does: key and time filled in, and the currency of amounts that carry their own."""
    maker = _Maker(tree, ruleset, env, Report())
    return lambda given: maker._filled(given, 1)


class _Maker:
    """Types the cases of one rule set. `columns` may be given, `written` may be expected as values."""

    def __init__(self, tree: ast.File, ruleset: ir.RuleSet, env: Environment, report: Report) -> None:
        self.ruleset, self.record, self.report = ruleset, env.record, report
        self.columns: dict[str, Type] = {field.name: field.type for field in env.record.fields}
        self.columns |= {column.name: column.type for column in ruleset.inputs}
        features = {f.name: f.type for f in (ruleset.features.features if ruleset.features is not None else ())}
        for use in ruleset.uses:
            if use.kind == "features" and use.path in env.features:
                features |= {f"{use.alias}.{f.name}": f.type for f in env.features[use.path].features}
        self.read = {use.alias: env.rulesets[use.path] for use in ruleset.uses if use.kind == "ruleset" and use.path in env.rulesets}
        self.columns |= {name: type_ for alias, rules in self.read.items() for name, type_ in states(alias, rules).items()}
        self.columns |= features
        for node in tree.uses:
            if node.kind == "table" and node.path in env.tables:
                self.columns |= {f"{called(node)}.{c.name}": c.type for c in env.tables[node.path].columns.values()}
        sets = {s.name: s.type for s in ruleset.body if isinstance(s, ir.Set)}
        sets |= {column.name: column.type for table in ruleset.tables for column in table.outputs}
        self.written = features | sets | {n: value.type for n, value in ruleset.defines.items() if "@" not in n}
        self.rules = {rule.id: rule for rule in ruleset.rules}
        self.flags = {s.name for s in ruleset.body if isinstance(s, ir.Flag)}
        decide = ruleset.decide
        self.outcomes = {name: None for name, _ in decide.rows} | {decide.undecided: None} if decide is not None else {}
        self.start = max([_FIRST_DAY, *_starts(ruleset, env)])

    # --- the three kinds ---------------------------------------------------------------------------------------------

    def test(self, node: ast.Test) -> TestCase | None:
        params, common = self._with(node.params)
        typer = self._typer(params, [(one.name.text, one.value) for one in node.given], common or {})
        given = self._given(node.given, typer)
        expect = [self._expectation(one, typer) for one in node.expect]
        if params is None or common is None or given is None or any(one is None for one in expect):
            return None
        row = CaseRow(self._filled(common | given, 1), tuple(one for one in expect if one is not None), node.span)
        return TestCase(node.title.text, "test", (row,), params, span=node.span)

    def story(self, node: ast.Story) -> TestCase | None:
        params, common = self._with(node.params)
        history: str | int | None = node.history
        if node.history not in (None, "complete"):
            history = literals.date(str(node.history), node.span, self.report)
        rows = self._rows(node.header, node.rows, params, common)
        if params is None or rows is None or (history is None and node.history is not None):
            return None
        return TestCase(node.title.text, "story", rows, params, history, node.span)

    def examples(self, node: ast.Examples) -> TestCase | None:
        known = self._is_rule(node.rule.text, node.rule.span)
        rows = self._rows(node.header, node.rows, {}, {})
        if not known or rows is None:
            return None
        return TestCase(f"examples {node.rule.text}", "examples", rows, span=node.span)

    # --- what is given -----------------------------------------------------------------------------------------------

    def _with(self, bindings: tuple[ast.Binding, ...]) -> tuple[dict[str, ast.Expr] | None, dict[str, Value] | None]:
        """Params that are overridden, and columns given to every row."""
        params: dict[str, ast.Expr] = {}
        others: list[ast.Binding] = []
        sound = True
        for node in bindings:
            param = self.ruleset.params.get(node.name.text)
            if param is None or node.value is None:
                others.append(node)
                continue
            typer = Typer(self._scope({}), self.report)
            value = typer.fixed(node.value, "what a test is given")
            if value is None or typer.fit_fixed(value, param.type, f"the param `{node.name.text}`") is None:
                sound = False
            params[node.name.text] = node.value
        return (params if sound else None), self._given(
            tuple(others), self._typer(params, [(one.name.text, one.value) for one in others], {})
        )

    def _typer(
        self, params: Mapping[str, ast.Expr] | None, given: Iterable[tuple[str, ast.Expr | None]], common: Mapping[str, Value]
    ) -> Typer:
        """Types what is said of one row, with the params in force on its day."""
        time = self.record.field(self.record.time)
        node = next((value for name, value in given if name == time.name), None)
        written = Typer(self._scope({}), Report()).typed(node) if node is not None else None
        moment = fit.to_type(written, time.type) if isinstance(written, ir.Const) else None
        now = moment.value if moment is not None else common.get(time.name)
        return Typer(self._scope(params), self.report, self.start if now is None or not known(now) else border(self.record).day(now))

    def _scope(self, params: Mapping[str, ast.Expr] | None) -> Scope:
        """Params by their name, with the values a test gives them."""
        constants = dict(self.ruleset.params)
        for name, value in (params or {}).items():
            made = Typer(Scope(self.record.zone, constants=dict(self.ruleset.params)), self.report).typed(value)
            if is_fixed(made):
                constants[name] = replace(made, name=name)
        return Scope(self.record.zone, columns=self.columns, constants=constants)

    def _given(self, bindings: tuple[ast.Binding, ...], typer: Typer) -> dict[str, Value] | None:
        given: dict[str, Value] = {}
        clear: dict[str, Value] = {}
        sound = True
        for node in bindings:
            name = node.name.text
            if node.clear:
                sound = self._clear(name, node.name.span, clear) and sound
            elif name in given:
                self.report.error("duplicate-name", f"`{name}` is given twice", node.span)
            elif not self._is_column(name, node.name.span):
                sound = False
            elif node.value is None:
                given[name] = MISSING
            else:
                value = self._value(node.value, self.columns[name], name, typer)
                value = value if node.high is None or value is None else self._range(value, node.high, name, typer)
                sound = sound and value is not None
                given[name] = value
        return clear | given if sound else None

    def _clear(self, name: str, span: Span, clear: dict[str, Value]) -> bool:
        """Every state of a rule set that is read, as where none of its rules was hit."""
        if name not in self.read:
            hint = self.report.suggest(name, self.read) or "only the states of a rule set that is used are clear together"
            self.report.error("unknown-name", f"no rule set `{name}` is read here", span, hint)
            return False
        none = {"flag": False, "integer": 0}
        for column, type_ in states(name, self.read[name]).items():
            clear[column] = none[type_.kind] if column.endswith((".score", ")")) or ".flags." in column else missing("no row")
        return True

    def _range(self, low: Value, node: ast.Expr, name: str, typer: Typer) -> Value:
        """What is known to lie between two bounds, as a score is while rules are undecided."""
        high = self._value(node, self.columns[name], name, typer)
        if high is not None and not self.columns[name].interval:
            self.report.error(
                "type-mismatch", f"`{name}` is known or missing, never a range", node.span, "scores and features may be ranges"
            )
            return None
        return None if high is None else interval(low, high, "undecided")

    def _is_column(self, name: str, span: Span) -> bool:
        if name in self.columns:
            return True
        hint = self.report.suggest(name, [*self.columns, *self.ruleset.params])
        self.report.error("unknown-name", f"`{name}` is nothing that can be given", span, hint)
        return False

    def _value(self, node: ast.Expr, wanted: Type, name: str, typer: Typer) -> Value:
        """The run-time value of a constant, or none with the problem noted."""
        if wanted.kind == "list":
            items = node.items if isinstance(node, ast.Tuple) else (node,)
            values = [self._value(item, wanted.item or wanted, name, typer) for item in items]
            return None if any(value is None for value in values) else tuple(values)
        constant = typer.constant(node, "what a test says")
        fitted = typer.fitted(constant, replace(wanted, scale=1), f"`{name}`") if constant is not None else None
        return None if fitted is None else fitted.value

    def _filled(self, given: Mapping[str, Value], number: int) -> dict[str, Value]:
        """With key and time, and the currency of amounts that carry their own."""
        row = dict(given)
        time = self.record.field(self.record.time)
        row.setdefault(time.name, self._moment(time.type))
        for name in self.record.key:
            row.setdefault(name, self._key(self.record.field(name).type, number))
        for field in self.record.fields:
            value = row.get(field.name)
            if value.__class__ is Money and field.type.by is not None:
                row.setdefault(field.type.by, value.currency)
        return row

    def _moment(self, type_: Type) -> int:
        if type_.kind == "date":
            return self.start
        midnight = dt.datetime.combine(date_of(self.start), dt.time())
        local = zones.utc(midnight, self.record.zone)
        return local if local is not None else zones.utc(midnight + dt.timedelta(hours=12), self.record.zone) or 0

    def _key(self, type_: Type, number: int) -> Value:
        if type_.kind == "text":
            return type_.choices[0] if type_.choices else str(number)
        if type_.kind in ("date", "datetime"):
            return self._moment(type_)
        return {"number": float(number), "flag": True}.get(type_.kind, number)

    # --- tables ------------------------------------------------------------------------------------------------------

    def _rows(
        self, header: ast.Row, rows: tuple[ast.Row, ...], params: Mapping[str, ast.Expr] | None, common: Mapping[str, Value] | None
    ) -> tuple[CaseRow, ...] | None:
        inputs = [cell.text for cell in header.inputs]
        sound = all(self._is_column(cell.text, cell.span) for cell in header.inputs)
        sound = self._once(header) and sound
        outputs = [self._output(cell) for cell in header.outputs]
        if not sound or any(kind is None for kind in outputs):
            return None
        made = [self._row(row, number, inputs, [o for o in outputs if o], params, common or {}) for number, row in enumerate(rows, 1)]
        return None if common is None or any(row is None for row in made) else tuple(row for row in made if row is not None)

    def _once(self, header: ast.Row) -> bool:
        seen: set[str] = set()
        for cell in (*header.inputs, *header.outputs):
            if cell.text in seen:
                self.report.error("duplicate-name", f"there are two columns `{cell.text}`", cell.span)
                return False
            seen.add(cell.text)
        return True

    def _row(
        self,
        row: ast.Row,
        number: int,
        inputs: list[str],
        outputs: list[tuple[str, str | None]],
        params: Mapping[str, ast.Expr] | None,
        common: Mapping[str, Value],
    ) -> CaseRow | None:
        given, sound = dict(common), True
        cells = [(name, self._cell(cell)) for name, cell in zip(inputs, row.inputs, strict=True) if cell.text]
        typer = self._typer(params, cells, common)
        for name, node in cells:
            value = None if node is None else MISSING if _is_word(node, "missing") else self._value(node, self.columns[name], name, typer)
            sound = sound and value is not None
            given[name] = value
        expect: list[Expected] = []
        for (kind, output), cell in zip(outputs, row.outputs, strict=True):
            if cell.text:
                one = self._expected_cell(kind, output, cell, typer)
                sound = sound and one is not None
                expect += [one] if one is not None else []
        return CaseRow(self._filled(given, number), tuple(expect), row.span) if sound else None

    def _cell(self, cell: ast.Cell) -> ast.Expr | None:
        node, problems = parse_cell(cell)
        self.report.found += problems
        return node

    def _output(self, cell: ast.Cell) -> tuple[str, str | None] | None:
        """What a column after `=>` expects: kind and name as in `Expected`, or none with the problem noted."""
        text = cell.text
        if text in ("score", "outcome", "possible", "robust"):
            return text, None
        if text.startswith("flag "):
            name = text.removeprefix("flag ").strip()
            return ("flag", name) if self._is_flag(name, cell.span) else None
        if _RULE.fullmatch(text):
            return ("rule", text) if self._is_rule(text, cell.span) else None
        return ("value", text) if self._is_written(text, cell.span) else None

    def _expected_cell(self, kind: str, name: str | None, cell: ast.Cell, typer: Typer) -> Expected | None:
        limits = _RANGE.fullmatch(cell.text)
        if kind == "score" and limits is not None:
            low, high = (int(limit.replace("_", "").replace(" ", "")) for limit in limits.groups())
            return Expected("range", None, (low, high), INTEGER, cell.span)
        if kind == "rule":
            return self._expected_state(name or "", cell)
        if kind in ("outcome", "possible"):
            return self._outcomes(kind, [ast.Word(word, span=cell.span) for word in cell.text.split(" or ")], cell.span)
        node = self._cell(cell)
        if node is None:
            return None
        if kind in ("flag", "robust"):
            return self._truth(kind, name, node, cell)
        return self._expected_value(kind, name, node, typer, cell.span)

    def _expected_state(self, name: str, cell: ast.Cell) -> Expected | None:
        if cell.text in _STATES:
            return Expected("rule", name, cell.text, span=cell.span)
        first, *by = cell.text.split()
        if first == "silenced" and (not by or (len(by) == 2 and by[0] == "by")):
            return self._silenced(name, [ast.Word(id_, span=cell.span) for id_ in by[1:]], cell.span, cell.span)
        self.report.error("bad-cell", "a rule is `hit`, `clear`, `undecided` or `silenced`", cell.span)
        return None

    def _silenced(self, rule: str, by: list[ast.Word], span: Span, rule_span: Span) -> Expected | None:
        """That an exception, or the one of this id, silences a rule."""
        if not self._is_rule(rule, rule_span):
            return None
        exempt = self.rules[rule].exempt
        if exempt and all(word.text in exempt for word in by):
            return Expected("silenced", rule, by[0].text if by else True, span=span)
        if not exempt:
            self.report.error("unknown-exception", f"there is no exception for rule `{rule}`", span)
        else:
            hint = self.report.suggest(by[0].text, exempt) or "there is " + ", ".join(f"`{one}`" for one in exempt)
            self.report.error("unknown-exception", f"there is no exception `{by[0].text}` for rule `{rule}`", by[0].span, hint)
        return None

    def _truth(self, kind: str, name: str | None, node: ast.Expr, cell: ast.Cell) -> Expected | None:
        if isinstance(node, ast.Literal) and node.kind == "flag":
            return Expected(kind, name, node.text == "true", span=cell.span)
        if kind == "flag" and _is_word(node, "missing"):
            return Expected("flag", name, MISSING, span=cell.span)
        self.report.error("bad-cell", "this column holds `true` or `false`", cell.span)
        return None

    # --- what is expected --------------------------------------------------------------------------------------------

    def _expectation(self, node: ast.Expectation, typer: Typer) -> Expected | None:
        name = node.name.text if node.name is not None else None
        span = node.name.span if node.name is not None else node.span
        match node.kind:
            case "rule":
                return Expected("rule", name, node.word, span=node.span) if self._is_rule(name or "", span) else None
            case "silenced":
                return self._silenced(name or "", list(node.names), node.span, span)
            case "flag" | "no flag":
                return Expected("flag", name, node.kind == "flag", span=node.span) if self._is_flag(name or "", span) else None
            case "outcome":
                return self._outcomes("outcome", [node.name] if node.name is not None else [], node.span)
            case "possible":
                return self._outcomes("possible", list(node.names), node.span)
            case "robust":
                return Expected("robust", None, True, span=node.span)
            case "missing":
                return Expected("value", name, MISSING, self.written[name or ""], node.span) if self._is_written(name or "", span) else None
            case _:
                return self._expected_number(node, name, span, typer)

    def _expected_number(self, node: ast.Expectation, name: str | None, span: Span, typer: Typer) -> Expected | None:
        if node.low is None or (node.kind == "value" and not self._is_written(name or "", span)):
            return None
        low = self._expected_value(node.kind, name, node.low, typer, node.span)
        if node.high is None or low is None:
            return low
        high = self._expected_value(node.kind, name, node.high, typer, node.span)
        return None if high is None else Expected("range", None, (low.value, high.value), INTEGER, node.span)

    def _expected_value(self, kind: str, name: str | None, node: ast.Expr, typer: Typer, span: Span) -> Expected | None:
        type_ = INTEGER if kind == "score" else self.written[name or ""]
        if kind == "value" and _is_word(node, "missing"):
            return Expected("value", name, MISSING, type_, span)
        value = self._value(node, type_.exact(), name or "score", typer)
        return None if value is None else Expected(kind, name, value, type_, span)

    def _outcomes(self, kind: str, words: list[ast.Word], span: Span) -> Expected | None:
        for word in words:
            if word.text not in self.outcomes:
                hint = self.report.suggest(word.text, self.outcomes)
                self.report.error("unknown-outcome", f"`decide` has no outcome `{word.text}`", word.span, hint)
                return None
        names = [word.text for word in words]
        value: Any = names[0] if kind == "outcome" else frozenset(names)
        return Expected(kind, None, value, span=span)

    def _is_rule(self, name: str, span: Span) -> bool:
        if name in self.rules:
            return True
        self.report.error("unknown-rule", f"there is no rule `{name}`", span, self.report.suggest(name, self.rules))
        return False

    def _is_flag(self, name: str, span: Span) -> bool:
        if name in self.flags:
            return True
        self.report.error("unknown-flag", f"no rule raises the flag `{name}`", span, self.report.suggest(name, self.flags))
        return False

    def _is_written(self, name: str, span: Span) -> bool:
        if name in self.written:
            return True
        self.report.error(
            "unknown-name", f"nothing is called `{name}` that could be expected", span, self.report.suggest(name, self.written)
        )
        return False


def _starts(ruleset: ir.RuleSet, env: Environment) -> Iterator[int]:
    """The days from which rules, and the params and lists they read, are in force; those of the features they use too."""
    sets = [env.features[use.path] for use in ruleset.uses if use.kind == "features" and use.path in env.features]
    values = [feature.value for one in (*sets, ruleset.features) if one is not None for feature in one.features]
    values += [value.inner for value in values if isinstance(value, ir.Aggregate) and value.inner is not None]
    found = [*expressions(ruleset.body, ruleset.decide), *(part for value in values for part in history.expressions(value))]
    found += [value for rule in ruleset.rules for _, value in rule.assume]
    spans = [days for expr in found for node in ir.walk(expr) if isinstance(node, ir.Dated) for days in node.spans]
    yield from (start for start, _ in (*spans, *(rule.effective for rule in ruleset.rules)) if start is not None)


def _is_word(node: ast.Expr, word: str) -> bool:
    return isinstance(node, ast.Name) and node.path == word
