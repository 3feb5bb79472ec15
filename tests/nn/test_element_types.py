"""Integers and bools in every function: the same acceptance, dtype, numbers and errors as PyTorch.

The table beside this file holds what PyTorch 2.13.0 does; where PyTorch is there, numbers and the first words
of errors are compared too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.beside_torch import our_functional, ours, torch

DTYPES = ("int64", "int32", "uint8", "bool")
_ERRORS = {"NotImplemented": NotImplementedError, "Runtime": RuntimeError, "Index": IndexError}


def _table() -> list[tuple[str, list[tuple[int, ...]], str, str]]:
    rows: list[tuple[str, list[tuple[int, ...]], str, str]] = []
    for line in (Path(__file__).parent / "element_types.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        call, shapes, outcomes = (part.strip() for part in line.split("|"))
        sizes = [tuple(int(size) for size in shape.split(",")) for shape in shapes.split()]
        words = outcomes.split()
        rows += [(call, sizes, dtype, words[i % len(words)]) for i, dtype in enumerate(DTYPES)]
    return rows


def _values(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray[Any, Any]:
    low, high = {"bool": (0, 2), "uint8": (0, 4)}.get(dtype, (-3, 5))
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def _run(root: Any, functional: Any, call: str, arrays: list[Any]) -> list[Any]:
    tensors = dict(zip("xyz", [root.from_numpy(array.copy()) for array in arrays], strict=False))
    root.manual_seed(0)
    result = eval(f"F.{call}", {"F": functional, "R": root}, tensors)
    return [each.numpy() for each in (result if isinstance(result, tuple) else (result,))]


# Class numbers and indices must be some; for these the values do not matter to what is compared.
_RANGED = ("one_hot", "nll_loss", "cross_entropy", "binary_cross_entropy(")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("call", "shapes", "dtype", "outcome"), _table())
def test_table(call: str, shapes: list[tuple[int, ...]], dtype: str, outcome: str) -> None:
    ones = call.startswith(_RANGED)
    arrays = [np.ones(s, dtype) if ones else _values(s, dtype, i) for i, s in enumerate(shapes)]
    if outcome in _ERRORS:
        with pytest.raises(_ERRORS[outcome]) as mine:
            _run(ours, our_functional, call, arrays)
        if torch is not None:
            with pytest.raises(_ERRORS[outcome]) as expected:
                _run(torch, torch.nn.functional, call, arrays)
            assert str(mine.value)[:20] == str(expected.value)[:20]
        return
    found = _run(ours, our_functional, call, arrays)
    assert str(found[0].dtype) == outcome
    if torch is not None:
        for mine_array, array in zip(found, _run(torch, torch.nn.functional, call, arrays), strict=True):
            assert mine_array.dtype == array.dtype
            np.testing.assert_allclose(mine_array, array, rtol=1e-5, atol=1e-6)


MIXED = {
    "mse_loss": "fdfff ddddd fdhhh fdhNN fdhNN",
    "l1_loss": "fdffR ddddR fdhhR fdhiR RRRRR",
    "smooth_l1_loss": "fdfff ddddd fdhhh fdhNN fdhNN",
    "huber_loss": "fffff ddddd hhhhh RRRNN RRRRN",
    "binary_cross_entropy": "fRRRR RdRRR RRhRR RRRNR RRRRN",
    "binary_cross_entropy_with_logits": "fdhRR fdhRR fdhRR NNNNN NNNNN",
    "kl_div": "fdfRR dddRR fdhRR RRRRR RRRRR",
    "soft_margin_loss": "fffff ddddd hhhhh RRRRR RRRRR",
    "poisson_nll_loss": "fdfff ddddd fdhhh fdfff fdffR",
    "cosine_similarity": "fdfff ddddd fdhhh fdhRR fdhRR",
}
"""What PyTorch 2.13.0 gives for inputs (words) and targets (letters) of f32, d64, h16, int64, bool."""
_LETTERS = {"f": "float32", "d": "float64", "h": "float16", "i": "int64", "b": "bool"}


@pytest.mark.parametrize("name", MIXED)
def test_two_element_types(name: str) -> None:
    keywords = {} if name == "cosine_similarity" else {"reduction": "none"}
    for first, outcomes in zip(_LETTERS.values(), MIXED[name].split(), strict=True):
        for second, outcome in zip(_LETTERS.values(), outcomes, strict=True):
            x = ours.tensor([[1.0, 0.0], [0.0, 1.0]]).to(getattr(ours, first))
            y = ours.tensor([[0.0, 1.0], [0.0, 1.0]]).to(getattr(ours, second))
            error = {"N": NotImplementedError, "R": RuntimeError}.get(outcome)
            if error is None:
                found = getattr(our_functional, name)(x, y, **keywords)
                assert str(found.dtype) == f"torch.{_LETTERS[outcome]}", (first, second)
                continue
            with pytest.raises(error) as raised:
                getattr(our_functional, name)(x, y, **keywords)
            assert raised.type is error, (first, second)


def test_integers_by_hand() -> None:
    """The same without PyTorch: what the numbers of integers are."""
    F = our_functional
    x = np.array([[[-3, -2, -1, 0, 5, 9]]])
    np.testing.assert_array_equal(F.relu6(x), x.clip(0, 6))
    np.testing.assert_array_equal(F.hardtanh(x, -1.5, 2.5), x.clip(-1, 2))
    np.testing.assert_array_equal(F.threshold(x, 0.5, 2.5), np.where(x <= 0, 2, x))
    np.testing.assert_array_equal(F.avg_pool1d(x, 2), [[[-2, 0, 7]]])  # -5/2 towards zero
    np.testing.assert_allclose(F.sigmoid(x), 1 / (1 + np.exp(-x.astype(np.float32))), rtol=1e-6)
    in_place = ours.tensor([-3, 9])
    assert F.hardtanh(in_place, -1, 2, inplace=True) is in_place
    assert in_place.tolist() == [-1, 2]
    assert F.threshold(in_place, 0, 7, inplace=True).tolist() == [7, 2]
    with pytest.raises(RuntimeError, match="without overflow"):
        F.threshold(np.zeros(2, np.uint8), -1, 2)


def test_class_probabilities_know_no_ignored_class() -> None:
    logits, target = ours.zeros(2, 3), ours.full((2, 3), 1 / 3)
    with pytest.raises(RuntimeError, match=r"^ignore_index is not supported for floating point target"):
        our_functional.cross_entropy(logits, target, ignore_index=0)
    for index in (-100, -1):
        loss = our_functional.cross_entropy(logits, target, ignore_index=index)
        assert loss.item() == pytest.approx(np.log(3))


NODES = {
    "leaky_relu_(x * 1)": "LeakyReluBackward1",
    "celu(x)": "CeluBackward0",
    "elu(x * 1, inplace=True)": "EluBackward1",
    "threshold(x, 1, 2)": "ThresholdBackward0",
    "prelu(x, x[:1, 0])": "PreluKernelBackward0",
    "glu(x)": "GluBackward0",
    "linear(x, x, x[:, 0])": "AddmmBackward0",
    "unfold(x[None], 2)": "Im2ColBackward0",
    "pairwise_distance(x, x + 1)": "NormBackward1",
    "softsign(x)": "DivBackward0",
}


@pytest.mark.parametrize("call", NODES)
def test_names_of_nodes(call: str) -> None:
    """What is printed behind a tensor, recorded from PyTorch 2.13.0."""
    for root, functional in [(ours, our_functional)] + ([(torch, torch.nn.functional)] if torch else []):
        x = root.ones(4, 4).requires_grad_()
        assert eval(f"F.{call}", {"F": functional, "x": x}).grad_fn.name() == NODES[call]
