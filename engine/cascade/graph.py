"""The graph of a cascade's steps: their order, and the circles in it. The only user of networkx; it knows names alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx as nx


def _graph(edges: Mapping[str, Mapping[str, Set[str]]]) -> nx.DiGraph[str]:
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(edges)
    graph.add_edges_from((source, reader) for reader, sources in edges.items() for source in sources)
    return graph


def order(edges: Mapping[str, Mapping[str, Set[str]]]) -> list[str]:
    """The steps so that each comes after those it reads; where that leaves a choice, as written.

    `edges` gives for every step the steps it reads and through which columns. There must be no circle.

    >>> order({"verdict": {"cash": {"cash.score"}}, "cash": {}})
    ['cash', 'verdict']
    """
    import networkx as nx

    position = {name: index for index, name in enumerate(edges)}
    return list(nx.lexicographical_topological_sort(_graph(edges), key=position.__getitem__))


def circles(edges: Mapping[str, Mapping[str, Set[str]]]) -> list[list[tuple[str, str, list[str]]]]:
    """One circle of every knot of steps: (reader, step it reads, the columns that tie them), in turn."""
    import networkx as nx

    graph, found = _graph(edges), []
    for knot in nx.strongly_connected_components(graph):
        start = min(knot, key=list(edges).index)
        if len(knot) > 1 or graph.has_edge(start, start):
            ties = [(reader, source) for source, reader in nx.find_cycle(graph.subgraph(knot), start)]
            found.append([(reader, source, sorted(edges[reader][source])) for reader, source in reversed(ties)])
    return sorted(found)


def generations(edges: Mapping[str, Mapping[str, Set[str]]]) -> Sequence[list[str]]:
    """The steps in layers: each layer reads only layers before it."""
    import networkx as nx

    return [sorted(layer) for layer in nx.topological_generations(_graph(edges))]
