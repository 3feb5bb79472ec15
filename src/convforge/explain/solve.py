"""The parameters that lead to a wanted output size or receptive field, best first, with a reason each.

print(solve(32, output_size=16))           # Conv2d(3, 64, 3, stride=2, padding=1) first
print(solve(16, output_size=32, transposed=True))
print(solve(56, output_size=56, receptive_field=7))
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from convforge.errors import ConvValueError
from convforge.explain.sentence import Sentence, say
from convforge.explain.solutions import Solution, Solutions
from convforge.explain.solve_axis import LARGEST_SIZE, Choice, Open, weigh
from convforge.explain.solve_stack import stacks_for
from convforge.explain.words import Words, language_of
from convforge.problem import ConvLayer, normalize_layer
from convforge.problem.arguments import integer, integers, padding_pairs

LARGEST_FIELD = 1024
# Of each axis, when axes choose by themselves.
_BEST = 4
_UNLIKE = 100.0
# What an axis may choose, with (penalty, reasons).
_Weighed = dict[Choice, tuple[float, tuple[Sentence, ...]]]


NO_WINDOW = Words(
    "no kernel and dilation span {field} elements along axis {axis} with what is given: "
    "leave kernel_size or dilation open, or take (span − 1) divisible by dilation",
    "在给定的参数下，第 {axis} 轴上没有卷积核与 dilation 的组合恰好跨越 {field} 个元素："
    "请放开 kernel_size 或 dilation，或让（跨度 − 1）能被 dilation 整除",
)
NOT_REACHED = Words(
    "no choice within the bounds brings {size} to {wanted} along axis {axis} with what is given; "
    "nearest reachable: {nearest}. {hint}",
    "在给定的参数与搜索范围内，第 {axis} 轴无法从 {size} 得到 {wanted}；最接近的可达尺寸：{nearest}。{hint}",
)
NOWHERE = Words("none", "无")
USE_TRANSPOSED = Words(
    "A plain convolution makes things larger only by padding: use transposed=True.",
    "普通卷积只能靠填充变大：请用 transposed=True。",
)
USE_PLAIN = Words(
    "A transposed convolution makes things smaller only by cutting off: use transposed=False.",
    "转置卷积只能靠裁剪变小：请用 transposed=False。",
)
LEAVE_OPEN = Words("Leave one more parameter open.", "请再放开一个参数。")


def solve(
    input_size: Any,
    *,
    output_size: Any = None,
    receptive_field: Any = None,
    transposed: bool = False,
    kernel_size: Any = None,
    stride: Any = None,
    padding: Any = None,
    dilation: Any = None,
    output_padding: Any = None,
    in_channels: int = 3,
    out_channels: int = 64,
    rank: int | None = None,
    limit: int = 8,
    language: str | None = None,
) -> Solutions:
    """Every choice of the parameters left open that reaches the wanted output size, receptive field, or both.

    input_size, output_size, receptive_field: an int, or one an axis; the field is that of one layer.
    kernel_size … output_padding: what is given, as the layer takes it; None is open.
    rank: spatial axes, where no tuple says it; 2 otherwise.
    limit: answers to keep.

    Searched, where open: kernel 1 to 11, also stride, 2·stride and the whole input; stride 1 to 4, also the
    ratio of the sizes; dilation 1 to 8, or what divides receptive_field − 1; padding below the kernel's span,
    the same on both sides or one more at the end; output_padding below the stride.

    Raises ValueError where neither size nor receptive field is wanted, and for sizes below 1 or above 2^20.
    """
    given = (input_size, output_size, receptive_field, kernel_size, stride, padding, dilation, output_padding)
    rank = _rank(rank, given)
    spoken = language_of(language)
    sizes_in = _sizes(input_size, "input_size", rank, LARGEST_SIZE)
    wanted = None if output_size is None else _sizes(output_size, "output_size", rank, LARGEST_SIZE)
    field = None
    if receptive_field is not None:
        field = _sizes(receptive_field, "receptive_field", rank, LARGEST_FIELD)
    if wanted is None and field is None:
        raise ConvValueError("solve needs output_size or receptive_field: say which is wanted")
    if transposed and field is not None:
        raise ConvValueError(
            "receptive_field is searched for plain convolutions only: leave it out or use transposed=False"
        )
    if limit < 1:
        raise ConvValueError(f"limit (={limit}) must be at least 1: use limit=8")
    axes = _open_axes(rank, transposed, kernel_size, stride, padding, dilation, output_padding)
    stacks = () if field is None else tuple(stacks_for(each) for each in dict.fromkeys(field))
    known: dict[tuple[Open, int, int | None, int | None], _Weighed] = {}
    weighed: list[_Weighed] = []
    nearest: list[tuple[int, ...]] = []
    why: Sentence | None = None
    for axis, (open_axis, size) in enumerate(zip(axes, sizes_in, strict=True)):
        goal = None if wanted is None else wanted[axis]
        sees = None if field is None else field[axis]
        asked = (open_axis, size, goal, sees)
        if asked not in known:
            reached = [c for c in open_axis.choices(size, goal, sees) if c.output_size(size) >= 1]
            known[asked] = {choice: weigh(choice, size) for choice in reached}
        reached = known[asked]
        weighed.append(reached)
        nearest.append(() if reached or goal is None else open_axis.nearest_sizes(size, goal, sees))
        if not reached and why is None:
            why = _why_none(axis, size, goal, sees, nearest[-1], transposed)
    answers = () if why else _combined(weighed, sizes_in, (in_channels, out_channels), limit)
    return Solutions(
        sizes_in,
        wanted,
        field,
        answers,
        tuple(map(len, weighed)),
        why,
        tuple(nearest) if why else (),
        stacks,
        spoken,
    )


def _rank(rank: int | None, given: tuple[Any, ...]) -> int:
    lengths = {len(value) for value in given if isinstance(value, tuple | list)}
    if rank is None:
        rank = min(lengths, default=2)
    if rank not in (1, 2, 3):
        raise ConvValueError(f"rank (={rank}) must be 1, 2 or 3: give one size for each spatial axis")
    return rank


def _sizes(value: Any, name: str, rank: int, largest: int) -> tuple[int, ...]:
    found = integers(value, name, rank)
    for size in found:
        if not 1 <= size <= largest:
            raise ConvValueError(f"{name} (={size}) must be from 1 to {largest}: use e.g. {name}=32")
    return found


def _open_axes(
    rank: int,
    transposed: bool,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    output_padding: Any,
) -> list[Open]:
    """What is given, axis by axis; a layer of it says what cannot be."""
    values: dict[str, tuple[Any, ...]] = {}
    for name, value, least in (
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("dilation", dilation, 1),
        ("output_padding", output_padding, 0),
    ):
        found = (None,) * rank if value is None else integers(value, name, rank)
        for each in found:
            if each is not None and not least <= each <= LARGEST_SIZE:
                raise ConvValueError(
                    f"{name} (={each}) must be from {least} to {LARGEST_SIZE}: leave it open"
                )
        values[name] = found
    if output_padding is not None and not transposed:
        raise ConvValueError("output_padding belongs to transposed convolutions: use transposed=True")
    pairs = (None,) * rank if padding is None else padding_pairs(padding, rank)
    return [
        Open(
            values["kernel_size"][i],
            values["stride"][i],
            pairs[i],
            values["dilation"][i],
            values["output_padding"][i],
            transposed,
        )
        for i in range(rank)
    ]


def _why_none(
    axis: int, size: int, goal: int | None, sees: int | None, nearest: tuple[int, ...], transposed: bool
) -> Sentence:
    if goal is None or (sees is not None and not nearest):
        return say(NO_WINDOW, field=sees, axis=axis)
    hint = LEAVE_OPEN
    if goal > size and not transposed:
        hint = USE_TRANSPOSED
    elif goal < size and transposed:
        hint = USE_PLAIN
    found: object = ", ".join(map(str, nearest)) or NOWHERE
    return say(NOT_REACHED, size=size, wanted=goal, axis=axis, nearest=found, hint=hint)


def _combined(
    axes: list[_Weighed],
    input_size: tuple[int, ...],
    channels: tuple[int, int],
    limit: int,
) -> tuple[Solution, ...]:
    """The best combinations of the axes' choices; those alike on all axes come first."""
    ranked: list[tuple[float, tuple[Choice, ...]]] = []
    for choices in dict.fromkeys(_combinations(axes)):
        penalty = sum(axis[choice][0] for axis, choice in zip(axes, choices, strict=True))
        ranked.append((penalty + _UNLIKE * _differences(choices), choices))
    ranked.sort(
        key=lambda item: (item[0], [(c.kernel_size, c.stride, c.dilation, c.padding) for c in item[1]])
    )
    found: list[Solution] = []
    for penalty, choices in ranked[:limit]:
        reasons = dict.fromkeys(r for axis, c in zip(axes, choices, strict=True) for r in axis[c][1])
        layer = _layer(choices, channels)
        transposed = choices[0].transposed
        found.append(
            Solution(
                layer,
                input_size,
                layer.spec(input_size).output_size,
                None if transposed else tuple(choice.span for choice in choices),
                penalty,
                tuple(reasons),
            )
        )
    return tuple(found)


