"""Creation arguments, limits of dtypes, writing by index, and sums without NaN, as PyTorch has them.

The table beside this file holds what PyTorch 2.13.0 prints for a call: the beginning of its text, or of
its error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.beside_torch import ours, torch


def _table() -> dict[str, str]:
    lines = (Path(__file__).parent / "torch_calls.txt").read_text().splitlines()
    pairs = (line.split(" -> ") for line in lines if not line.startswith("#"))
    return {call: text.replace("\\n", "\n") for call, text in pairs}


CALLS = _table()


def _text(root: Any, call: str) -> str:
    root.manual_seed(0)
    try:
        return repr(eval(call, {"R": root}))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("call", CALLS)
def test_calls(call: str) -> None:
    expected = CALLS[call]
    mine = _text(ours, call)
    if "Error: " in expected:
        # The type, and the first words.
        expected, mine = expected[:40], mine[:40]
    assert mine.startswith(expected)
    if torch is not None:
        # A PyTorch built for CUDA looks for a driver before it speaks of pinned memory.
        if "pin_memory" in call and torch.version.cuda:
            expected = "RuntimeError: Found no NVIDIA driver"
        assert _text(torch, call).startswith(expected)


def test_out_is_the_result() -> None:
    out = ours.ones(2, 2)
    view = out[0]
    assert ours.zeros(2, 2, out=out) is out
    assert view.tolist() == [0.0, 0.0]
    assert ours.arange(3, out=out) is out
    assert out.tolist() == [0.0, 1.0, 2.0]
    assert ours.empty(3, out=out).tolist() == [0.0, 1.0, 2.0]


DRAWS = [
    "exponential_()",
    "exponential_(2.5)",
    "geometric_(0.3)",
    "cauchy_()",
    "cauchy_(1, 2)",
    "log_normal_()",
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("call", DRAWS)
def test_draws_are_pytorchs(call: str, dtype: str) -> None:
    torch_module = pytest.importorskip("torch")
    for shape in ((), (3,), (5, 40), (0,)):
        found = []
        for root in (ours, torch_module):
            root.manual_seed(3)
            x = root.zeros(shape, dtype=getattr(root, dtype))
            found.append(eval(f"x.{call}", {"x": x}).numpy())
            found[-1] = np.append(found[-1], root.rand(2).numpy())  # the generator stands at the same place
        np.testing.assert_allclose(*found, rtol=1e-6)


@pytest.mark.parametrize("call", [*DRAWS, "uniform_()", "normal_()", "random_()", "bernoulli_()"])
def test_draws_send_back_zeros(call: str) -> None:
    names = []
    for root in [ours] if torch is None else [ours, torch]:
        leaf = root.ones(3, requires_grad=True)
        drawn = eval(f"x.{call}", {"x": leaf * 1})
        assert drawn.requires_grad
        names.append(drawn.grad_fn.name())
        drawn.sum().backward()
        assert leaf.grad.tolist() == [0.0, 0.0, 0.0]
        with pytest.raises(RuntimeError, match="leaf Variable"):
            eval(f"x.{call}", {"x": leaf})
    assert len(set(names)) == 1


def test_gradients() -> None:
    def grads(root: Any) -> list[Any]:
        x = root.tensor([1.0, float("nan"), 2.0, 0.0], requires_grad=True)
        source = root.ones(1, requires_grad=True)
        place = root.tensor([1])
        sums = [
            root.nansum(x) * 3,
            root.nanmean(x),
            root.bernoulli(x.detach().nan_to_num().clamp(0, 1).requires_grad_()).sum() * 0 + x[0],
            (x * 1).index_fill_(0, place, 2.0).sum(),
            (x * 1).index_fill(0, place, source.sum()).sum(),
            (x * 1).index_copy_(0, place, source).sum(),
            ((x * 1).index_put_((place,), source) * 2).sum(),
            ((x * 1).index_put_((root.tensor([1, 1]),), source * 3, accumulate=True) * 2).sum(),
        ]
        found: list[Any] = []
        for total in sums:
            x.grad = source.grad = None
            total.backward()
            found.append([None if each.grad is None else each.grad.tolist() for each in (x, source)])
        return found

    mine = grads(ours)
    assert mine[0] == [[3.0, 0.0, 3.0, 3.0], None]
    assert mine[5] == [[1.0, 0.0, 1.0, 1.0], [1.0]]
    assert mine[7] == [[2.0, 2.0, 2.0, 2.0], [12.0]]
    if torch is not None:
        assert mine == grads(torch)


def test_a_count_has_no_gradient() -> None:
    x = ours.tensor([1.0, 0.0, 2.0], requires_grad=True)
    count = x.norm(0)
    assert count.requires_grad
    count.backward()
    assert x.grad is None
