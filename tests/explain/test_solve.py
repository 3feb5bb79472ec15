"""Every answer is built and has the size it was found for; nothing within the bounds is missed."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from convforge import nn
from convforge.errors import ConvforgeError
from convforge.explain.layers import as_layer
from convforge.explain.solutions import Solutions
from convforge.explain.solve import solve
from convforge.explain.solve_axis import Choice, Open, overlap
from convforge.explain.solve_stack import stacks_for
from convforge.explain.trace import trace_of
from convforge.problem import normalize_layer

ALL_OPEN = Open(None, None, None, None, None, False)
ALL_OPEN_TRANSPOSED = Open(None, None, None, None, None, True)


def built_size(choice: Choice, size: int) -> int | None:
    """The output size that the layer itself has; None where it refuses."""
    layer = normalize_layer(
        1,
        1,
        choice.kernel_size,
        choice.stride,
        (choice.padding,),
        choice.dilation,
        rank=1,
        transposed=choice.transposed,
        output_padding=choice.output_padding,
    )
    try:
        return layer.spec((size,)).output_size[0]
    except (ValueError, RuntimeError):
        return None


def brute_force(size: int, wanted: int, *, transposed: bool, kernels: range) -> set[Choice]:
    """Everything within the documented bounds, tried one by one by building the layer."""
    found: set[Choice] = set()
    for kernel, stride, dilation in itertools.product(kernels, range(1, 5), range(1, 9)):
        if kernel == 1 and dilation > 1:
            continue
        span = dilation * (kernel - 1) + 1
        for before in range(span):
            for after in (before,) if transposed else (before, before + 1):
                for extra in range(stride) if transposed else (0,):
                    choice = Choice(kernel, stride, (before, after), dilation, extra, transposed)
                    if after < span and built_size(choice, size) == wanted:
                        found.add(choice)
    return found


@pytest.mark.parametrize(("size", "wanted"), [(9, 5), (7, 2)])
def test_nothing_within_the_bounds_is_missed(size: int, wanted: int) -> None:
    kernels = range(1, 6)
    found = [c for c in ALL_OPEN.choices(size, wanted, None) if c.kernel_size in kernels and c.stride <= 4]
    assert len(found) == len(set(found))
    assert set(found) == brute_force(size, wanted, transposed=False, kernels=kernels)


@pytest.mark.parametrize(("size", "wanted"), [(5, 10), (4, 7)])
def test_nothing_is_missed_transposed(size: int, wanted: int) -> None:
    kernels = range(1, 6)
    found = [c for c in ALL_OPEN_TRANSPOSED.choices(size, wanted, None) if c.kernel_size in kernels]
    assert len(found) == len(set(found))
    assert set(found) == brute_force(size, wanted, transposed=True, kernels=kernels)


@pytest.mark.parametrize(
    ("size", "arguments", "first"),
    [
        (32, {"output_size": 32}, "Conv2d(3, 64, 3, padding=1)"),
        (32, {"output_size": 16}, "Conv2d(3, 64, 3, stride=2, padding=1)"),
        (224, {"output_size": 112, "kernel_size": 7}, "Conv2d(3, 64, 7, stride=2, padding=3)"),
        (224, {"output_size": 14}, "Conv2d(3, 64, 16, stride=16)"),
        (7, {"output_size": 1}, "Conv2d(3, 64, 7)"),
        (16, {"output_size": 32, "transposed": True}, "ConvTranspose2d(3, 64, 4, stride=2, padding=1)"),
        (
            16,
            {"output_size": 32, "transposed": True, "kernel_size": 3},
            "ConvTranspose2d(3, 64, 3, stride=2, padding=1, output_padding=1)",
        ),
        (56, {"output_size": 56, "receptive_field": 5}, "Conv2d(3, 64, 5, padding=2)"),
        (
            56,
            {"output_size": 56, "receptive_field": 5, "kernel_size": 3},
            "Conv2d(3, 64, 3, padding=2, dilation=2)",
        ),
        ((16000,), {"output_size": (8000,)}, "Conv1d(3, 64, 3, stride=2, padding=1)"),
        ((8, 8, 8), {"output_size": 4}, "Conv3d(3, 64, 3, stride=2, padding=1)"),
    ],
)
def test_the_first_answer_is_what_the_notes_would_choose(size: object, arguments: dict, first: str) -> None:
    assert solve(size, **arguments).answers[0].layer_text == first


@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        ((32, 33), {"output_size": (16, 11)}),
        ((9, 30), {"output_size": (9, 10)}),
        ((5, 6, 7), {"output_size": (5, 3, 7)}),
        ((7, 9), {"output_size": (14, 27), "transposed": True}),
        ((20, 20), {"receptive_field": (3, 7)}),
        (20, {"output_size": 20, "kernel_size": 4}),
    ],
)
def test_answers_are_what_their_layers_do(size: object, arguments: dict) -> None:
    solutions = solve(size, limit=30, **arguments)
    assert solutions.answers
    assert list(solutions.answers) == sorted(solutions.answers, key=lambda a: a.penalty)
    for answer in solutions.answers:
        layer = as_layer(answer.layer_text)
        assert layer == answer.layer
        output = layer.spec(answer.input_size).output_size
        assert output == answer.output_size
        if solutions.output_size:
            assert output == solutions.output_size
        if solutions.receptive_field:
            assert answer.receptive_field == solutions.receptive_field


def test_torch_agrees() -> None:
    torch = pytest.importorskip("torch")
    for size, arguments in (
        ((30, 31), {"output_size": (15, 16)}),
        ((7, 9), {"output_size": (14, 27), "transposed": True}),
        ((64,), {"output_size": 21}),
    ):
        for answer in solve(size, limit=20, **arguments).answers:
            if "((" in answer.layer_text:
                continue  # one more on one side: PyTorch has no such layer
            layer = eval(f"torch.nn.{answer.layer_text}", {"torch": torch})
            output = layer(torch.zeros(1, 3, *size))
            assert tuple(output.shape[2:]) == answer.output_size


def test_the_reasons_count_what_they_say() -> None:
    """Dropped elements and uneven overlaps, counted in the trace."""
    for choice in itertools.islice(ALL_OPEN.choices(14, 4, None), 0, None, 7):
        layer = normalize_layer(
            1, 1, choice.kernel_size, choice.stride, (choice.padding,), choice.dilation, rank=1
        )
        axis = trace_of(layer.spec((14,))).axes[0]
        last = max((c.position for o in range(axis.output_size) for c in axis.contacts(o)), default=-1)
        assert choice.unread_end(14) == max(0, 14 - 1 - last)
    for kernel, stride, dilation in itertools.product(range(1, 7), range(1, 5), range(1, 4)):
        layer = normalize_layer(1, 1, kernel, stride, 0, dilation, rank=1, transposed=True)
        axis = trace_of(layer.spec((60,))).axes[0]
        inner = range(axis.output_size // 3, 2 * axis.output_size // 3)
        counts = [len(axis.contacts(output)) for output in inner]
        assert overlap(kernel, stride, dilation) == (min(counts), max(counts))


def test_where_there_is_none_the_nearest_are_reachable() -> None:
    solutions = solve(32, output_size=20, kernel_size=3, stride=2, dilation=1)
    assert not solutions.answers
    assert solutions.why_none is not None
    assert solutions.nearest == ((17,), (17,))
    for near in solutions.nearest[0]:
        assert solve(32, output_size=near, kernel_size=3, stride=2, dilation=1).answers
    assert "20" in solutions.why_none("en")
    assert "20" in solutions.why_none("zh")


@pytest.mark.parametrize("transposed", [False, True])
def test_the_nearest_are_the_nearest_of_all(transposed: bool) -> None:
    """Against every choice within the bounds, one by one."""
    for kernel, stride, padding, extra in itertools.product(
        (1, 3, 4), (None, 2, 3), (None, (1, 1)), (None, 0)
    ):
        given = Open(kernel, stride, padding, 1, extra if transposed else None, transposed)
        every = {choice.output_size(7) for choice in given.choices(7, None, None)}
        for goal in range(1, 40):
            if goal in every:
                continue
            below, above = [n for n in every if 1 <= n < goal], [n for n in every if n > goal]
            expected = (*([max(below)] if below else []), *([min(above)] if above else []))
            assert given.nearest_sizes(7, goal, None) == expected, (given, goal)


def test_what_is_far_out_of_reach_is_refused_at_once() -> None:
    assert not solve(32, output_size=2**20, kernel_size=10**5, stride=1, dilation=8).answers


def test_a_wrong_direction_is_said() -> None:
    grown = solve(16, output_size=64, kernel_size=3, dilation=1)
    assert grown.why_none is not None
    assert "transposed=True" in grown.why_none("en")
    shrunk = solve(64, output_size=8, kernel_size=3, transposed=True, dilation=1)
    assert shrunk.why_none is not None
    assert "transposed=False" in shrunk.why_none("zh")


def seen(stack: object) -> int:
    """Receptive field of a stack by the gradient of its layers: all weights one."""
    layers = []
    for kernel, stride, dilation in zip(stack.kernels, stack.strides, stack.dilations, strict=True):
        layer = nn.Conv1d(1, 1, kernel, stride, dilation=dilation, bias=False)
        nn.init.ones_(layer.weight)
        layers.append(layer)
    from convforge.autograd import Tensor

    signal = Tensor(np.zeros((1, 1, 4 * stack.receptive_field), np.float32))
    signal.requires_grad_(True)
    nn.Sequential(*layers)(signal)[0, 0, 0].backward()
    touched = np.flatnonzero(np.asarray(signal.grad)[0, 0])
    return int(touched[-1] - touched[0] + 1)


@pytest.mark.parametrize("field", [1, 3, 4, 7, 15, 31])
def test_stacks_see_as_far_as_they_say_and_no_layer_is_too_many(field: int) -> None:
    for stack in stacks_for(field):
        assert seen(stack) == stack.receptive_field >= field
        assert len(stack.kernels) == 1 or stack.fields[-2] < field


def test_two_3x3_see_what_a_5x5_sees() -> None:
    plain = {stack.kind: stack for stack in stacks_for(5)}
    assert len(plain["plain"].kernels) == 2
    assert plain["plain"].weights(2) == 18
    assert plain["one"].weights(2) == 25


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "output_size or receptive_field"),
        ({"output_size": 0}, "output_size (=0)"),
        ({"output_size": "8"}, "output_size (='8')"),
        ({"output_size": 8, "stride": 0}, "stride (=0)"),
        ({"output_size": 8, "output_padding": 1}, "output_padding"),
        ({"output_size": 8, "padding": "same"}, "padding"),
        ({"output_size": 8, "limit": 0}, "limit (=0)"),
        ({"output_size": (8, 8, 8, 8)}, "rank (=4)"),
        ({"receptive_field": 3, "transposed": True}, "receptive_field"),
        ({"receptive_field": 99999}, "receptive_field (=99999)"),
    ],
)
def test_mistakes_are_named(arguments: dict, says: str) -> None:
    with pytest.raises(ConvforgeError) as caught:
        solve(16, **arguments)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_reads_in_every_form(language: str) -> None:
    for solutions in (
        solve(32, output_size=16, language=language),
        solve(32, receptive_field=7, language=language),
        solve(32, output_size=20, kernel_size=3, stride=2, dilation=1, language=language),
    ):
        assert isinstance(solutions, Solutions)
        assert str(solutions) == solutions.text(language)
        for shown in (solutions.text(), solutions.markdown(), solutions._repr_html_()):
            for answer in solutions.answers:
                assert answer.layer_text in shown
        assert json.loads(solutions.json())["input_size"] == [32, 32]
