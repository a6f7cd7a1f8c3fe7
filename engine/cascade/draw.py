"""A linked cascade as a drawing: text, Mermaid or SVG. Steps stand in layers, each reading only layers before it; the versions of a lock
likewise, each asking only for those before it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from engine.cascade.graph import generations
from engine.cascade.link import Linked
from engine.cascade.wiring import StepBuild
from engine.registry.manifest import Component
from engine.registry.published import Need

FORMATS = ("text", "mermaid", "svg")
_HASH = len("sha256:") + 12
"""So much of a hash tells versions apart in a drawing."""


@dataclass(frozen=True, slots=True)
class Node:
    """One step: its kind, its component, the gate before it, and what it reads of whom. Or a version, and what it asks of whom."""

    name: str
    kind: str
    component: str
    gate: str | None = None
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """What stands in the box below the name."""
        gate = [f"when {self.gate}"] if self.gate else []
        return [f"{self.kind} {self.component}", *gate, *(f"{source}: {', '.join(columns)}" for source, columns in self.reads.items())]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A cascade's steps in layers; or a lock's versions, which have no record and decide nothing."""

    title: str
    record: str
    decision: str
    layers: tuple[tuple[Node, ...], ...]
    verb: str = "reads"

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(node for layer in self.layers for node in layer)


def drawing(linked: Linked) -> Drawing:
    """What there is to draw of a cascade."""
    versions = {(component.kind, component.name): str(component) for component in linked.components}
    kinds = {"rules": "ruleset"}
    builds = {build.name: build for build in linked.builds}
    nodes = {}
    for step in linked.spec.steps:
        component = versions.get((kinds.get(step.kind, step.kind), step.component.name), step.component.name)
        nodes[step.name] = Node(step.name, step.kind, component, step.when.text if step.when else None)
    for group in linked.plan.history:
        own = group.prefix.rstrip(".")
        if own not in nodes and own.partition(".")[0] not in nodes:
            nodes[own] = Node(own, "features", f"{group.features.name}@{group.features.version}")
    reads = {name: _reads(builds[name], nodes) if name in builds else {} for name in nodes}
    nodes = {name: Node(node.name, node.kind, node.component, node.gate, reads[name]) for name, node in nodes.items()}
    layers = generations({name: {source: frozenset(columns) for source, columns in node.reads.items()} for name, node in nodes.items()})
    record = f"{linked.plan.record.name}@{linked.plan.record.version}"
    ordered = tuple(tuple(nodes[name] for name in nodes if name in layer) for layer in layers)
    return Drawing(f"{linked.spec.name}@{linked.spec.version}", record, linked.plan.decision, ordered)


