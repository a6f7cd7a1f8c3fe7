"""Who reads whom among the declarations of a file, and an order in which each comes after what it reads; circles by name.

It works on the names in the syntax tree alone: it runs before any type is known.
"""

from __future__ import annotations

import graphlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.lang import ast, ir

if TYPE_CHECKING:
    from engine.diagnostics import Span
    from engine.lang.problems import Report

_MOST_CIRCLES = 20


def mentioned(*nodes: Any) -> set[str]:
    """The columns the nodes name: plain names, ``flags.x``, ``hit("ID")``."""
    return set(_mentions(list(nodes)))


def _mentions(waiting: list[Any]) -> Iterator[str]:
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            yield node.path
        elif isinstance(node, ast.HasFlag):
            yield f"flags.{node.name}"
        elif isinstance(node, ast.Call) and node.name == "hit" and node.args and isinstance(node.args[0], ast.Literal):
            yield ir.hit(node.args[0].text)
        if isinstance(node, tuple):
            waiting.extend(node)
        elif isinstance(node, ast.Node):
            waiting.extend(getattr(node, name) for name in _parts(type(node)))  # type: ignore[arg-type]  # a class is hashed as itself


@cache
def _parts(kind: type[Any]) -> tuple[str, ...]:
    return tuple(part.name for part in fields(kind) if part.name != "span")


@dataclass(slots=True)
class Declared:
    """One declaration in the graph: what it is called in messages, where it stands, and the names it reads."""

    label: str
    span: Span
    reads: set[str] = field(default_factory=set)


def ordered(nodes: dict[str, Declared], report: Report) -> tuple[list[str], set[str]]:
    """The names so that each comes after those it reads, otherwise as written; and those that stand in circles, which are reported."""
    position = {name: place for place, name in enumerate(nodes)}
    links = {name: [read for read in node.reads if read in nodes] for name, node in nodes.items()}
    broken: set[str] = set()
    for _ in range(_MOST_CIRCLES):
        sorter = graphlib.TopologicalSorter({name: reads for name, reads in links.items() if name not in broken})
        try:
            sorter.prepare()
        except graphlib.CycleError as problem:
            circle = problem.args[1]
            _report(circle[:-1], nodes, position, report)
            broken.update(circle)
            links = {name: [read for read in reads if read not in broken] for name, reads in links.items()}
            continue
        return _drained(sorter, position), broken
    return [], set(nodes)


def _drained(sorter: graphlib.TopologicalSorter[str], position: dict[str, int]) -> list[str]:
    """Of those whose reads are all done, always the one that stands first."""
    order: list[str] = []
    ready: list[tuple[int, str]] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, (position[name], name))
        name = heapq.heappop(ready)[1]
        order.append(name)
        sorter.done(name)
    return order


def _report(circle: list[str], nodes: dict[str, Declared], position: dict[str, int], report: Report) -> None:
    # graphlib lists each before those that read it; turned round, each is followed by what it reads
    circle = circle[::-1]
    start = circle.index(min(circle, key=position.__getitem__))
    circle = circle[start:] + circle[:start]
    first, *rest = [nodes[name].label for name in [*circle, circle[0]]]
    chain = f"{first} needs " + ", which needs ".join(rest)
    places = {nodes[name].span: nodes[name].label for name in circle if nodes[name].span != nodes[circle[0]].span}
    related = tuple((f"{label} stands here", span) for span, label in places.items())
    report.error(
        "circle", f"nothing here can come first: {chain}", nodes[circle[0]].span, "let one of them decide without the other", related
    )
