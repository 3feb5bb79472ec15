"""The name that stands behind a tensor when it is printed: PyTorch's, where we compute in other steps."""

from __future__ import annotations

from .tensor import Tensor


def named(result: Tensor, name: str) -> Tensor:
    """`result` with its last operation renamed: a composite that PyTorch has as one node.

    result: made by the caller, so that nobody else sees its node
    """
    node = result._grad_fn
    if node is not None:
        node._name = name
    return result
