"""Collecting problems while a file is checked, so that all of them are told at once. It knows nothing of what is checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from engine.diagnostics import Diagnostic, Made, Span, suggest

_SUGGESTIONS = 40
_USES = 3  # of a template that are shown with a mistake in it


class Report:
    """The problems found so far. Suggestions are looked for only `_SUGGESTIONS` times: they are slow among many names."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self._suggested = 0
        self._made: dict[Diagnostic, tuple[int, int]] = {}

    def error(self, code: str, message: str, span: Span, hint: str | None = None, related: tuple[tuple[str, Span], ...] = ()) -> None:
        """Note a problem that stops a load."""
        self._note(Diagnostic(code, message, span, related, hint))

    def warning(self, code: str, message: str, span: Span, hint: str | None = None) -> None:
        """Note a finding that stops nothing."""
        self._note(Diagnostic(code, message, span, (), hint, "warning"))

    def add(self, one: Diagnostic) -> None:
        """Note a problem that was found elsewhere."""
        self._note(one)

    def _note(self, one: Diagnostic) -> None:
        """What is wrong in a template is said once, in the template's own names, with the first of the rules made from it."""
        made = one.span.made
        if made is None:
            self.found.append(one)
            return
        said = replace(one, message=_plain(one.message, made), hint=None if one.hint is None else _plain(one.hint, made), related=())
        key = replace(said, hint=None)
        place, uses = self._made.get(key, (len(self.found), 0))
        self._made[key] = place, uses + 1
        if not uses:
            self.found.append(replace(said, related=(*one.related, (f"in `{made.rule}`, which is {made.filled}", made.span))))
        elif uses < _USES:
            there = self.found[place]
            self.found[place] = replace(there, related=(*there.related, (f"and in `{made.rule}`", made.span)))

    def suggest(self, name: str, choices: Iterable[str]) -> str | None:
        """A hint naming the choice most like `name`."""
        self._suggested += 1
        return suggest(name, choices) if self._suggested <= _SUGGESTIONS else None

    @property
    def errors(self) -> int:
        """How many problems stop a load."""
        return sum(problem.severity == "error" for problem in self.found)

    @property
    def failed(self) -> bool:
        """Whether something was found that stops a load."""
        return any(problem.severity == "error" for problem in self.found)


def _plain(message: str, made: Made) -> str:
    """A message with the names that stand in the template."""
    return message.replace(f"{made.rule}.", "")
