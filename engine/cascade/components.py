"""Names in a cascade -> parsed and checked components of a workspace, each loaded once, every problem kept.

It knows how components are found and what they need; how they are wired together is `wiring`'s concern.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.cascade import parse as yaml_parse
from engine.diagnostics import Diagnostic, Span, errors, render, suggest
from engine.errors import ModelError
from engine.lang import ast, check, ir
from engine.lang.names import compares
from engine.lang.parse import parse_parts
from engine.lang.partial import Partial
from engine.lang.source import read_text
from engine.record import Record
from engine.registry.manifest import METHOD_KIND, Component, content_hash, fits
from engine.registry.store import Workspace
from engine.screening.names import METHOD, method

A_KIND = {
    "ruleset": "a rule set",
    "record": "a record",
    "features": "a feature set",
    "list": "a list",
    "table": "a table",
    "rates": "a set of rates",
    "templates": "a set of templates",
}


class Components:
    """All components one cascade needs. `diagnostics` collects every problem, `texts` the files they point into."""

    def __init__(self, workspace: Workspace, allow: frozenset[str] = frozenset(), *, models: bool = True) -> None:
        self.workspace, self.allow, self.models = workspace, allow, models
        self.diagnostics: list[Diagnostic] = []
        self.texts: dict[str, str] = {}
        self._trees: dict[Path, ast.File | None] = {}
        self._checked: dict[tuple[str, str], Any] = {}
        self._reading: list[str] = []
        self._components: dict[tuple[str, str], Component] = {}
        self._cascades: dict[str, list[tuple[Path, str]]] | None = None

    @property
    def failed(self) -> bool:
        return bool(errors(self.diagnostics))

    def report(self, code: str, message: str, span: Span, hint: str | None = None) -> None:
        self.diagnostics.append(Diagnostic(code, message, span, hint=hint))

    def rendered(self) -> str:
        """All diagnostics as text."""
        return render(self.diagnostics, self.texts)

    def taking_part(self) -> tuple[Component, ...]:
        """Every component that was loaded, by kind and name."""
        return tuple(sorted(self._components.values()))

    def component(self, kind: str, name: str) -> Component:
        """One that was loaded."""
        return self._components[(kind, name)]

    def made(self, kind: str, name: str, wanted: str | None, span: Span) -> Any:
        """A component of the language, of any kind, or none with its problems noted."""
        ways: dict[str, Callable[[str, str | None, Span], Any]] = {
            "record": self.record,
            "list": self.list_values,
            "table": self.table,
            "rates": self.rates,
            "templates": self.templates,
            "features": self.features,
            "ruleset": self.rules,
        }
        return ways[kind](name, wanted, span)

    def add(self, kind: str, name: str, version: str, parts: list[tuple[str, bytes]]) -> None:
        self._components[(kind, name)] = Component(kind, name, version, content_hash(parts))

    def read(self, path: Path) -> str | None:
        """The text of a file, noted for diagnostics and for the ledger."""
        label = self.workspace.label(path)
        if label not in self.texts:
            text, problems = read_text(path)
            self.diagnostics += [
                Diagnostic(p.code, p.message, Span(label, p.span.line, p.span.column, p.span.end), hint=p.hint) for p in problems
            ]
            if text is None:
                return None
            self.texts[label] = text
            self.workspace.note(path)
        return self.texts[label]

    # --- rule files ---------------------------------------------------------------------------------------------------

    def tree(self, path: Path) -> ast.File | None:
        """The syntax tree of a rule file, parsed once."""
        if path not in self._trees:
            self._trees[path] = None
            text = self.read(path)
            if text is not None:
                self._trees[path], problems, partial = parse_parts(text, self.workspace.label(path))
                self.diagnostics += problems
                if partial is not None:
                    self._glance(path, partial, text)
        return self._trees[path]

    def _glance(self, path: Path, partial: Partial, text: str) -> None:
        """Report also what the sound part of a file means amiss, so that nobody mends a file twice."""
        tree = partial.tree
        env = self._environment(path, tree) if tree.kind in ("ruleset", "features") else None
        if env is not None:
            found = check.check_ruleset(tree, env)[1] if tree.kind == "ruleset" else check.check_features(tree, env)[1]
            self.diagnostics += partial.believable(found, text)

    def find(self, kind: str, name: str, wanted: str | None, span: Span) -> tuple[Path, ast.File] | None:
        """The file of a component of the language, if it is there, of the right kind and of a version that fits."""
        path = self.workspace.rules(name)
        if path is None:
            hint = suggest(name, self.workspace.rule_names()) or f"it would stand at `rulesets/{name}.rules`"
            self.report("unknown-component", f"there is no component `{name}`", span, hint)
            return None
        tree = self.tree(path)
        if tree is None:
            return None
        if tree.kind != kind:
            self.report("component-kind", f"`{name}` is {A_KIND[tree.kind]}, here {A_KIND[kind]} is needed", span)
            return None
        if tree.name.text != name:
            self.report(
                "component-name",
                f"the file `{self.workspace.label(path)}` calls itself `{tree.name.text}`",
                tree.name.span,
                f"call it `{name}`",
            )
            return None
        if wanted is not None and not fits(tree.version.text, wanted):  # where no version is asked for, what lies there serves
            hint = f"ask for `^{tree.version.text}`, or give the version that fits"
            self.report("version-does-not-fit", f"`{name}` is {tree.version.text} here, `{wanted}` is asked for", span, hint)
            return None
        return path, tree

    def _once(self, kind: str, name: str, wanted: str | None, span: Span, make: Callable[[Path, ast.File], Any]) -> Any:
        found = self.find(kind, name, wanted, span)
        if found is None:
            return None
        if (kind, name) not in self._checked:
            self._checked[(kind, name)] = None
            path, tree = found
            self._checked[(kind, name)] = make(path, tree)
            self.add(kind, name, tree.version.text, self.parts(path, tree))
        return self._checked[(kind, name)]

    def parts(self, path: Path, tree: ast.File) -> list[tuple[str, bytes]]:
        """The bytes that give a component its meaning: its text, and the files it names by their names from where it lies."""
        parts = [("text", self.texts[self.workspace.label(path)].encode())]
        lists = [declaration for declaration in tree.declarations if isinstance(declaration, ast.ListDecl)]
        named = [named.file for declaration in lists for named in declaration.files]
        named += [one.source.file for one in tree.declarations if isinstance(one, ast.Table) and one.source is not None]
        for name in [*named, *([tree.rows.text] if tree.rows is not None else [])]:
            file = path.parent / name
            if file.is_file():
                parts.append((name, self.workspace.note(file).read_bytes()))
        return parts

    def record(self, name: str, wanted: str | None, span: Span) -> Record | None:
        def make(path: Path, tree: ast.File) -> Record | None:
            record, problems = check.check_record(tree)
            self.diagnostics += problems
            return record

        record: Record | None = self._once("record", name, wanted, span, make)
        return record

    def list_values(self, name: str, wanted: str | None, span: Span) -> Any:
        def make(path: Path, tree: ast.File) -> Any:
            values, problems = check.check_list(tree, path.parent, self.workspace.folder)
            self.diagnostics += problems
            return values

        return self._once("list", name, wanted, span, make)

    def table(self, name: str, wanted: str | None, span: Span) -> Any:
        """A reference table, loaded."""

        def make(path: Path, tree: ast.File) -> Any:
            table, problems = check.check_table(tree, path.parent, self.workspace.folder)
            self.diagnostics += problems
            return table

        return self._once("table", name, wanted, span, make)

    def rates(self, name: str, wanted: str | None, span: Span) -> Any:
        """Exchange rates, loaded."""

        def make(path: Path, tree: ast.File) -> Any:
            rates, problems = check.check_rates(tree, path.parent, self.workspace.folder)
            self.diagnostics += problems
            return rates

        return self._once("rates", name, wanted, span, make)

    def templates(self, name: str, wanted: str | None, span: Span) -> Any:
        """Templates that several rule sets share."""

        def make(_: Path, tree: ast.File) -> Any:
            templates, problems = check.check_templates(tree)
            self.diagnostics += problems
            return templates

        return self._once("templates", name, wanted, span, make)

    def features(self, name: str, wanted: str | None, span: Span) -> ir.FeatureSet | None:
        def make(path: Path, tree: ast.File) -> ir.FeatureSet | None:
            env = self._environment(path, tree)
            if env is None:
                return None
            features, problems = check.check_features(tree, env)
            self.diagnostics += problems
            self._note_method(features)
            return features

        features: ir.FeatureSet | None = self._once("features", name, wanted, span, make)
        return features

    def rules(self, name: str, wanted: str | None, span: Span, overrides: Mapping[str, ast.Expr] | None = None) -> ir.RuleSet | None:
        def make(path: Path, tree: ast.File) -> ir.RuleSet | None:
            env = self._environment(path, tree)
            if env is None:
                return None
            rules, problems = check.check_ruleset(tree, env, overrides or {})
            self.diagnostics += problems
            self._note_method(rules)
            return rules

        rules: ir.RuleSet | None = self._once("ruleset", name, wanted, span, make)
        return rules

    def _note_method(self, checked: ir.RuleSet | ir.FeatureSet | None) -> None:
        """How names are compared decides too, where any are."""
        if checked is not None and compares(checked):
            self.add(METHOD_KIND, "screening/names", METHOD, method())

    def _environment(self, path: Path, tree: ast.File) -> check.Environment | None:
        """What the names in a file may refer to; what cannot be found is reported here and left out."""
        record: Record | None = None
        kinds: dict[str, Callable[..., Any]] = {
            "features": self.features,
            "list": self.list_values,
            "table": self.table,
            "rates": self.rates,
            "templates": self.templates,
            "ruleset": lambda *use: self._read_rules(tree.name.text, *use),
        }
        used: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
        for use in tree.uses:
            if use.kind == "record":
                record = self.record(use.path, use.range, use.span)
            else:
                found = kinds[use.kind](use.path, use.range, use.span)
                if found is not None:
                    used[use.kind][use.path] = found
        if record is None:
            if not any(use.kind == "record" for use in tree.uses):
                self.report(
                    "no-record",
                    f"`{tree.name.text}` is {A_KIND[tree.kind]} that names no record",
                    tree.name.span,
                    "add `record NAME ^VERSION`",
                )
            return None
        folders = (path.parent, self.workspace.folder)
        others = (used[kind] for kind in ("table", "rates", "ruleset", "templates"))
        return check.Environment(record, used["features"], used["list"], *folders, *others)

    def _read_rules(self, reader: str, name: str, wanted: str | None, span: Span) -> ir.RuleSet | None:
        """A rule set whose states another reads; none, with a report, where the two read one another."""
        readers = [*self._reading, reader]
        if name in readers:
            chain = " -> ".join(f"`{one}`" for one in [*readers[readers.index(name) :], name])
            message = f"these rule sets read one another in a circle: {chain}"
            self.report("ruleset-circle", message, span, "let one of them decide without the other")
            return None
        self._reading.append(reader)
        read = self.rules(name, wanted, span)
        self._reading.pop()
        return read

    def environment(self, name: str) -> check.Environment | None:
        """The environment of a rule set that has been loaded, for its tests."""
        path = self.workspace.rules(name)
        tree = self.tree(path) if path else None
        return self._environment(path, tree) if path and tree else None

    # --- cascades and models ------------------------------------------------------------------------------------------

    def cascade_file(self, name: str, wanted: str | None, span: Span) -> Path | None:
        """The file in which a cascade of this name stands; the name inside counts."""
        there = self._all_cascades().get(name, [])
        fitting = [path for path, version in there if wanted is None or fits(version, wanted)]
        if not there:
            hint = suggest(name, self._all_cascades()) or "it would stand in `cascades/`"
            self.report("unknown-component", f"there is no cascade `{name}`", span, hint)
        elif not fitting:
            self.report("version-does-not-fit", f"`{name}` is {there[0][1]} here, `{wanted}` is asked for", span)
        elif len(there) > 1:
            self.report("duplicate-name", f"several files hold a cascade `{name}`", span, "give each its own name")
        return fitting[0] if fitting and len(there) == 1 else None

    def _all_cascades(self) -> dict[str, list[tuple[Path, str]]]:
        if self._cascades is None:
            self._cascades = {}
            for path in self.workspace.cascades():
                spec, _ = yaml_parse.parse(path.read_text(encoding="utf-8", errors="replace"), path.name)
                if spec is not None:
                    self._cascades.setdefault(spec.name, []).append((path, spec.version))
        return self._cascades

    def cascade_names(self) -> dict[str, list[Path]]:
        """The files of every cascade of the workspace by its name."""
        return {name: [path for path, _ in there] for name, there in self._all_cascades().items()}

    def model(self, name: str, wanted: str | None, span: Span) -> Any:
        """A loaded model package."""
        from engine.models import package

        folder = self.workspace.model(name, wanted)
        if folder is None:
            versions = self.workspace.model_versions(name)
            if versions:
                self.report("version-does-not-fit", f"`{name}` is there as {', '.join(versions)}, `{wanted}` is asked for", span)
            else:
                hint = suggest(name, self.workspace.model_names()) or f"it would stand in `models/{name}/VERSION/`"
                self.report("unknown-component", f"there is no model `{name}`", span, hint)
            return None
        if ("model", str(folder)) not in self._checked:
            self._checked[("model", str(folder))] = None
            try:
                model = package.load(folder, allow=self.allow) if self.models else package.describe(folder)
            except ModelError as error:
                self.report("model-refused", str(error).replace("\n", " ").rstrip("."), span)
                return None
            if (model.name, model.version) != (name, folder.name):
                message = f"the folder `{self.workspace.label(folder)}` holds another model, `{model.name} {model.version}`"
                self.report("model-refused", message, span, "put the package where its `model.yaml` says it belongs")
                return None
            self._checked[("model", str(folder))] = model
            self.workspace.note(folder / "model.yaml")
            self.add("model", name, folder.name, [("model.yaml", (folder / "model.yaml").read_bytes())])
        return self._checked[("model", str(folder))]
