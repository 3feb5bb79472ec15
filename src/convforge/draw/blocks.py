"""Blocks of layers as diagrams, with what each layer costs on the edge that leaves it.

ghost         half of the channels by a convolution, the others from them by a cheap one, as in the notes
separable     depthwise and pointwise in place of one dense convolution
two_for_five  two 3x3 in place of a 5x5: the same receptive field
bottleneck    1x1, 3x3, 1x1 and a way around, in place of two 3x3
sequential    any chain of modules
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from convforge.draw.block_graph import Edge, Graph, Node, graph_box
from convforge.draw.block_words import (
    ADD,
    BOTTLENECK,
    BOTTLENECK_NOTE,
    CONCAT,
    COSTS,
    DENSE,
    DENSE_PAIR,
    FIVE_NOTE,
    GHOST,
    GHOST_NOTE,
    INPUT,
    ONLY_PARAMETERS,
    RATIO,
    SEPARABLE,
    SEPARABLE_NOTE,
    SEQUENTIAL,
    TOTAL,
    TWO_FOR_FIVE,
)
from convforge.draw.drawing import Drawing, finished
from convforge.draw.layout import Box, column, line, row
from convforge.draw.theme import checked_theme
from convforge.errors import ConvTypeError, ConvValueError
from convforge.explain.costs import costs_of
from convforge.explain.layers import as_layer
from convforge.explain.receptive_field import receptive_field, windows_of
from convforge.explain.summary import summary
from convforge.explain.words import Language, Words, language_of
from convforge.nn.containers import Sequential
from convforge.nn.conv_nd import ConvNd
from convforge.nn.module import Module

MOST_STEPS = 24
SIZE = 56


@dataclass(frozen=True, slots=True)
class Step:
    """A layer. shape: of its output, (channels, …); multiply_adds: None where none are counted."""

    text: str
    shape: tuple[int, ...]
    parameters: int = 0
    multiply_adds: int | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over steps."""

    parameters: int
    multiply_adds: int


def total_of(steps: Sequence[Step]) -> Total:
    """What all steps cost."""
    return Total(sum(s.parameters for s in steps), sum(s.multiply_adds or 0 for s in steps))


