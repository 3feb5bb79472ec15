"""The formula printed with numbers gives the size that is there."""

from __future__ import annotations

import math
import re

import numpy as np
from hypothesis import given, strategies as st

from convforge import problem
from convforge.errors import ConvforgeError
from convforge.explain.formula import size_formula


def evaluate(line):
    """The two sides of `H: … = 598` as numbers."""
    text, value = line.split(": ", 1)[1].rsplit(" = ", 1)
    text = re.sub(r"⌊(.*)⌋", r"math.floor(\1)", text.replace("·", "*").replace("−", "-"))
    assert re.fullmatch(r"[\d\s+\-*/().mathfloor]*", text)
    return eval(text, {"math": math}), int(value)


@given(
    transposed=st.booleans(),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.one_of(st.integers(0, 2), st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2)),
    dilation=st.integers(1, 3),
)
def test_every_line_is_true(transposed, size, kernel, stride, padding, dilation):
    try:
        spec, _ = problem.normalize_conv(
            (1, 2, *size),
            (2, 2, kernel, kernel),
            None,
            stride=stride,
            padding=padding,
            dilation=dilation,
            rank=2,
            transposed=transposed,
            dtype=np.float32,
        )
    except ConvforgeError:
        return
    words, *axes = size_formula(spec, (stride,) * 2, (dilation,) * 2)
    assert words.startswith("out = ")
    for line, name, expected in zip(axes, "HW", spec.output_size, strict=True):
        assert line.startswith(f"{name}: ")
        assert evaluate(line) == (expected, expected)