def _reads(build: StepBuild, nodes: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    """The columns of other steps that a step reads, by step."""
    columns = {column for step in (build.before, build.closed) if step is not None for column in step.reads}
    found: dict[str, list[str]] = {}
    for column in sorted(columns):
        source = next((name for name in nodes if column.startswith(f"{name}.")), None)
        if source is not None and source != build.name and "@" not in column:
            found.setdefault(source, []).append(column.removeprefix(f"{source}."))
    return {source: tuple(found[source]) for source in nodes if source in found}


def versions(title: str, needs: Mapping[Component, Iterable[Need]], drafts: Iterable[Component] = ()) -> Drawing:
    """What there is to draw of components that go together: who asks whom for which range."""
    often, unpublished = Counter(map(str, needs)), set(drafts)
    names = {(one.kind, one.name): str(one) if often[str(one)] == 1 else f"{one.kind}:{one}" for one in needs}
    nodes = {}
    for one, asked in needs.items():
        reads = {names[need.kind, need.name]: (need.range or "any version",) for need in asked if (need.kind, need.name) in names}
        name = names[one.kind, one.name]
        nodes[name] = Node(name, one.kind, "draft" if one in unpublished else one.hash[:_HASH], None, reads)
    layers = generations({name: {source: frozenset(asked) for source, asked in node.reads.items()} for name, node in nodes.items()})
    return Drawing(title, "", "", tuple(tuple(nodes[name] for name in nodes if name in layer) for layer in layers), "asks for")


def text(*drawings: Drawing) -> str:
    """The layers from top to bottom, each step with what it reads."""
    return "\n\n".join(map(_text, drawings))


def _text(drawn: Drawing) -> str:
    width = max((len(node.name) for node in drawn.nodes), default=0)
    lines = [drawn.title + (f" on {drawn.record}" if drawn.record else "")]
    for number, layer in enumerate(drawn.layers, start=1):
        lines.append("")
        for node in layer:
            mark = " (decides)" if node.name == drawn.decision else ""
            head, *rest = node.lines()
            lines.append(f"{number:>2}  {node.name:<{width}}  {head}{mark}")
            lines += [f"    {'':<{width}}    {line if line.startswith('when ') else f'{drawn.verb} {line}'}" for line in rest]
    return "\n".join(lines)


def mermaid(*drawings: Drawing) -> str:
    """A Mermaid flowchart, as Markdown pages and wikis show it; several drawings each in a frame."""
    lines = ["flowchart LR"]
    for number, drawn in enumerate(drawings):
        framed = len(drawings) > 1
        lines += [f'  subgraph g{number}["{_mermaid(drawn.title)}"]'] if framed else []
        lines += _flow(drawn, "s" if number == 0 else f"g{number}s")
        lines += ["  end"] if framed else []
    return "\n".join(lines)


def _flow(drawn: Drawing, prefix: str) -> Iterator[str]:
    ids = {node.name: f"{prefix}{place}" for place, node in enumerate(drawn.nodes)}
    for node in drawn.nodes:
        shape = ('(["', '"])') if node.name == drawn.decision else ('["', '"]')
        gate = f"<br/>when {_mermaid(node.gate)}" if node.gate else ""
        yield f"  {ids[node.name]}{shape[0]}<b>{_mermaid(node.name)}</b><br/>{node.kind} {_mermaid(node.component)}{gate}{shape[1]}"
    for node in drawn.nodes:
        for source, columns in node.reads.items():
            yield f'  {ids[source]} -->|"{_mermaid("<br/>".join(columns))}"| {ids[node.name]}'


def _mermaid(words: str) -> str:
    return (
        words.replace("<br/>", "\n")
        .replace("&", "#amp;")
        .replace('"', "#quot;")
        .replace("<", "#lt;")
        .replace(">", "#gt;")
        .replace("\n", "<br/>")
    )


# --- SVG -------------------------------------------------------------------------------------------------------------

_WIDTH, _GAP, _BETWEEN, _LINE, _PAD, _LETTERS = 290, 70, 22, 16, 12, 44
_LANE = 18
"""The height kept free for an arrow that passes a layer."""

_COLOURS = {"rules": "#e8f0fe", "ruleset": "#e8f0fe", "features": "#e6f4ea", "model": "#fef7e0", "cascade": "#f3e8fd", "record": "#fce8e6"}
_OTHER = "#f1f3f4"
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#202124}.n{font-weight:600;font-size:14px}.t{font-size:16px;font-weight:600}"
    ".r{fill:#5f6368}.b{stroke:#80868b}.d{stroke:#174ea6;stroke-width:2.5}.e{fill:none;stroke:#9aa0a6;stroke-width:1.5}"
)


@dataclass(slots=True)
class _Box:
    """A step's box, or the lane of an arrow that passes a layer (`node` is none)."""

    node: Node | None
    layer: int
    height: int
    sources: list[_Box] = field(default_factory=list)
    x: int = 0
    y: int = 0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def svg(*drawings: Drawing) -> str:
    """Drawings that stand alone, one below the other: boxes in layers from left to right, each saying what it reads."""
    bodies = [_body(drawn) for drawn in drawings]
    width, height = max(body[1] for body in bodies), sum(body[2] for body in bodies)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{escape(drawings[0].title)}</title><style>{_STYLE}</style>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#9aa0a6"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    top = 0
    for body, _, tall in bodies:
        parts += [f'<g transform="translate(0 {top})">', *body, "</g>"]
        top += tall
    return "\n".join([*parts, "</svg>"])