def conv_text(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> str:
    """A layer that keeps the size at stride 1, without a bias: a batch norm follows."""
    return (
        f"Conv2d({inputs}, {outputs}, {kernel}, stride={stride}, padding={kernel // 2}, groups={groups}, "
        "bias=False)"
    )


def convolution_step(text: str, shape: tuple[int, ...]) -> Step:
    """One convolution on an input of this shape, (channels, …)."""
    layer = as_layer(text)
    costs = costs_of(layer, shape[1:])
    output = layer.spec(shape[1:]).output_shape[1:]
    return Step(layer.text, output, costs.parameters, costs.multiply_adds)


def chain_of(texts: Sequence[str], shape: tuple[int, ...]) -> list[Step]:
    """Convolutions one after another."""
    steps: list[Step] = []
    for text in texts:
        steps.append(convolution_step(text, shape))
        shape = steps[-1].shape
    return steps


def ghost(
    in_channels: int = 64,
    out_channels: int = 128,
    s: int = 2,
    kernel_size: int = 1,
    stride: int = 1,
    *,
    input_size: int | tuple[int, int] = SIZE,
    language: str | None = None,
    theme: str = "auto",
) -> Drawing:
    """The notes' GhostModule beside a dense convolution of the same channels.

    s: one in s of the output channels is made by the primary convolution. Arguments as in the notes.

    Raises what its layers raise, and ValueError for an s that leaves no channels.
    """
    said = language_of(language)
    if s < 2 or out_channels % s or out_channels < s:
        raise ConvValueError(f"s (={s}) must be 2 or more and divide out_channels (={out_channels}): use s=2")
    own = out_channels // s
    shape = (in_channels, *_pair(input_size))
    primary = convolution_step(conv_text(in_channels, own, kernel_size, stride=stride), shape)
    norm = Step("BatchNorm2d, ReLU", primary.shape, 2 * own)
    # The notes give the cheap operation the module's stride as well; then the halves differ in size.
    cheap = convolution_step(conv_text(own, own * (s - 1), 3, groups=own), norm.shape)
    cheap_norm = Step("BatchNorm2d, ReLU6", cheap.shape, 2 * own * (s - 1))
    joined = (out_channels, *primary.shape[1:])
    graph = Graph(
        (
            Node(INPUT(said), 0, 0, "input"),
            Node(primary.text, 0, 1, "kernel"),
            Node(norm.text, 0, 2, "panel"),
            Node(cheap.text, 1, 3, "kernel"),
            Node(cheap_norm.text, 1, 4, "panel"),
            Node(CONCAT(said), 0, 5, "output"),
        ),
        (
            Edge(0, 1, (shape_text(shape),)),
            Edge(1, 2, edge_text(primary, said)),
            Edge(2, 5, (f"y: {shape_text(norm.shape)}", *edge_text(norm, said)[1:])),
            Edge(2, 3, (shape_text(norm.shape),)),
            Edge(3, 4, edge_text(cheap, said)),
            Edge(4, 5, (f"z: {shape_text(cheap_norm.shape)}", *edge_text(cheap_norm, said)[1:])),
            Edge(5, None, (shape_text(joined),)),
        ),
    )
    steps = [primary, norm, cheap, cheap_norm]
    dense = chain_of([conv_text(in_channels, out_channels, kernel_size, stride=stride)], shape)
    return beside(
        GHOST, (GHOST(said), graph, steps), (DENSE(said), chain_graph(dense, shape, said), dense),
        GHOST_NOTE(said, y=own, z=own * (s - 1)), said, theme,
    )  # fmt: skip


def separable(
    in_channels: int = 64,
    out_channels: int = 128,
    kernel_size: int = 3,
    *,
    input_size: int | tuple[int, int] = SIZE,
    language: str | None = None,
    theme: str = "auto",
) -> Drawing:
    """A depthwise and a pointwise convolution beside one dense convolution. Raises what the layers raise."""
    said = language_of(language)
    shape = (in_channels, *_pair(input_size))
    depthwise = conv_text(in_channels, in_channels, kernel_size, groups=in_channels)
    steps = chain_of([depthwise, conv_text(in_channels, out_channels, 1)], shape)
    dense = chain_of([conv_text(in_channels, out_channels, kernel_size)], shape)
    return beside(
        SEPARABLE, (SEPARABLE(said), chain_graph(steps, shape, said), steps),
        (DENSE(said), chain_graph(dense, shape, said), dense), SEPARABLE_NOTE(said), said, theme,
    )  # fmt: skip


def two_for_five(
    channels: int = 64,
    *,
    input_size: int | tuple[int, int] = SIZE,
    language: str | None = None,
    theme: str = "auto",
) -> Drawing:
    """Two 3×3 convolutions beside the 5×5 that sees as much. Raises what the layers raise."""
    said = language_of(language)
    shape = (channels, *_pair(input_size))
    small, large = [conv_text(channels, channels, 3)] * 2, [conv_text(channels, channels, 5)]
    steps, one = chain_of(small, shape), chain_of(large, shape)
    field = receptive_field(windows_of(as_layer(text), shape[1:])[0] for text in small).size
    return beside(
        TWO_FOR_FIVE, ("3×3 → 3×3", chain_graph(steps, shape, said), steps),
        ("5×5", chain_graph(one, shape, said), one), FIVE_NOTE(said, field=field), said, theme,
    )  # fmt: skip


def bottleneck(
    channels: int = 256,
    middle: int = 64,
    *,
    input_size: int | tuple[int, int] = SIZE,
    language: str | None = None,
    theme: str = "auto",
) -> Drawing:
    """ResNet's bottleneck with its way around, beside two dense 3×3. Raises what the layers raise.

    Source: He, Zhang, Ren & Sun, Deep Residual Learning for Image Recognition, 2015, figure 5.
    """
    said = language_of(language)
    shape = (channels, *_pair(input_size))
    texts = [conv_text(channels, middle, 1), conv_text(middle, middle, 3), conv_text(middle, channels, 1)]
    steps = chain_of(texts, shape)
    dense = chain_of([conv_text(channels, channels, 3)] * 2, shape)
    return beside(
        BOTTLENECK, (BOTTLENECK(said), chain_graph(steps, shape, said, ADD(said)), steps),
        (DENSE_PAIR(said), chain_graph(dense, shape, said, ADD(said)), dense),
        BOTTLENECK_NOTE(said), said, theme,
    )  # fmt: skip


def sequential(
    modules: Any,
    input_shape: tuple[int, ...],
    *,
    language: str | None = None,
    theme: str = "auto",
) -> Drawing:
    """Any chain of modules, or of layers' spellings, with shapes and costs.

    modules: a Sequential, or a list of modules or spellings of convolutions. input_shape: (channels, …).

    Raises ValueError for too many to draw, and what the modules raise for such an input.
    """
    said, checked = language_of(language), checked_theme(theme)
    shape = tuple(input_shape)
    if isinstance(modules, Module):
        found: list[Any] = list(modules) if isinstance(modules, Sequential) else [modules]
    elif isinstance(modules, list | tuple):
        found = list(modules)
    else:
        raise ConvTypeError(f"modules (={type(modules).__name__}) must be a Sequential or a list of layers")
    if not 0 < len(found) <= MOST_STEPS:
        raise ConvValueError(
            f"modules: {len(found)} of them, and 1 to {MOST_STEPS} can be drawn: draw a part"
        )
    steps: list[Step] = []
    for part in found:
        steps.append(_module_step(part, shape) if isinstance(part, Module) else convolution_step(part, shape))
        shape = steps[-1].shape
    box = graph_box(chain_graph(steps, tuple(input_shape), said))
    return finished(
        column(box, _total_line(steps, said), gap=18),
        title=SEQUENTIAL(said),
        subtitle=f"{shape_text(tuple(input_shape))} → {shape_text(shape)}",
        language=said,
        theme=checked,
    )


def _module_step(module: Module, shape: tuple[int, ...]) -> Step:
    """A module's output and costs, followed by shape: it is not run."""
    seen = summary(module, (1, *shape)).rows[0]
    name = as_layer(module).text if isinstance(module, ConvNd) else repr(module)
    text = name if "\n" not in name and len(name) < 60 else type(module).__name__
    return Step(text, tuple(seen.outputs[0][1:]), seen.parameters, seen.multiply_adds or None)


def chain_graph(steps: Sequence[Step], shape: tuple[int, ...], said: Language, around: str = "") -> Graph:
    """Steps below each other; around: the name of the operation where a way around joins again."""
    nodes = [Node(INPUT(said), 0, 0, "input")]
    edges = [Edge(0, 1, (shape_text(shape),))]
    for number, step in enumerate(steps, 1):
        role = "kernel" if step.multiply_adds is not None else "panel"
        nodes.append(Node(step.text, 0, number, role))
        last = number == len(steps) and not around
        edges.append(Edge(number, None if last else number + 1, edge_text(step, said)))
    if around:
        nodes.append(Node(around, 0, len(nodes), "output"))
        edges += [Edge(0, len(nodes) - 1, (), around=True), Edge(len(nodes) - 1, None, (shape_text(shape),))]
    return Graph(tuple(nodes), tuple(edges))


def edge_text(step: Step, said: Language) -> tuple[str, ...]:
    """What is written on the edge that leaves a step: its shape, then its costs."""
    shape = shape_text(step.shape)
    if step.multiply_adds is not None:
        return (shape, costs_text(Total(step.parameters, step.multiply_adds), said))
    return (shape, ONLY_PARAMETERS(said, parameters=f"{step.parameters:,}")) if step.parameters else (shape,)


def costs_text(total: Total, said: Language) -> str:
    """`8,192 parameters · 25,690,112 multiply-adds`."""
    return COSTS(said, parameters=f"{total.parameters:,}", multiply_adds=f"{total.multiply_adds:,}")


def shape_text(shape: tuple[int, ...]) -> str:
    """`64×56×56`."""
    return "×".join(map(str, shape))


def _total_line(steps: Sequence[Step], said: Language) -> Box:
    words = TOTAL(said, costs=costs_text(total_of(steps), said))
    return line(words, size=13, bold=True, name="total")


Side = tuple[str, Graph, Sequence[Step]]


def beside(title: Words, first: Side, second: Side, note: str, said: Language, theme: str) -> Drawing:
    """Two blocks beside each other, their totals below, and the first's as a share of the second's."""
    boxes = [
        column(line(name, size=14, bold=True), graph_box(graph), _total_line(steps, said), gap=14)
        for name, graph, steps in (first, second)
    ]
    own, other = total_of(first[2]), total_of(second[2])
    ratio = RATIO(
        said,
        parameters=f"{own.parameters / other.parameters:.3g}",
        multiply_adds=f"{own.multiply_adds / other.multiply_adds:.3g}",
        other=second[0],
    )
    body = column(
        row(*boxes, gap=44, align="start"), line((ratio, "t-output"), size=14, name="ratio"), gap=18
    )
    return finished(body, title=title(said), note=note, language=said, theme=checked_theme(theme))


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or prod(pair) < 1:
        raise ConvValueError(f"input_size (={size}) must be one number or (height, width): use input_size=56")
    return pair


BLOCKS: dict[str, Callable[..., Drawing]] = {
    "ghost": ghost,
    "separable": separable,
    "two-for-five": two_for_five,
    "bottleneck": bottleneck,
    "sequential": sequential,
}
