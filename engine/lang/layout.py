"""Lines that remember where in the source they came from, and the comments put back among them. It knows no grammar."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.lang.ast import Comment

WIDTH: Final = 100


@dataclass(slots=True)
class Line:
    """One line of output; `source` is the line it came from (0: unknown).

    `top` marks the first line of a declaration, `gap` asks for a blank line before it. `above` and `beside` are its comments.
    """

    text: str
    source: int = 0
    top: bool = False
    gap: bool = False
    above: list[str] = field(default_factory=list)
    beside: str = ""


def fill(start: str, parts: Sequence[tuple[str, int]], source: int, indent: str = "    ", end: str = "") -> list[Line]:
    """`start`, the parts with commas between, `end`; broken after a comma where a line would grow too long.

    >>> [line.text for line in fill("given ", [("a = 1", 1), ("b = 2", 1)], 1)]
    ['given a = 1, b = 2']
    """
    lines = [Line(start, source)]
    for index, (part, place) in enumerate(parts):
        last = index == len(parts) - 1
        piece = part + (end if last else ",")
        current = lines[-1]
        if index and len(current.text) + 1 + len(piece) > WIDTH:
            lines.append(Line(indent + piece, place))
        else:
            current.text += (" " if index else "") + piece
    return lines


def put_back(lines: list[Line], comments: Iterable[Comment]) -> str:
    """The text of `lines` with every comment near the line it stood at.

    A comment on a line of its own goes above the line that followed it; one behind code stays behind what stood there.
    """
    by_source = sorted((i for i, line in enumerate(lines) if line.source), key=lambda i: lines[i].source)
    sources = [lines[i].source for i in by_source]
    after: list[Comment] = []
    previous: dict[int, int] = {}
    for comment in sorted(comments, key=lambda c: (c.span.line, c.span.column)):
        place = comment.span.line
        if comment.own_line:
            at = bisect_right(sources, place)
            if at == len(sources):
                after.append(comment)
            else:
                _above(lines[by_source[at]], comment, previous, by_source[at])
        else:
            _beside(lines, by_source, sources, comment)
    _close_gaps(lines, previous)
    return _text(lines, after)


def _above(line: Line, comment: Comment, previous: dict[int, int], index: int) -> None:
    """`previous` maps a line to the source line of the last comment above it."""
    if line.top and index in previous and comment.span.line > previous[index] + 1:
        line.above.append("")
    line.above.append(comment.text)
    previous[index] = comment.span.line


def _close_gaps(lines: list[Line], previous: dict[int, int]) -> None:
    """A blank line between a comment and the declaration under it stays."""
    for index, place in previous.items():
        line = lines[index]
        if line.top and line.source > place + 1:
            line.above.append("")


def _beside(lines: list[Line], by_source: list[int], sources: list[int], comment: Comment) -> None:
    at = bisect_right(sources, comment.span.line) - 1
    same = bisect_left(sources, sources[at])
    index = max(by_source[same : at + 1])
    if lines[index].beside:
        lines[index].above.append(comment.text)
    else:
        lines[index].beside = comment.text


def _text(lines: list[Line], after: list[Comment]) -> str:
    out: list[str] = []
    for line in lines:
        if out and (line.gap or (line.top and line.above and not line.text.startswith(" "))):
            out.append("")
        indent = line.text[: len(line.text) - len(line.text.lstrip())]
        out += [indent + text if text else "" for text in line.above]
        out.append(line.text + (f"  {line.beside}" if line.beside else ""))
    for index, comment in enumerate(after):
        if index == 0 or comment.span.line > after[index - 1].span.line + 1:
            out.append("")
        out.append(comment.text)
    return "\n".join(out) + "\n"
