"""What to write in place of a comparison with `null`, where that is clear from what stands before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from engine.diagnostics import Fix, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lang.words import Words


class Before(NamedTuple):
    """What stands before the place: as it is written, and where."""

    written: str
    span: Span


_CONDITIONS: Final = ("WHEN", "UNLESS", "WHERE")
_BINDINGS: Final = ("GIVEN", "EXPECT")
_OTHERS: Final = ("DEFINE", "PARAM", "LIST", "FEATURE", "THEN", "ON", "TEST", "STORY", "RULE", "WITH")


def instead_of_null(before: Sequence[Before], null: Span, words: Words) -> Fix | None:
    """The edit from the comparison to the end of `null`: `is missing`, `is known`, or `missing` in a test; none where it is not clear."""
    signs = [token.written for token in before[-2:]]
    if len(before) < 2 or before[-1].span.line != null.line:
        return None
    is_, not_, missing = (words.shown[terminal] for terminal in ("IS", "NOT", "MISSING"))
    start, there = before[-1], False
    if signs == [is_, not_] and before[-2].span.line == null.line:
        start, there = before[-2], True
    elif signs[-1] == "!=":
        there = True
    elif signs[-1] not in ("=", is_):
        return None
    span = Span(null.file, null.line, start.span.column, null.end)
    clause = _clause(before, words)
    if clause in _CONDITIONS or (clause == "DEFINE" and signs[-1] != "="):
        return Fix(span, asks(words, "KNOWN" if there else "MISSING"), safe=True)
    return Fix(span, missing, safe=True) if clause in _BINDINGS and not there else None


def asks(words: Words, terminal: str) -> str:
    """How `is missing` or `is known` is written.

    >>> from engine.lang.words import load_words
    >>> asks(load_words(), "KNOWN"), asks(load_words("da"), "MISSING")
    ('is known', 'er manglende')
    """
    forms = words.forms[terminal]
    fitting = next((form for form in forms if any("IS" in others for _, others in form.fits)), forms[0])
    return f"{words.shown['IS']} {fitting.text}"


def _clause(before: Sequence[Before], words: Words) -> str | None:
    """The terminal of the clause in which the comparison stands, as far as words alone tell."""
    begins = {words.shown[terminal]: terminal for terminal in (*_CONDITIONS, *_BINDINGS, *_OTHERS)}
    return next((begins[token.written] for token in reversed(before) if token.written in begins), None)
