"""Collecting problems while a file is checked, so that all of them are told at once. It knows nothing of what is checked."""

from __future__ import annotations

from collections.abc import Iterable

from engine.diagnostics import Diagnostic, Span, suggest

_SUGGESTIONS = 40


class Report:
    """The problems found so far. Suggestions are looked for only `_SUGGESTIONS` times: they are slow among many names."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self._suggested = 0

    def error(self, code: str, message: str, span: Span, hint: str | None = None, related: tuple[tuple[str, Span], ...] = ()) -> None:
        """Note a problem that stops a load."""
        self.found.append(Diagnostic(code, message, span, related, hint))

    def warning(self, code: str, message: str, span: Span, hint: str | None = None) -> None:
        """Note a finding that stops nothing."""
        self.found.append(Diagnostic(code, message, span, (), hint, "warning"))

    def suggest(self, name: str, choices: Iterable[str]) -> str | None:
        """A hint naming the choice most like `name`."""
        self._suggested += 1
        return suggest(name, choices) if self._suggested <= _SUGGESTIONS else None

    @property
    def failed(self) -> bool:
        """Whether something was found that stops a load."""
        return any(problem.severity == "error" for problem in self.found)
