"""The edit that mends a place where reading stopped, where one edit does; and the mending of a whole text by its safe edits.

An edit is safe where what was meant cannot be in doubt: then the text says after it what any reader took it to say before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.currencies import DIGITS
from engine.diagnostics import Diagnostic, Fix, Span, errors
from engine.lang.nulls import asks

if TYPE_CHECKING:
    from engine.lang.scan import Tok
    from engine.lang.stopped import Mistake


def edit(m: Mistake, code: str) -> Fix | None:
    """The edit for a mistake that was told under `code`."""
    make = _EDITS.get(code)
    return None if make is None or m.found is None else make(m, m.found)


def _then(m: Mistake, found: Tok) -> Fix | None:
    # `flag` may also go on with the condition, where an `and` is missing
    return Fix(_before(found), f"{m.words.shown['THEN']} ", safe=found.value != "flag")


def _is_not(m: Mistake, found: Tok) -> Fix | None:
    before, word = m.before, m.next.value if m.next else ""
    if before is None or before.line != found.line or found.value != "not":
        return None
    terminal = {"missing": "KNOWN", "null": "KNOWN", "known": "MISSING"}.get(word)
    if terminal is None or m.next is None or m.next.line != found.line:
        return Fix(_over(before, found), "!=", safe=m.next is not None and m.next.kind in ("STRING", "NUMBER", "DATE"))
    return Fix(_over(before, m.next), asks(m.words, terminal), safe=True)


def _is_value(m: Mistake, found: Tok) -> Fix | None:
    # `is unknown` may mean `is missing`, but nobody says that with a number or a text
    return (
        None
        if m.before is None
        else Fix(m.before.span, "=", safe=found.kind in ("STRING", "NUMBER", "DATE") or found.type in ("TRUE", "FALSE"))
    )


def _gap(m: Mistake, found: Tok) -> Fix | None:
    # in a list a comma may be missing
    if m.before is None or m.before.line != found.line:
        return None
    alone = sum((token.kind == "LPAR") - (token.kind == "RPAR") for token in m.tokens[: m.index]) <= 0
    return Fix(_over(m.before, found), f"{m.before.written}_{found.written}", safe=alone)


def _unit(m: Mistake, found: Tok) -> Fix | None:
    # how many was not said
    return Fix(_before(found), "1 ") if found.kind == "WORD" else None


def _syntax(m: Mistake, found: Tok) -> Fix | None:
    """Those mistakes that have no code of their own: a comma missing between effects, a currency in small letters."""
    if m.before is None or m.before.line != found.line:
        return None
    if found.value in ("score", "flag", "set", "outcome") and "COMMA" in m.accepts and m.clause == "THEN":
        span = m.before.span
        return Fix(Span(span.file, span.line, span.end, span.end), ",", safe=True)
    if m.before.kind == "NUMBER" and found.kind == "WORD" and found.written.upper() in DIGITS and found.written.islower():
        return Fix(found.span, found.written.upper(), safe=found.type in ("NAME", "PATH"))
    return None


_EDITS: Final[dict[str, Callable[[Mistake, Tok], Fix | None]]] = {
    "missing-then": _then,
    "is-not": _is_not,
    "is-value": _is_value,
    "number-gap": _gap,
    "bare-unit": _unit,
    "syntax": _syntax,
}


def _before(token: Tok) -> Span:
    return Span(token.file, token.line, token.column, token.column)


def _over(first: Tok, last: Tok) -> Span:
    return Span(first.file, first.line, first.column, last.end_column)


# --- a whole text ----------------------------------------------------------------------------------------------------

_ROUNDS: Final = 20


@dataclass(frozen=True, slots=True)
class Mended:
    """A text after its safe edits: what they were, each with the problem it mends, and the problems left, warnings among them."""

    text: str
    done: tuple[Diagnostic, ...]
    left: tuple[Diagnostic, ...]


def mend(text: str, file: str, problems_of: Callable[[str, str], list[Diagnostic]]) -> Mended:
    """Apply safe edits as long as each round leaves fewer errors than it found; a round that does not is taken back."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    done: list[Diagnostic] = []
    left = problems_of(text, file)
    for _ in range(_ROUNDS):
        chosen = _chosen(left)
        new = _applied(text, chosen)
        after = problems_of(new, file) if chosen else left
        if len(errors(after)) >= len(errors(left)):
            break
        done += chosen
        text, left = new, after
    return Mended(text, tuple(done), tuple(left))


def _chosen(problems: list[Diagnostic]) -> list[Diagnostic]:
    """The errors with a safe edit, by place; of edits that overlap the first."""
    chosen: list[Diagnostic] = []
    end = (0, 0)
    fixable = [(one.fix, one) for one in errors(problems) if one.fix is not None and one.fix.safe]
    for fix, one in sorted(fixable, key=lambda each: (each[0].span.line, each[0].span.column, -each[0].span.end)):
        if (fix.span.line, fix.span.column) >= end:
            chosen.append(one)
            end = (fix.span.line, max(fix.span.end, fix.span.column + 1))
    return chosen


def _applied(text: str, chosen: list[Diagnostic]) -> str:
    lines = text.split("\n")
    for one in reversed(chosen):
        if one.fix is not None:
            span, line = one.fix.span, lines[one.fix.span.line - 1]
            lines[span.line - 1] = line[: span.column - 1] + one.fix.text + line[span.end - 1 :]
    return "\n".join(lines)
