"""Products of a small constant matrix with vectors: the transforms of Winograd's kernels.

Matrices of interpolation at p and -p have rows (or columns) that differ only in the signs of every second
element, so their even and odd parts are computed once:

    row i    a0 + a1 + a2 + a3        =  even + odd
    row j    a0 - a1 + a2 - a3        =  even - odd
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from convforge.ir.emitter import Value
from convforge.ir.vector import Vectors
from convforge.schedule.winograd import Matrix


def emit_product(v: Vectors, matrix: Matrix, x: Sequence[Value]) -> list[Value]:
    """matrix @ x, rows that mirror each other sharing their halves: the transforms of data and weights."""
    results: dict[int, Value] = {}
    for i, row in enumerate(matrix):
        if i in results:
            continue
        mirrored = tuple(c if k % 2 == 0 else -c for k, c in enumerate(row))
        twin = matrix.index(mirrored) if mirrored != row and mirrored in matrix else None
        if twin is None:
            results[i] = _combine(v, row, x)
        else:
            even = _combine(v, row[::2], x[::2])
            odd = _combine(v, row[1::2], x[1::2])
            results[i], results[twin] = v.add(even, odd), v.subtract(even, odd)
    return [results[i] for i in range(len(matrix))]


def emit_transposed_product(v: Vectors, matrix: Matrix, x: Sequence[Value]) -> list[Value]:
    """matrix @ x, columns that mirror each other added and subtracted first: the transform of outputs."""
    columns = list(zip(*matrix))
    sums: list[tuple[int, Value, Value]] = []  # (column, value for even rows, value for odd rows)
    done: set[int] = set()
    for k, column in enumerate(columns):
        if k in done:
            continue
        mirrored = tuple(c if i % 2 == 0 else -c for i, c in enumerate(column))
        twin = columns.index(mirrored) if mirrored != column and mirrored in columns else None
        if twin is None:
            sums.append((k, x[k], x[k]))
        else:
            done.add(twin)
            sums.append((k, v.add(x[k], x[twin]), v.subtract(x[k], x[twin])))
    return [
        _combine(v, [row[k] for k, _, _ in sums], [pair[i % 2] for _, *pair in sums])
        for i, row in enumerate(matrix)
    ]


def _combine(v: Vectors, factors: Sequence[Fraction], x: Sequence[Value]) -> Value:
    """The sum of factor * x, terms of factor 1 first: they need no multiplication."""
    terms = [(float(f), value) for f, value in zip(factors, x) if f]
    terms.sort(key=lambda term: (term[0] != 1.0, term[0] != -1.0))
    if not terms:
        return v.zero()
    factor, total = terms[0]
    if factor != 1.0:
        total = v.scale(total, factor)
    for factor, value in terms[1:]:
        if factor == 1.0:
            total = v.add(total, value)
        elif factor == -1.0:
            total = v.subtract(total, value)
        else:
            total = v.multiply_add(v.constant(factor), value, total)
    return total
