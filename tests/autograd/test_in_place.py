"""In-place forms under every name, results that the memory cannot hold, hooks that keep a gradient's size."""

import numpy as np
import pytest

import convforge

VALUES = [[1.0, -2.0], [0.5, 4.0]]


@pytest.mark.parametrize(
    ("alias", "name", "arguments"),
    [
        ("absolute", "abs", ()), ("negative", "neg", ()), ("clip", "clamp", (0.0, 1.0)),
        ("multiply", "mul", (3.0,)), ("subtract", "sub", (1.0,)), ("divide", "div", (2.0,)),
        ("true_divide", "div", (2.0,)), ("greater", "gt", (0.0,)), ("less_equal", "le", (0.5,)),
        ("not_equal", "ne", (4.0,)), ("swapaxes", "transpose", (0, 1)), ("swapdims", "transpose", (0, 1)),
    ],
)  # fmt: skip
def test_another_name_is_the_same_operation(alias, name, arguments):
    plain = getattr(convforge.tensor(VALUES), name)(*arguments)
    changed = convforge.tensor(VALUES)
    assert getattr(changed, f"{alias}_")(*arguments) is changed
    np.testing.assert_array_equal(changed.numpy(), plain.to(changed.dtype).numpy())


@pytest.mark.parametrize(
    "change", [lambda x: x.div_(2), lambda x: x.true_divide_(convforge.tensor(3)), lambda x: x.sqrt_()]
)
def test_an_integer_does_not_become_a_float(change):
    values = convforge.arange(1, 5)
    with pytest.raises(
        RuntimeError, match=r"result type Float can't be cast to the desired output type Long"
    ):
        change(values)
    assert values.tolist() == [1, 2, 3, 4]
    assert values._version == 0


def test_a_bool_is_not_subtracted():
    with pytest.raises(RuntimeError, match="with a bool tensor is not supported"):
        convforge.ones(3).sub_(True)


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_logic_is_of_tensors_that_broadcast(name):
    x = convforge.ones(2, 3)
    with pytest.raises(TypeError, match=r"argument 'other' .* must be Tensor, not int"):
        getattr(x, name)(1)
    with pytest.raises(
        RuntimeError, match=r"The size of tensor a \(3\) must match the size of tensor b \(4\)"
    ):
        getattr(x, name)(convforge.ones(4))
    expected = getattr(np, name)(x.numpy(), np.array([[0.0], [2.0]]))
    np.testing.assert_array_equal(getattr(x, name)(convforge.tensor([[0.0], [2.0]])).numpy(), expected)


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "round"])
@pytest.mark.parametrize("dtype", [convforge.bool, convforge.complex64])
def test_what_has_no_rounding(name, dtype):
    with pytest.raises(NotImplementedError, match="not implemented for"):
        getattr(convforge.ones(3).to(dtype), name)()


def test_magnitudes_do_not_fit_among_complex_numbers():
    with pytest.raises(RuntimeError, match="In-place abs is not supported for complex tensors"):
        convforge.ones(2, dtype=convforge.complex64).abs_()


@pytest.mark.parametrize("index", [[5], [-1]])
def test_scatter_outside(index):
    with pytest.raises(RuntimeError, match=rf"index {index[0]} is out of bounds for dimension 0 with size 3"):
        convforge.zeros(3).scatter_(0, convforge.tensor(index), convforge.ones(1))


@pytest.mark.parametrize("leaf", [True, False])
def test_a_hook_keeps_the_size(leaf):
    x = convforge.ones(3, requires_grad=True)
    y = x if leaf else x * 2
    y.register_hook(lambda gradient: gradient[:2])
    with pytest.raises(RuntimeError, match="has changed the size of value"):
        y.sum().backward()
