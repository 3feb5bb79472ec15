"""Tensors without memory: functions and methods hand themselves over, and values are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convforge as torch
from convforge import nn
from convforge.autograd.stand_in import NoElementsError, StandIn
from convforge.nn import functional as F


class Listens(StandIn):
    """Answers with the name of what it met."""

    def take_over(self, name, function, args, kwargs) -> Any:
        assert callable(function)
        return name


@pytest.fixture
def x() -> Any:
    return Listens((2, 3, 8, 8), np.dtype(np.float32))


def test_shape_and_dtype_are_known(x) -> None:
    assert (x.shape, x.size(1), x.ndim, x.numel(), len(x)) == ((2, 3, 8, 8), 3, 4, 384, 2)
    assert x.dtype is torch.float32
    assert isinstance(x, torch.Tensor)
    assert not x.requires_grad


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: F.relu(x), "relu"),
        (lambda x: F.max_pool2d(x, 2), "max_pool2d"),
        (lambda x: F.conv2d(x, torch.zeros(4, 3, 3, 3)), "convolution"),
        (lambda x: F.conv2d(torch.zeros(1, 3, 8, 8), x), "convolution"),
        (lambda x: nn.Conv2d(3, 4, 3)(x), "convolution"),
        (lambda x: torch.cat([torch.zeros(2, 3, 8, 8), x], 1), "cat"),
        (lambda x: torch.add(1, x), "add"),
        (lambda x: torch.where(condition=x, input=x, other=x), "where"),
        (lambda x: x.view(2, -1), "view"),
        (lambda x: x + 1, "__add__"),
        (lambda x: torch.zeros(8) * x, "__rmul__"),
        (lambda x: x[0], "__getitem__"),
        (lambda x: x.T, "T"),
        (lambda x: x.add_(1), "add_"),
        (lambda x: f"{x}", "__format__"),
    ],
)
def test_they_are_handed_over(call, name, x) -> None:
    try:
        assert call(x) == name
    except TypeError as error:  # a format must be a str, and is
        pytest.fail(str(error))


def test_values_are_refused(x) -> None:
    for reads in (
        lambda: np.asarray(x._data),
        lambda: x._data[0],
        lambda: x._data.sum(),
        lambda: torch.zeros(3).add(x),
    ):
        with pytest.raises(NoElementsError):
            reads()


def test_a_convolution_remembers_nothing_of_them(x) -> None:
    layer = nn.Conv2d(3, 4, 3)
    assert layer(x) == "convolution"
    y = layer(torch.zeros(2, 3, 8, 8))
    assert tuple(y.shape) == (2, 4, 6, 6)
    assert layer(x) == "convolution"


def test_functions_of_arrays_are_as_before() -> None:
    array = np.ones((2, 3), np.float32)
    assert isinstance(torch.add(array, 1), np.ndarray)
    assert isinstance(torch.add(torch.ones(2, 3), array), torch.Tensor)
    assert isinstance(torch.cat([array, array]), np.ndarray)
    assert isinstance(torch.sum(input=array), np.ndarray)
