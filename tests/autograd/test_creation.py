"""Making tensors: sizes by place and by name, values that have no dtype, draws in memory order."""

import numpy as np
import pytest

import convforge


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "rand", "randn"])
def test_size_by_name(name):
    assert getattr(convforge, name)(size=(2, 3)).shape == (2, 3)


def test_range_by_name():
    assert convforge.arange(end=4).tolist() == [0, 1, 2, 3]
    assert convforge.arange(start=1, end=6, step=2).tolist() == [1, 3, 5]


@pytest.mark.parametrize("end", [float("inf"), float("nan")])
def test_endless_range(end):
    with pytest.raises(RuntimeError, match="unsupported range: 0 -> "):
        convforge.arange(end)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: convforge.tensor({1: 2}), RuntimeError),
        (lambda: convforge.tensor({1, 2}), RuntimeError),
        (lambda: convforge.tensor([2**63]), ValueError),
        (lambda: convforge.tensor([300], dtype=convforge.uint8), RuntimeError),
        (lambda: convforge.full(2, 3), TypeError),
        (lambda: convforge.eye(-1), RuntimeError),
        (lambda: convforge.zeros(2, dtype=convforge.int64, requires_grad=True), RuntimeError),
        (lambda: convforge.complex(convforge.ones(2), convforge.ones(2).double()), RuntimeError),
        (lambda: convforge.from_numpy(np.array([1, 2], dtype=np.dtype(np.int32).newbyteorder())), ValueError),
    ],
)
def test_refused(make, error):
    with pytest.raises(error):
        make()


def test_negative_numbers_wrap_in_unsigned_tensors():
    assert convforge.tensor([-1, 255], dtype=convforge.uint8).tolist() == [255, 255]


def test_draws_go_in_the_order_of_memory():
    convforge.manual_seed(0)
    straight = convforge.rand_like(convforge.ones(6, 4))
    convforge.manual_seed(0)
    turned = convforge.rand_like(convforge.ones(6, 4).t())
    assert turned.stride() == (1, 4)
    assert turned.t().tolist() == straight.tolist()
