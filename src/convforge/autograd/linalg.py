"""Products of matrices."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from .arithmetic import conj_of
from .node import attach
from .promotion import widened
from .quiet import quiet
from .reduction import sum_to
from .tensor import Tensor, from_data, recording


def _same_dtype(input: Tensor, other: Tensor, name: str) -> None:
    if input._data.dtype != other._data.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {_c_name(input)} != "
            f"{_c_name(other)} in {name}: convert one with .to({other.dtype})"
        )


def _c_name(tensor: Tensor) -> str:
    return {"Float": "float", "Double": "double", "Long": "long int", "Int": "int"}.get(
        tensor.dtype.scalar_name, tensor.dtype.scalar_name
    )


def _product(x: Any, y: Any) -> Any:
    """np.matmul; half precision through float32, for which there is a fast product."""
    if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
        return widened(np.matmul, x, y.astype(np.float32))
    return np.matmul(x, y)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Vectors: their dot product. Matrices: their product; dimensions in front broadcast."""
    x, y = input._data, other._data
    if not x.ndim or not y.ndim:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {x.ndim}D and {y.ndim}D"
        )
    _same_dtype(input, other, "matmul")
    if x.shape[-1] != y.shape[max(y.ndim - 2, 0)]:
        raise RuntimeError(_mismatch(x.shape, y.shape))
    out = from_data(quiet.run(_product, x, y))
    if recording(input, other):
        name = {(1, 1): "DotBackward0", (2, 2): "MmBackward0", (2, 1): "MvBackward0"}.get(
            (x.ndim, y.ndim), "BmmBackward0"
        )
        attach(out, name, _matmul_backward, (input, other), (input, other))
    return out


def _mismatch(a: tuple[int, ...], b: tuple[int, ...]) -> str:
    if len(a) == len(b) == 1:
        return (
            f"inconsistent tensor size, expected tensor [{a[0]}] and src [{b[0]}] to have the same number of "
            f"elements, but got {a[0]} and {b[0]} elements respectively"
        )
    if len(b) == 1:
        return f"size mismatch, got input ({a[-2]}), mat ({a[-2]}x{a[-1]}), vec ({b[0]})"
    if len(a) == 3 and len(b) == 3 and a[0] == b[0]:
        return (
            f"Expected size for first two dimensions of batch2 tensor to be: [{b[0]}, {a[2]}] but got: "
            f"[{b[0]}, {b[1]}]."
        )
    rows = int(np.prod(a[:-1])) if len(a) > 1 else 1
    return f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a[len(a) - 1]} and {b[-2]}x{b[-1]})"


def _matmul_backward(node: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, y = node.saved
    rows, columns = x._data.ndim > 1, y._data.ndim > 1
    left = x if rows else x.unsqueeze(0)
    right = y if columns else y.unsqueeze(1)
    if not columns:
        grad = grad.unsqueeze(-1)
    if not rows:
        grad = grad.unsqueeze(-2)
    first = second = None
    if node.edges[0]:
        first = sum_to(matmul(grad, conj_of(right.transpose(-1, -2))), left._data.shape).reshape(
            x._data.shape
        )
    if node.edges[1]:
        second = sum_to(matmul(conj_of(left.transpose(-1, -2)), grad), right._data.shape).reshape(
            y._data.shape
        )
    return first, second


def _of_rank(name: str, tensor: Tensor, rank: int, argument: str) -> None:
    if tensor._data.ndim != rank:
        noun = "matrix" if rank == 2 else "3D tensor" if rank == 3 else "1D tensor"
        raise RuntimeError(f"{name}: {argument} must be a {noun}, got {tensor._data.ndim}-D tensor")


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    _of_rank("mm", input, 2, "self")
    _of_rank("mm", mat2, 2, "mat2")
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two equally long batches of matrices."""
    _of_rank("bmm", input, 3, "batch1")
    _of_rank("bmm", mat2, 3, "batch2")
    a, b = input._data.shape, mat2._data.shape
    if a[0] != b[0] or a[2] != b[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{a[0]}, {a[2]}] but "
            f"got: [{b[0]}, {b[1]}]."
        )
    return matmul(input, mat2)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    _of_rank("mv", input, 2, "self")
    _of_rank("mv", vec, 1, "vec")
    return matmul(input, vec)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The dot product of two vectors."""
    if input._data.ndim != 1 or tensor._data.ndim != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {input._data.ndim}D and {tensor._data.ndim}D tensors"
        )
    return matmul(input, tensor)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """out[i][j] = input[i] · vec2[j]."""
    _of_rank("outer", input, 1, "self")
    _of_rank("outer", vec2, 1, "vec2")
    return input.unsqueeze(1) * vec2


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · mat1 @ mat2."""
    product = mm(mat1, mat2)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    return (input if beta == 1 else input * beta) + product


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · batch1 @ batch2."""
    return input * beta + bmm(batch1, batch2) * alpha


