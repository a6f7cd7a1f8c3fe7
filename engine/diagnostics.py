"""Problems in what people wrote: where, what, and what to do. Rendered as text for people and as JSON for tools.

A message is one line in lower case without a final stop, in the analyst's words, with user text in backticks.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Made:
    """A rule made from a template: its id, where it is made, and with what."""

    rule: str
    span: Span
    filled: str


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a file: `line` and `column` count from 1, `end` is the column after the last character.

    A span never reaches over its line's end: what goes on is marked to the end of the first line. What stands in a template and was
    read for a rule made from it says for which: `made`.
    """

    file: str
    line: int
    column: int
    end: int = 0
    made: Made | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Span("", 0, 0)


@dataclass(frozen=True, slots=True, order=True)
class Fix:
    """What to write in place of the characters at `span`, on one line; `safe` where the meaning cannot be in doubt."""

    span: Span
    text: str
    safe: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The form of ``--json``."""
        place = {"line": self.span.line, "column": self.span.column, "end": self.span.end}
        return {**place, "text": self.text, "safe": self.safe}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem. `related` are other places with a word each; `hint` says what to do, `fix` how to mend it, where that is one edit.

    >>> Diagnostic("unknown-name", "unknown field `amoutn`", Span("a.rules", 3, 8, 14), hint="did you mean `amount`?").code
    'unknown-name'
    """

    code: str
    message: str
    span: Span
    related: tuple[tuple[str, Span], ...] = ()
    hint: str | None = None
    severity: str = field(default="error")
    fix: Fix | None = None

    def __post_init__(self) -> None:
        if "\n" in self.message or self.message.endswith(".") or not re.fullmatch(r"[a-z][a-z0-9-]*", self.code):
            raise ValueError(f"a diagnostic is one line without a final stop, with a code in small letters: {self.message!r}")

    def to_dict(self) -> dict[str, Any]:
        """The form of ``--json``."""
        place = {"file": self.span.file, "line": self.span.line, "column": self.span.column, "end": self.span.end}
        related = [{"message": m, "file": s.file, "line": s.line, "column": s.column} for m, s in self.related]
        fix = {} if self.fix is None else {"fix": self.fix.to_dict()}
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            **place,
            "hint": self.hint,
            "related": related,
            **fix,
        }


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sorted by place, then code; each once."""
    return sorted(set(diagnostics), key=lambda d: (d.span, d.code, d.message))


def errors(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Those that stop a load; warnings do not."""
    return [d for d in diagnostics if d.severity == "error"]


def suggest(name: str, choices: Iterable[str]) -> str | None:
    """A hint naming the choice most like `name`, if one is near enough.

    >>> suggest("amoutn", ["amount", "account"])
    'did you mean `amount`?'
    """
    near = nearest(name, choices)
    return None if near is None else f"did you mean `{near}`?"


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like `name`, if one is near enough.

    >>> nearest("wiht", ["with", "when"]), nearest("retries", ["with", "when"])
    ('with', None)
    """
    near = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return near[0] if near else None


def render(diagnostics: Iterable[Diagnostic], sources: dict[str, str]) -> str:
    """All diagnostics as text with the source line and a caret; `sources` maps file names to their text.

    >>> print(render([Diagnostic("x", "odd word", Span("a.rules", 1, 6, 9))], {"a.rules": "rule odd"}))
    a.rules:1:6: error[x]: odd word
        rule odd
             ^^^
    """
    lines: dict[str, list[str]] = {}
    parts = []
    for diagnostic in in_order(diagnostics):
        parts.append(f"{diagnostic.span}: {diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}")
        parts.extend(_drawn(diagnostic.span, sources, lines))
        for message, span in diagnostic.related:
            parts.append(f"  {span}: {message}")
        if diagnostic.hint:
            parts.append(f"  = {diagnostic.hint}")
    return "\n".join(parts)


def _drawn(span: Span, sources: dict[str, str], lines: dict[str, list[str]]) -> list[str]:
    if span.file not in lines:
        lines[span.file] = sources.get(span.file, "").split("\n")
    text = lines[span.file]
    if not 1 <= span.line <= len(text):
        return []
    line = text[span.line - 1].rstrip("\r")
    start = max(span.column - 1, 0)
    width = max(min(span.end or span.column + 1, len(line) + 1) - span.column, 1)
    # a very long line is shown around the place only
    cut = max(start - 60, 0) if len(line) > 160 else 0
    shown = line[cut : cut + 160].replace("\t", " ")
    return [f"    {shown}", "    " + " " * (start - cut) + "^" * min(width, max(160 - (start - cut), 1))]
