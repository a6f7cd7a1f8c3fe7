"""The files people write: found under the paths they name, and checked with everything they refer to.

It collects diagnostics and runs no test.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from engine.cascade.components import Components
from engine.diagnostics import Diagnostic, Span, errors, in_order, render
from engine.errors import SourceError
from engine.lang.check import check_tests
from engine.lang.exemptions import past
from engine.lang.parse import parse
from engine.lang.retell import format_in
from engine.lang.words import LANGUAGES
from engine.loaded import load
from engine.registry.store import Workspace

RULES, CASCADE = (".rules",), (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Found:
    """One file and the workspace it belongs to."""

    path: Path
    workspace: Workspace

    @property
    def name(self) -> str | None:
        """The name a component at this place has; none for a file outside of ``rulesets/``."""
        root = self.workspace.folder / "rulesets"
        return self.path.relative_to(root).with_suffix("").as_posix() if self.path.is_relative_to(root) else None


@dataclass(slots=True)
class Checked:
    """All problems of all files, with the texts they point into."""

    files: int = 0
    diagnostics: list[Diagnostic] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return bool(errors(self.diagnostics))

    def rendered(self) -> str:
        """All problems as text."""
        return render(self.diagnostics, self.texts)

    def take(self, components: Components, prefix: str) -> None:
        """Add what a workspace's components found; `prefix` leads from here to the workspace."""
        self.diagnostics = in_order([*self.diagnostics, *(moved(one, prefix) for one in components.diagnostics)])
        self.texts |= {prefix + label: text for label, text in components.texts.items()}


def find(paths: Iterable[str | Path]) -> list[Found]:
    """Rule files and cascades: those named, and all below the folders named. Raises `OSError` for a name that stands for none."""
    files: dict[Path, None] = {}
    for given in map(Path, paths):
        if not given.exists():
            raise FileNotFoundError(errno.ENOENT, "there is no such file or folder", str(given))
        if not given.is_dir() and given.suffix not in (*RULES, *CASCADE):
            raise OSError(errno.EINVAL, "this is neither a rule file (.rules) nor a cascade (.yaml)", str(given))
        there = sorted(_below(given.resolve())) if given.is_dir() else [given.resolve()]
        if not there:
            raise FileNotFoundError(errno.ENOENT, "no rule file in `rulesets/` and no cascade in `cascades/` stands below it", str(given))
        files |= dict.fromkeys(there)
    return [Found(path, Workspace.around(path)) for path in files]


def _below(folder: Path) -> Iterator[Path]:
    root = Workspace.around(folder / "any").folder
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts) or not path.is_file():
            continue
        inside = path.relative_to(root).parts
        if (path.suffix in RULES and "rulesets" in inside) or (path.suffix in CASCADE and "cascades" in inside):
            yield path


def check(*paths: str | Path, on: date | None = None) -> list[Diagnostic]:
    """Every problem of the rule files and cascades at `paths`, folders or files, sorted by place; warnings among them. With `on`, a day,
    also which exceptions have ended before it: nothing here asks the clock.

    >>> check("examples/purchase_cards")                                             # doctest: +SKIP
    []
    """
    return check_all(find(paths or ["."]), on).diagnostics


def check_all(found: Iterable[Found], day: date | None = None) -> Checked:
    """As `check`, with the texts the diagnostics point into. Every workspace's components are loaded once, cascades one by one."""
    checked = Checked()
    shared: dict[Path, Components] = {}
    for one in found:
        checked.files += 1
        folder = one.workspace.folder
        if one.path.suffix in CASCADE:
            _, components = load(one.path, Workspace(folder))
            checked.take(components, leading(folder))
        else:
            check_rules(shared.setdefault(folder, Components(one.workspace)), one, day)
    for folder, components in shared.items():
        checked.take(components, leading(folder))
    return checked


def check_rules(components: Components, found: Found, day: date | None = None) -> None:
    """Check one file of the language, and the tests in it; with a `day`, whether its exceptions have ended before it."""
    tree = components.tree(found.path)
    if tree is None:
        return
    name, span = found.name, tree.name.span
    if name is None:
        message = f"`{tree.name.text}` stands outside of `rulesets/`, where nothing finds it"
        components.report("unknown-component", message, span, f"put it at `rulesets/{tree.name.text}.rules`")
    elif tree.kind == "record":
        components.record(name, None, span)
    elif tree.kind == "list":
        components.list_values(name, None, span)
    elif tree.kind == "table":
        components.table(name, None, span)
    elif tree.kind == "rates":
        components.rates(name, None, span)
    elif tree.kind == "templates":
        components.templates(name, None, span)
    elif tree.kind == "features":
        components.features(name, None, span)
    else:
        rules, env = components.rules(name, None, span), components.environment(name)
        if rules is not None and env is not None:
            components.diagnostics += check_tests(tree, rules, env)[1] + ([] if day is None else past(rules, day))


def leading(folder: Path) -> str:
    """What leads from the current folder to a workspace, as people write it before a file's name."""
    here = Path.cwd().resolve()
    if folder == here:
        return ""
    return (folder.relative_to(here) if folder.is_relative_to(here) else folder).as_posix() + "/"


def moved(one: Diagnostic, prefix: str) -> Diagnostic:
    """A diagnostic of a workspace with its files named from here."""
    related = tuple((message, _within(span, prefix)) for message, span in one.related)
    fix = None if one.fix is None else replace(one.fix, span=_within(one.fix.span, prefix))
    return replace(one, span=_within(one.span, prefix), related=related, fix=fix)


def _within(span: Span, prefix: str) -> Span:
    return Span(prefix + span.file, span.line, span.column, span.end) if span.file else span


def formatted(text: str, file: str = "text", language: str | None = None) -> str:
    """Rule text in its one look; comments stay. Raises `SourceError` for text that does not read. It is `engine.format`.

    With `language` (``en``, ``ru``, ``da``) its keywords are put into that one; `SourceError` too where a name is a word of it.

    >>> print(formatted('list geo/far version 1.0.0 values ("IR","KP")'))
    list geo/far version 1.0.0
    <BLANKLINE>
    values ("IR", "KP")
    <BLANKLINE>
    """
    tree, problems = parse(text, file)
    if tree is None or errors(problems):
        raise SourceError(in_order(problems), render(problems, {file: text}))
    new = format_in(tree, language)
    if language is not None:
        again, problems = parse(new, file)
        if again != tree:
            taken = next((one for one in problems), Diagnostic("other-language", "a name in this file is a word there", tree.name.span))
            message = f"this file cannot be put into {LANGUAGES[language]}: there {taken.message[:1].lower()}{taken.message[1:]}"
            hint = "a name in it is a word of that language: choose another name"
            refused = Diagnostic("other-language", message, tree.name.span, hint=hint)
            raise SourceError([refused], render([refused], {file: text}))
    return new
