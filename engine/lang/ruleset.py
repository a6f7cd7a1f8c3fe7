"""A rule set as a whole: its declarations in an order in which each comes after what it reads, and `decide`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.lang import ast, conversions, declarations, exemptions, ir, lookups, rules, scoring, tables
from engine.lang.environment import alias, called, list_name, record_use, use
from engine.lang.expressions import Typer, as_choice, converted, join
from engine.lang.history import feature_set
from engine.lang.invariants import invariants
from engine.lang.order import Declared, mentioned, ordered
from engine.lang.scope import Refusal
from engine.values import FLAG

if TYPE_CHECKING:
    from engine.lang.cases import Invariant
    from engine.lang.program import Program


@dataclass(slots=True)
class _Parts:
    """What the rules of a file write, by name, as written."""

    rules: dict[str, ast.Rule] = field(default_factory=dict)
    flags: dict[str, list[str]] = field(default_factory=dict)
    sets: dict[str, list[tuple[str, ast.Effect]]] = field(default_factory=dict)


class RuleSetCheck:
    """Checks the rules of one program. `typed` are the statements found sound so far, by the column they write.

    `invariants` are no part of the rule set: they decide nothing.
    """

    invariants: tuple[Invariant, ...] = ()

    def __init__(self, program: Program) -> None:
        self.program, self.report = program, program.report
        self.parts = _Parts()
        self.tables: dict[str, tables.Draft] = {}
        self.typed: dict[str, ir.Statement] = {}
        self.exceptions: dict[str, ast.Exemption] = {}
        self.exemptions: dict[str, ir.Exemption] = {}
        self.scoring = ir.Scoring()
        self.policy = program.tree.on_missing.text if program.tree.on_missing is not None else "refer"

    def run(self) -> ir.RuleSet | None:
        """The typed rule set, or none with the problems noted."""
        program = self.program
        shared = declarations.collect(program)
        self.tables = tables.collect(program)
        self._collect_rules()
        self.exceptions = exemptions.collect(program, self.parts.rules)
        order, broken = ordered(program.nodes, self.report)
        program.scope.silent.update(broken)
        late = self._late(order)
        for name in order:
            if name in shared:
                declarations.check(program, name, shared[name], name in late)
                if name in program.defines:
                    self.typed[name] = program.defines.statements[name]
            elif name in self.tables:
                table = tables.check(self.tables[name], program, name in late)
                self.typed |= {} if table is None else {name: table}
            elif not any(name in draft.writes for draft in self.tables.values()):
                self._write(name, name in late)
        decide = self._decide()
        self._complete_rules()
        self.invariants = invariants(program, decide)
        exemptions.check_days(program, self.exemptions.values(), self.typed)
        self.scoring = scoring.scoring(program)
        scoring.warn_of_lost(program, self.scoring.how, (made for made in self.typed.values() if isinstance(made, ir.Rule)))
        program.warn_unused(("param", "list", "define", "feature", "input"))
        self._warn_unused_components()
        return None if self.report.failed else self._assembled([name for name in order if name in self.typed], decide)

    # --- names and order ---------------------------------------------------------------------------------------------

    def _collect_rules(self) -> None:
        for node in self.program.tree.declarations:
            if not isinstance(node, ast.Rule):
                continue
            first = self.parts.rules.setdefault(node.id.text, node)
            if first is not node:
                message = f"there is a second rule `{node.id.text}`"
                self.report.error(
                    "duplicate-rule", message, node.id.span, "give it an id of its own", (("the first is here", first.id.span),)
                )
                continue
            self._collect_rule(node)
        for name, writers in self.parts.sets.items():
            reads = mentioned(*(effect.value for _, effect in writers)) | {ir.hit(rule) for rule, _ in writers}
            self.program.nodes[name] = Declared(f"`{name}`", writers[0][1].span, reads)
        for name, raised in self.parts.flags.items():
            self.program.scope.columns[f"flags.{name}"] = FLAG
            span = self.parts.rules[raised[0]].id.span
            self.program.nodes[f"flags.{name}"] = Declared(f"flag `{name}`", span, {ir.hit(rule) for rule in raised})

    def _collect_rule(self, node: ast.Rule) -> None:
        column = ir.hit(node.id.text)
        self.program.scope.columns[column] = FLAG
        reads = mentioned(node.when, *(unless.condition for unless in node.unless), *(assumed.value for assumed in node.assume))
        reads |= mentioned(*(effect.value for effect in node.then if effect.kind == "score"))
        if node.once is not None:
            reads |= mentioned(node.once.window)
        self.program.nodes[column] = Declared(f"rule `{node.id.text}`", node.id.span, reads)
        for effect in node.then:
            if effect.name is None:
                continue
            name = effect.name.text
            if effect.kind == "flag":
                self.parts.flags.setdefault(name, []).append(node.id.text)
            elif effect.kind == "set" and (name in self.parts.sets or self.program.declare(effect.name, "value that rules set")):
                self.parts.sets.setdefault(name, []).append((node.id.text, effect))

    def _late(self, order: list[str]) -> set[str]:
        """The defines and sets that read the score, themselves or through others: no rule may read them."""
        late = {"score"}
        for name in order:
            node = self.program.nodes[name]
            through = next((read for read in sorted(node.reads) if read in late), None)
            if through is not None and not name.startswith(("hit(", "flags.", "@")):
                late.add(name)
                message = f"a rule cannot read `{name}`: it reads the `score` of its own rule set"
                self.program.refused[name] = Refusal("reads-own-result", message, "read it in `decide`, or in a rule set of its own")
        return late

    # --- statements --------------------------------------------------------------------------------------------------

    def _write(self, name: str, is_late: bool) -> None:
        """Type a rule, an exception, a flag or a set, by the column it writes."""
        if name.startswith("flags."):
            flag = name.removeprefix("flags.")
            self.typed[name] = ir.Flag(flag, tuple(dict.fromkeys(self.parts.flags[flag])))
        elif name in self.parts.sets:
            self._write_set(name, is_late)
        elif name in self.exceptions:
            self._write_exemption(name)
        else:
            node = self.parts.rules[name[5:-2]]
            made = rules.rule(node, self.program, self.policy, self._exempt(node.id.text))
            if made is not None:
                self.typed[name] = made

    def _write_exemption(self, name: str) -> None:
        made = exemptions.exemption(self.exceptions[name], self.program)
        if made is not None:
            self.exemptions[name], define = made
            self.program.defines.add(define)
            self.typed[name] = define

    def _exempt(self, rule: str) -> tuple[str, ...]:
        """The ids of the exceptions for a rule, in the order of the text."""
        found = [self.exemptions[name] for name in self.exceptions if name in self.exemptions]
        return tuple(one.id for one in found if rule in one.rules)

    def _write_set(self, name: str, is_late: bool) -> None:
        scope = self.program.late if is_late else self.program.scope
        values: list[tuple[str, ir.Expr]] = []
        for rule, effect in self.parts.sets[name]:
            value = (
                Typer(rules.with_match(scope, self.typed.get(ir.hit(rule)), self.program), self.report).typed(effect.value)
                if effect.value is not None
                else None
            )
            if value is not None and self._joins(name, value, effect, values):
                values.append((rule, value))
        if len(values) < len(self.parts.sets[name]):
            self.program.scope.silent.add(name)
            return
        type_ = join([as_choice(value) for _, value in values])
        if type_ is None:
            return
        fitted = tuple((rule, converted(value, type_)) for rule, value in values)
        self.typed[name] = ir.Set(name, type_, fitted)
        (self.program.late_columns if is_late else self.program.scope.columns)[name] = type_

    def _joins(self, name: str, value: ir.Expr, effect: ast.Effect, before: list[tuple[str, ir.Expr]]) -> bool:
        if not before or join([before[0][1].type, value.type]) is not None:
            return True
        first = self.parts.sets[name][0][1]
        message = f"`{name}` is set to {value.type} here, and to {before[0][1].type} elsewhere"
        self.report.error("set-type", message, effect.span, "one name holds values of one type", (("it is set here", first.span),))
        return False

    def _complete_rules(self) -> None:
        for node in self.parts.rules.values():
            made = self.typed.get(ir.hit(node.id.text))
            reason = rules.reason(node, rules.with_match(self.program.late, made, self.program), self.program)
            if isinstance(made, ir.Rule):
                self.typed[ir.hit(node.id.text)] = replace(made, reason=reason, sets=self._sets(node))

    def _sets(self, node: ast.Rule) -> tuple[tuple[str, ir.Expr], ...]:
        """What one rule writes, as the columns' statements have it."""
        columns = [self.typed.get(effect.name.text) for effect in node.then if effect.kind == "set" and effect.name is not None]
        written = [column for column in columns if isinstance(column, ir.Set)]
        return tuple((column.name, value) for column in written for rule, value in column.values if rule == node.id.text)

    # --- decide ------------------------------------------------------------------------------------------------------

    def _decide(self) -> ir.Decide | None:
        found = [node for node in self.program.tree.declarations if isinstance(node, ast.Decide)]
        for other in found[1:]:
            self.report.error("duplicate-name", "there is a second `decide`", other.span, related=(("the first is here", found[0].span),))
        if not found:
            self._check_outcomes({}, False)
            return None
        node = found[0]
        typer = Typer(self.program.late, self.report)
        rows: list[tuple[str, ir.Expr | None]] = []
        for row in node.rows:
            rows.append((row.outcome.text, None if row.when is None else typer.condition(row.when, "the condition of an outcome")))
        self._check_rows(node)
        self._check_outcomes({row.outcome.text: row.when is None for row in reversed(node.rows)}, True)
        rows = self._with_rules(rows)
        return ir.Decide(tuple(rows), node.undecided.text if node.undecided is not None else "refer")

    def _check_rows(self, node: ast.Decide) -> None:
        last = next((place for place, row in enumerate(node.rows) if row.when is None), None)
        if last is None:
            self.report.error(
                "no-otherwise",
                "`decide` does not say what comes out when no row holds",
                node.span,
                "add a last row, like `approve otherwise`",
            )
            return
        for row in node.rows[last + 1 :]:
            self.report.error("after-otherwise", "a row after `otherwise` is never reached", row.span, "put `otherwise` last")

    def _check_outcomes(self, outcomes: dict[str, bool], decides: bool) -> None:
        """What rules say with `then outcome`; `outcomes` says of each whether its first row is the one of `otherwise`."""
        for rule in self.parts.rules.values():
            for effect in rule.then:
                if effect.kind != "outcome" or effect.name is None:
                    continue
                name = effect.name.text
                if not decides:
                    self.report.error(
                        "unknown-outcome", "a rule can give an outcome only where `decide` stands", effect.span, "add `decide outcome`"
                    )
                elif name not in outcomes:
                    hint = self.report.suggest(name, outcomes) or "add a row for it to `decide`"
                    self.report.error("unknown-outcome", f"`decide` has no outcome `{name}`", effect.span, hint)
                elif outcomes[name]:
                    message = f"`{name}` is what comes out otherwise; a rule cannot bring it about"
                    self.report.error(
                        "outcome-only-otherwise", message, effect.span, "add a row with a condition for it, where it should rank"
                    )

    def _with_rules(self, rows: list[tuple[str, ir.Expr | None]]) -> list[tuple[str, ir.Expr | None]]:
        """The rows, the first of each outcome also true where a rule that gives it was hit."""
        giving: dict[str, list[ir.Expr]] = {}
        for node in self.parts.rules.values():
            for effect in node.then:
                if effect.kind == "outcome" and effect.name is not None:
                    giving.setdefault(effect.name.text, []).append(ir.Read(ir.hit(node.id.text), type=FLAG, span=effect.span))
        joined: list[tuple[str, ir.Expr | None]] = []
        for outcome, condition in rows:
            hits = giving.pop(outcome, [])
            if condition is not None and hits:
                condition = ir.Or((condition, *hits), span=condition.span)
            joined.append((outcome, condition))
        return joined

    # --- the whole ---------------------------------------------------------------------------------------------------

    def _warn_unused_components(self) -> None:
        used, env = self.program.scope.used, self.program.env
        starts = {name.rpartition(".")[0] for name in used} | {name.partition(".")[0] for name in used}
        for node in {(node.path, called(node)): node for node in self.program.tree.uses}.values():
            if node.kind == "list" and node.path in env.lists and list_name(node.path) not in used:
                self.report.warning("never-used", f"the list `{node.path}` is never used", node.span, "delete the line, or use it")
            elif node.kind == "table" and node.path in env.tables and called(node) not in starts:
                self.report.warning("never-used", f"no column of `{node.path}` is used", node.span, "delete the line, or use one")
            elif node.kind == "rates" and node.path in env.rates and conversions.USED not in used:
                self.report.warning("never-used", f"no amount is converted by `{node.path}`", node.span, "delete the line, or convert one")
            elif node.kind == "features" and node.path in env.features and alias(node.path) not in starts:
                self.report.warning("never-used", f"no feature of `{node.path}` is used", node.span, "delete the line, or use one")
            elif node.kind == "templates" and node.path in env.templates and called(node) not in starts:
                self.report.warning(
                    "never-used", f"no rule is made from `{node.path}`", node.span, "delete the line, or make a rule from it"
                )
            elif node.kind == "ruleset" and node.path in env.rulesets and alias(node.path) not in starts:
                self.report.warning("never-used", f"nothing of `{node.path}` is used", node.span, "delete the line, or use its states")

    def _assembled(self, order: list[str], decide: ir.Decide | None) -> ir.RuleSet:
        program, tree = self.program, self.program.tree
        unused = lookups.unused(program)
        body = tuple(self.typed[name] for name in order if name not in unused)
        read: set[str] = set()
        for expr in (*expressions(body, decide), *(when for _, when in self.scoring.floors if when is not None)):
            read |= ir.reads(expr)
        inputs = tuple(
            ir.Column(node.name.text, program.scope.columns[node.name.text], node.optional, node.title)
            for node in tree.declarations
            if isinstance(node, ast.Input)
        )
        return ir.RuleSet(
            tree.name.text,
            tree.version.text,
            tree.title,
            tree.owner,
            tuple(word.text for word in tree.cites),
            record_use(tree, program.env),
            tuple(use(node) for node in tree.uses if node.kind != "record"),
            tuple(ir.Column(f.name, f.type, f.optional, f.title) for f in program.env.record.fields if f.name in read),
            inputs,
            feature_set(program) if program.features else None,
            body,
            decide,
            program.params,
            tuple(self.exemptions.values()),
            self.scoring,
            "en" if tree.language is None else tree.language.text,
        )


def expressions(body: tuple[ir.Statement, ...], decide: ir.Decide | None) -> list[ir.Expr]:
    """Every expression of these statements and rows, those in reasons among them."""
    found: list[ir.Expr] = []
    for statement in body:
        match statement:
            case ir.Define():
                found.append(statement.value)
            case ir.Rule():
                found.append(ir.condition(statement))
                found.extend(part for part in statement.reason if isinstance(part, ir.Expr))
                found.extend(() if statement.once is None else statement.once.per)
            case ir.Set():
                found.extend(value for _, value in statement.values)
            case ir.Table():
                found.extend(statement.expressions())
    if decide is not None:
        found.extend(condition for _, condition in decide.rows if condition is not None)
    return found