def _combinations(axes: list[_Weighed]) -> Iterator[tuple[Choice, ...]]:
    """The same on all axes; the same kernel, stride and dilation; and the best of each axis by itself."""
    for choice in axes[0]:
        if all(choice in axis for axis in axes):
            yield (choice,) * len(axes)
    best: list[dict[tuple[int, int, int], Choice]] = []
    for axis in axes:
        group: dict[tuple[int, int, int], Choice] = {}
        for choice in sorted(axis, key=lambda c: axis[c][0]):
            group.setdefault((choice.kernel_size, choice.stride, choice.dilation), choice)
        best.append(group)
    for key in best[0]:
        if all(key in group for group in best):
            yield tuple(group[key] for group in best)
    yield from product(*(list(group.values())[:_BEST] for group in best))


def _differences(choices: tuple[Choice, ...]) -> int:
    names = ("kernel_size", "stride", "padding", "dilation", "output_padding")
    return sum(len({getattr(choice, name) for choice in choices}) - 1 for name in names)


def _layer(choices: tuple[Choice, ...], channels: tuple[int, int]) -> ConvLayer:
    even = all(before == after for before, after in (c.padding for c in choices))
    return normalize_layer(
        integer(channels[0], "in_channels"),
        integer(channels[1], "out_channels"),
        tuple(c.kernel_size for c in choices),
        tuple(c.stride for c in choices),
        tuple(c.padding[0] if even else c.padding for c in choices),
        tuple(c.dilation for c in choices),
        rank=len(choices),
        transposed=choices[0].transposed,
        output_padding=tuple(c.output_padding for c in choices),
    )
