"""Gradients against finite differences."""

# ruff: noqa: ARG001 - PyTorch's signatures are kept whole

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .dtype import FLOAT
from .engine import grad
from .grad_mode import enable_grad, no_grad
from .tensor import Tensor, from_data


class GradcheckError(RuntimeError):
    """The analytical gradient differs from the numerical one."""


def _outputs(result: Any) -> list[Tensor]:
    listed = [result] if isinstance(result, Tensor) else list(result)
    return [each for each in listed if isinstance(each, Tensor) and each.requires_grad]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether backward of `func` agrees with central differences, for every input that requires grad.

    Use float64 inputs. Raises GradcheckError where it does not, or returns False unless raise_exception;
    ValueError where no input requires grad. Complex inputs are moved along both axes.
    """
    given: tuple[Any, ...] = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    traced = [each for each in given if isinstance(each, Tensor) and each.requires_grad]
    if not traced:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them "
            "have requires_grad=True."
        )
    try:
        _check(func, given, traced, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check(
    func: Callable[..., Any],
    given: tuple[Any, ...],
    traced: list[Tensor],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> None:
    with enable_grad():
        outputs = _outputs(func(*given))
    for index, output in enumerate(outputs):
        directions = [np.array(1.0)] if output._data.dtype.kind != "c" else [np.array(1.0), np.array(1.0j)]
        for direction in directions:
            analytical = _analytical(output, traced, direction)
            again = _analytical(output, traced, direction)
            for number, tensor in enumerate(traced):
                if np.abs(analytical[number] - again[number]).max(initial=0) > nondet_tol:
                    raise GradcheckError(
                        "Backward is not reentrant, i.e., running backward with same input and "
                        "grad_output multiple times gives different values"
                    )
                numerical = _numerical(func, given, tensor, index, direction, eps)
                if not np.allclose(analytical[number], numerical, rtol, atol, equal_nan=False):
                    raise GradcheckError(
                        f"Jacobian mismatch for output {index} with respect to input {number},\n"
                        f"numerical:{numerical}\nanalytical:{analytical[number]}\n"
                    )


def _analytical(output: Tensor, traced: list[Tensor], direction: Any) -> list[Any]:
    """Rows: elements of each input; columns: elements of the output."""
    size = output._data.size
    columns: list[list[Any]] = [[] for _ in traced]
    for place in range(size):
        seed = np.zeros(size, output._data.dtype)
        seed[place] = direction
        found = grad(
            [output],
            traced,
            [from_data(seed.reshape(output._data.shape))],
            retain_graph=True,
            allow_unused=True,
        )
        for number, (gradient, tensor) in enumerate(zip(found, traced, strict=True)):
            value = np.zeros(tensor._data.shape, tensor._data.dtype) if gradient is None else gradient._data
            if value.shape != tensor._data.shape:
                raise GradcheckError("grad is incorrect size")
            columns[number].append(value.reshape(-1))
    return [
        np.stack(each, axis=1) if each else np.zeros((tensor._data.size, 0), tensor._data.dtype)
        for each, tensor in zip(columns, traced, strict=True)
    ]


def _numerical(
    func: Callable[..., Any], given: tuple[Any, ...], tensor: Tensor, index: int, direction: Any, eps: float
) -> Any:
    """The same matrix by central differences of Re(conj(direction) · output)."""
    data = tensor._data

    def evaluate() -> Any:
        # Recorded, so that the same outputs count as in the analytical part.
        with enable_grad():
            output = _outputs(func(*given))[index]
        return (np.conj(direction) * output._data).real.reshape(-1).copy()

    rows: list[Any] = []
    for place in np.ndindex(data.shape):
        before = data[place]
        row: Any = 0
        for step in (eps, eps * 1j) if data.dtype.kind == "c" else (eps,):
            with no_grad():
                data[place] = before + step
                high = evaluate()
                data[place] = before - step
                low = evaluate()
                data[place] = before
            row = row + (high - low) / (2 * eps) * (step / eps)
        rows.append(row)
    return np.stack(rows) if rows else np.zeros((0, 0))


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of the gradient itself: whether double backward agrees with differences of backward."""
    given: tuple[Any, ...] = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        draws = np.random.default_rng(0)
        seeds = [
            from_data(draws.standard_normal(each._data.shape).astype(each._data.dtype)).requires_grad_()
            for each in _outputs(func(*given))
        ]
    else:
        seeds = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    places = [i for i, each in enumerate(given) if isinstance(each, Tensor) and each.requires_grad]
    count = len(seeds)

    def gradients(*everything: Any) -> Any:
        arguments, weights = everything[: len(everything) - count], everything[len(everything) - count :]
        arguments = tuple(
            each.detach().requires_grad_() if i in places and not each.requires_grad else each
            for i, each in enumerate(arguments)
        )
        outputs = _outputs(func(*arguments))
        found = grad(outputs, [arguments[i] for i in places], weights, create_graph=True, allow_unused=True)
        return tuple(each for each in found if each is not None and each.dtype.category >= FLOAT)

    return gradcheck(
        gradients,
        (*given, *seeds),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
    )
