"""The parameters of a model as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...autograd.tensor import Tensor
from ..foreign import typename


def parameters_to_vector(parameters: Iterable[Any]) -> Tensor:
    """All elements of the parameters, one parameter after the other, (total,). Gradients pass through."""
    from ...autograd.joining import cat

    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Any]) -> None:
    """Give the parameters their values from the slices of a vector, whose memory they share from then on.

    Raises TypeError if `vec` is no Tensor, ValueError if it is shorter than the parameters together.
    """
    given: Any = vec
    if not isinstance(given, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {typename(given)}")
    begin = 0
    for parameter in parameters:
        end = begin + parameter.numel()
        if end > given.numel():
            raise ValueError(
                f"vec has {given.numel()} elements, fewer than the parameters together: "
                "pass what parameters_to_vector gave for them"
            )
        parameter.data = given.detach()[begin:end].view(parameter.shape)
        begin = end