def einsum(equation: str, *operands: Any) -> Tensor:
    """Einstein summation: einsum('bij,bjk->bik', x, y). Spaces and `...` are allowed.

    Raises RuntimeError where the equation and the sizes disagree.
    """
    listed = (
        list(operands[0]) if len(operands) == 1 and not isinstance(operands[0], Tensor) else list(operands)
    )
    terms, result = _parse(equation, listed)
    found = listed[0]
    held = terms[0]
    for index in range(1, len(listed)):
        later = set(result).union(*terms[index + 1 :])
        keep = [each for each in dict.fromkeys([*held, *terms[index]]) if each in later]
        found, held = _contract(found, held, listed[index], terms[index], keep), keep
    return _contract(found, held, None, [], result)


def _parse(equation: str, operands: list[Tensor]) -> tuple[list[list[str]], list[str]]:
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise RuntimeError(
            f"einsum(): {'more' if len(operands) > len(parts) else 'fewer'} operands were provided "
            "than specified in the equation"
        )
    free = [each for each in string.ascii_letters if each not in text]
    extra = 0
    terms: list[list[str]] = []
    for part, operand in zip(parts, operands, strict=True):
        named = len(part.replace("...", ""))
        spare = operand._data.ndim - named
        if spare < 0 or (spare and "..." not in part):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match the "
                "number of dimensions "
                f"({operand._data.ndim}) for operand {len(terms)} and no ellipsis was given"
            )
        extra = max(extra, spare)
        # The dimensions of an ellipsis are counted from its end, so that they broadcast.
        terms.append([*part.replace("...", "".join(reversed(free[:spare])))])
    ellipsis = [*reversed(free[:extra])]
    if arrow:
        return terms, [*right.replace("...", "".join(ellipsis))]
    letters = [each for term in terms for each in term if each not in ellipsis]
    return terms, [
        *(ellipsis if "..." in left else []),
        *sorted(each for each in set(letters) if letters.count(each) == 1),
    ]


def _contract(first: Tensor, a: list[str], second: Tensor | None, b: list[str], keep: list[str]) -> Tensor:
    """Multiply two operands and sum the letters that are not kept, by way of one batched product."""
    first, a = _diagonals(first, a)
    if second is None:
        gone = tuple(index for index, each in enumerate(a) if each not in keep)
        found = first.sum(gone) if gone else first
        left = [each for each in a if each in keep]
        return found.permute([left.index(each) for each in keep])
    second, b = _diagonals(second, b)
    lone_a = tuple(i for i, each in enumerate(a) if each not in b and each not in keep)
    lone_b = tuple(i for i, each in enumerate(b) if each not in a and each not in keep)
    if lone_a:
        first, a = first.sum(lone_a), [each for i, each in enumerate(a) if i not in lone_a]
    if lone_b:
        second, b = second.sum(lone_b), [each for i, each in enumerate(b) if i not in lone_b]
    sizes = _sizes(first, a, second, b)
    batch = [each for each in a if each in b and each in keep]
    summed = [each for each in a if each in b and each not in keep]
    rows, columns = [e for e in a if e not in b], [e for e in b if e not in a]
    count = {"b": batch, "s": summed, "r": rows, "c": columns}
    length = {key: int(np.prod([sizes[each] for each in names])) for key, names in count.items()}
    x = first.permute([a.index(each) for each in (*batch, *rows, *summed)])
    y = second.permute([b.index(each) for each in (*batch, *summed, *columns)])
    x = x.expand([sizes[each] for each in (*batch, *rows, *summed)]).reshape(
        length["b"], length["r"], length["s"]
    )
    y = y.expand([sizes[each] for each in (*batch, *summed, *columns)]).reshape(
        length["b"], length["s"], length["c"]
    )
    order = [*batch, *rows, *columns]
    out = matmul(x, y).reshape([sizes[each] for each in order])
    return out.permute([order.index(each) for each in keep])


def _sizes(first: Tensor, a: list[str], second: Tensor, b: list[str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for letter, size in [*zip(a, first._data.shape, strict=True), *zip(b, second._data.shape, strict=True)]:
        known = sizes.get(letter, 1)
        if 1 not in (known, size) and known != size:
            raise RuntimeError(
                f"einsum(): operands do not broadcast with remapped shapes: subscript {letter} has "
                f"size {size} and {known}"
            )
        sizes[letter] = size if known == 1 else known
    return sizes


def _diagonals(tensor: Tensor, letters: list[str]) -> tuple[Tensor, list[str]]:
    """Letters that come twice in one term: the diagonal."""
    while len(set(letters)) < len(letters):
        twice = next(each for each in letters if letters.count(each) > 1)
        places = [index for index, each in enumerate(letters) if each == twice][:2]
        tensor = tensor.diagonal(0, *places)
        letters = [each for index, each in enumerate(letters) if index not in places] + [twice]
    return tensor, letters
