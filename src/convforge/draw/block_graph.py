"""Boxes joined by arrows: columns beside each other, rows from top to bottom, words on the arrows.

┌───────┐
│ input │
└───┬───┘
    │ 64×56×56
┌───┴───┐───────┐
│       │    ┌──┴──┐
    │        │     │
┌───┴───┐    └──┬──┘
│  cat  │───────┘
└───────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convforge.draw.layout import Box
from convforge.draw.measure import text_width
from convforge.draw.shapes import Area, Cell, Label, Line, Point, Shape

HEIGHT, LANE = 34.0, 58.0
TEXT, SMALL = 13.0, 11.5
NARROWEST = 150.0
# Of a way around, to the left of the boxes.
AROUND = 26.0


@dataclass(frozen=True, slots=True)
class Node:
    """A box with a text, in a column and a row; role: of `theme.CELLS`."""

    text: str
    column: int
    row: int
    role: str


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow between two nodes by their numbers, to None: out of the diagram; words beside it.

    around: it leaves and arrives at the left, past what is between.
    """

    start: int
    end: int | None
    words: tuple[str, ...] = ()
    around: bool = False


@dataclass(frozen=True)
class Graph:
    """Nodes and the edges between them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph_box(graph: Graph) -> Box:
    """The diagram, each node an anchor `node-0`, …"""
    around = AROUND if any(edge.around for edge in graph.edges) else 0.0
    areas = _places(graph, around)
    shapes: list[Shape] = []
    for number, (node, area) in enumerate(zip(graph.nodes, areas, strict=True)):
        shapes.append(Cell(area, node.role, f"node-{number}", radius=7))
        shapes.append(Label(area.center, ((node.text, "text"),), TEXT, name=f"node-{number}"))
    right = max(area.right for area in areas)
    bottom = max(area.bottom for area in areas)
    for edge in graph.edges:
        points, at = _route(graph, edge, areas, around)
        shapes.append(Line(points, "link", arrow=True, name=f"{edge.start}-{edge.end}"))
        bottom = max(bottom, *(y for _, y in points))
        for number, words in enumerate(edge.words):
            y = at[1] + (number - (len(edge.words) - 1) / 2) * SMALL * 1.35
            role = "muted" if number == 0 else "t-kernel"
            shapes.append(Label((at[0], y), ((words, role),), SMALL, "start", name=f"edge-{edge.start}"))
            right = max(right, at[0] + text_width(words, SMALL))
    anchors = {f"node-{number}": area for number, area in enumerate(areas)}
    return Box(right, bottom, tuple(shapes), anchors)


def _places(graph: Graph, left: float) -> list[Area]:
    """Columns as wide as their widest node, and far enough apart for the words on their arrows."""
    count = 1 + max(node.column for node in graph.nodes)
    x = left
    starts: list[float] = []
    widths: list[float] = []
    for column in range(count):
        own = [node for node in graph.nodes if node.column == column]
        width = max(NARROWEST, *(text_width(node.text, TEXT) + 26 for node in own))
        starts.append(x)
        widths.append(width)
        words = [
            text_width(text, SMALL)
            for edge in graph.edges
            if graph.nodes[edge.start].column == column and not _sideways(graph, edge)
            for text in edge.words
        ]
        x += max(width, width / 2 + 10 + max(words, default=0.0)) + 26
    return [
        Area(starts[node.column], node.row * (HEIGHT + LANE), widths[node.column], HEIGHT)
        for node in graph.nodes
    ]


def _sideways(graph: Graph, edge: Edge) -> bool:
    return edge.end is not None and graph.nodes[edge.start].column != graph.nodes[edge.end].column


def _route(graph: Graph, edge: Edge, areas: Sequence[Area], around: float) -> tuple[tuple[Point, ...], Point]:
    """The points of an arrow, and where its words start."""
    start = areas[edge.start]
    x = start.center[0]
    if edge.end is None:
        return ((x, start.bottom), (x, start.bottom + LANE - 10)), (x + 9, start.bottom + (LANE - 14) / 2)
    end = areas[edge.end]
    if edge.around:
        lane = start.x - around + 6
        middle = start.center[1]
        return ((start.x, middle), (lane, middle), (lane, end.center[1]), (end.x - 1, end.center[1])), (0, 0)
    if not _sideways(graph, edge):
        # Beside the top of a long arrow: what comes in from the side is below.
        return ((x, start.bottom), (x, end.y - 1)), (x + 9, start.bottom + (LANE - 8) / 2)
    if graph.nodes[edge.end].column > graph.nodes[edge.start].column:
        turn = end.center[0]
        points = ((start.right, start.center[1]), (turn, start.center[1]), (turn, end.y - 1))
        return points, (turn + 9, (start.center[1] + end.y) / 2)
    points = ((x, start.bottom), (x, end.center[1]), (end.right + 1, end.center[1]))
    return points, (x + 9, (start.bottom + end.center[1]) / 2)
