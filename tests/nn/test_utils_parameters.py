"""Parameters as one vector and clipping of gradients, side by side with PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

from support.side_by_side import Side, ours, plain, same

INF = float("inf")


def with_grads(s: Side) -> list[Any]:
    first, second, third = s.parameter(2, 3), s.parameter(4), s.parameter(1)
    first.grad, second.grad = s.tensor([[1.0, -2.0, 3.0], [4.0, -5.0, 6.0]]), s.tensor([0.5] * 4)
    return [first, second, third]


def test_vector_and_back() -> None:
    def code(s: Side) -> Any:
        parameters = with_grads(s)
        vector = s.nn.utils.parameters_to_vector(parameters)
        s.nn.utils.vector_to_parameters(vector * 2, parameters)
        return plain(vector), plain(parameters), vector.requires_grad, parameters[0].requires_grad

    same(code)


def test_gradients_pass_through_the_vector() -> None:
    def code(s: Side) -> Any:
        parameters = [s.parameter(2), s.parameter(3)]
        (s.nn.utils.parameters_to_vector(parameters) ** 2).sum().backward()
        return [p.grad for p in parameters]

    same(code)


def test_vector_to_parameters_refuses() -> None:
    same(lambda s: s.nn.utils.vector_to_parameters([1.0], []))
    s = ours()
    with pytest.raises(ValueError, match=r"vec has 1 elements, fewer than the parameters together"):
        s.nn.utils.vector_to_parameters(s.tensor([1.0]), [s.parameter(2)])


@pytest.mark.parametrize("norm_type", [2.0, 1, 3, INF, -INF, 0, 0.5])
@pytest.mark.parametrize("max_norm", [1.0, 100.0])
def test_clip_grad_norm(norm_type: float, max_norm: float) -> None:
    def code(s: Side) -> Any:
        parameters = with_grads(s)
        total = s.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
        return rounded([total.tolist(), *[p.grad.tolist() for p in parameters[:2]]]), str(total.dtype)

    same(code)


def rounded(values: Any) -> Any:
    if isinstance(values, list):
        return [rounded(v) for v in values]
    return float(f"{values:.5g}")


@pytest.mark.parametrize("clip_value", [0.25, 2, 100.0])
def test_clip_grad_value(clip_value: float) -> None:
    def code(s: Side) -> Any:
        parameters = with_grads(s)
        s.nn.utils.clip_grad_value_(parameters, clip_value)
        return [p.grad for p in parameters]

    same(code)


def test_a_single_tensor_and_none() -> None:
    def code(s: Side) -> Any:
        p = with_grads(s)[1]
        total = s.nn.utils.clip_grad_norm_(p, 0.5)
        return (
            plain(total),
            plain(s.nn.utils.clip_grad_norm_([s.parameter(1)], 1.0)),
            rounded(p.grad.tolist()),
        )

    same(code)


def test_an_empty_generator_warns() -> None:
    same(lambda s: s.nn.utils.clip_grad_norm_((p for p in ()), 1.0))


@pytest.mark.parametrize("value", [INF, float("nan")])
def test_norms_that_are_not_finite(value: float) -> None:
    def code(s: Side, check: bool) -> Any:
        p = s.parameter(2)
        p.grad = s.tensor([value, 1.0])
        total = s.nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=check)
        return repr(total.tolist()), repr(p.grad.tolist())

    same(lambda s: code(s, True))
    same(lambda s: code(s, False))


def test_total_norm() -> None:
    def code(s: Side) -> Any:
        tensors = [s.tensor([3.0]), s.tensor([[4.0]])]
        total = s.nn.utils.get_total_norm(tensors)
        parameter = s.parameter(2)
        parameter.grad = s.tensor([3.0, 4.0])
        s.nn.utils.clip_grads_with_norm_(parameter, 1.0, total)
        return plain(total), rounded(parameter.grad.tolist())

    same(code)