def _body(drawn: Drawing) -> tuple[list[str], int, int]:
    """What is drawn of one drawing, how wide and how tall it is."""
    layers = _boxes(drawn)
    _place(layers)
    width = max((box.x + _WIDTH for layer in layers for box in layer), default=0) + _PAD
    height = max((box.y + box.height for layer in layers for box in layer), default=0) + _PAD
    parts = [
        f'<text class="t" x="{_PAD}" y="26">{escape(drawn.title)}</text>',
        *([f'<text class="r" x="{_PAD}" y="44">on {escape(drawn.record)}</text>'] if drawn.record else []),
        *(_arrow(source, box) for layer in layers for box in layer for source in box.sources),
        *(_drawn(box, box.node, drawn.decision) for layer in layers for box in layer if box.node),
    ]
    return parts, width, height


def _boxes(drawn: Drawing) -> list[list[_Box]]:
    layers: list[list[_Box]] = [[] for _ in drawn.layers]
    boxes: dict[str, _Box] = {}
    for depth, layer in enumerate(drawn.layers):
        for node in layer:
            box = boxes[node.name] = _Box(node, depth, 2 * _PAD + 10 + _LINE * len(_wrapped(node)))
            layers[depth].append(box)
    for node in drawn.nodes:
        for source in node.reads:
            last = boxes[source]
            for depth in range(last.layer + 1, boxes[node.name].layer):
                lane = _Box(None, depth, _LANE, [last])
                layers[depth].append(lane)
                last = lane
            boxes[node.name].sources.append(last)
    return layers


def _place(layers: list[list[_Box]]) -> None:
    """Boxes one below the other, in the order of those they read, each layer in the middle of the tallest."""
    heights = []
    for depth, layer in enumerate(layers):
        if depth:
            layer.sort(key=lambda box: sum(source.middle for source in box.sources) / len(box.sources) if box.sources else 0)
        top = 60
        for box in layer:
            box.x, box.y = _PAD + depth * (_WIDTH + _GAP), top
            top += box.height + _BETWEEN
        heights.append(top)
    for layer, height in zip(layers, heights, strict=True):
        for box in layer:
            box.y += (max(heights) - height) // 2


def _arrow(source: _Box, box: _Box) -> str:
    start, end, half = source.x + _WIDTH, box.x, _GAP // 2
    curve = f"M{start} {source.middle:g}C{start + half} {source.middle:g} {end - half} {box.middle:g} {end} {box.middle:g}"
    if box.node is None:
        return f'<path class="e" d="{curve}h{_WIDTH}"/>'
    return f'<path class="e" marker-end="url(#a)" d="{curve}"/>'


def _drawn(box: _Box, node: Node, decision: str) -> str:
    kind, colour = "d" if node.name == decision else "b", _COLOURS.get(node.kind, _OTHER)
    parts = [f'<rect class="{kind}" x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{box.height}" rx="6" fill="{colour}"/>']
    parts.append(f'<text class="n" x="{box.x + _PAD}" y="{box.y + _PAD + 10}">{escape(node.name)}</text>')
    for number, line in enumerate(_wrapped(node), start=1):
        y = box.y + _PAD + 12 + _LINE * number
        parts.append(f'<text class="{"r" if number > 1 else "k"}" x="{box.x + _PAD}" y="{y}" xml:space="preserve">{escape(line)}</text>')
    return "".join(parts)


def _wrapped(node: Node) -> list[str]:
    """The lines of a box, each as long as fits."""
    return [part for line in node.lines() for part in textwrap.wrap(line, _LETTERS, subsequent_indent="    ")]


DRAW = {"text": text, "mermaid": mermaid, "svg": svg}
