"""Inputs of the wrong rank, and with empty axes: the functions take and refuse what PyTorch does.

The letters are what PyTorch 2.13.0 does with ones of SHAPES: '.' a result, else the error's first letter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.beside_torch import normal, our_functional, ours, torch

SHAPES = [
    (), (4,), (4, 4), (4, 4, 4), (4,) * 4, (4,) * 5, (4,) * 6, (0, 4), (0, 4, 4), (0, 4, 4, 4), (0, 4, 4,
    4, 4), (4, 0), (4, 0, 4), (4, 4, 0), (4, 0, 4, 4), (4, 4, 0, 4), (4, 4, 4, 0),
]  # fmt: skip
ERRORS = {"R": RuntimeError, "I": IndexError, "V": ValueError, "T": TypeError, "N": NotImplementedError}
CALLS = [
    ("adaptive_avg_pool1d(x, 1)", "RR..RRR..RR...RRR"),
    ("adaptive_avg_pool1d(x, 2)", "RR..RRR..RRR.RRRR"),
    ("adaptive_avg_pool1d(x, None)", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_avg_pool1d(x, (2,))", "RR..RRR..RRR.RRRR"),
    ("adaptive_avg_pool1d(x, (2, None))", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_avg_pool1d(x, (2, 2, 2, 2))", "RRRRRRRRRRRRRRRRR"),
    ("adaptive_avg_pool1d(x, [])", "RRRRRRRRRRRRRRRRR"),
    ("adaptive_avg_pool1d(x, 1.5)", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_avg_pool1d(x, -1)", "RRRRRRRRRRRRRRRRR"),
    ("adaptive_max_pool1d(x, 1)", "RR..RRR..RRRRRRRR"),
    ("adaptive_max_pool1d(x, 2)", "RR..RRR..RRRRRRRR"),
    ("adaptive_max_pool1d(x, None)", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_max_pool1d(x, (2, None))", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_max_pool1d(x, 1.5)", "TTTTTTTTTTTTTTTTT"),
    ("avg_pool1d(x, 2)", "RR..RRRR.RRRRRRRR"),
    ("avg_pool1d(x, 0)", "RRRRRRRRRRRRRRRRR"),
    ("avg_pool1d(x, 2, 0)", "RRRRRRRRRRRRRRRRR"),
    ("avg_pool1d(x, 9)", "RRRRRRRRRRRRRRRRR"),
    ("max_pool1d(x, 2)", "RR..RRRR.RRRRRRRR"),
    ("max_pool1d(x, 0)", "RRRRRRRRRRRRRRRRR"),
    ("max_pool1d(x, 2, 0)", "RRRRRRRRRRRRRRRRR"),
    ("max_pool1d(x, 9)", "RRRRRRRRRRRRRRRRR"),
    ("lp_pool1d(x, 2, 2)", "RR..RRRR.RRRRRRRR"),
    ("dropout1d(x)", "RR..RRR..RR...RRR"),
    ("adaptive_avg_pool2d(x, 1)", "II..............."),
    ("adaptive_avg_pool2d(x, 2)", "RRR..RRR..RRRR.RR"),
    ("adaptive_avg_pool2d(x, None)", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_avg_pool2d(x, (2,))", "VVRRRRRRRRRRRRRRR"),
    ("adaptive_avg_pool2d(x, (2, None))", "VVV..RRV..RVRR.RR"),
    ("adaptive_avg_pool2d(x, (2, 2, 2, 2))", "VVVVVRRVVVRVVVVVV"),
    ("adaptive_avg_pool2d(x, [])", "VRRRRRRRRRRRRRRRR"),
    ("adaptive_avg_pool2d(x, 1.5)", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_avg_pool2d(x, -1)", "RRRRRRRRRRRRRRRRR"),
    ("adaptive_max_pool2d(x, 1)", "RRR..RRR..RRRRRRR"),
    ("adaptive_max_pool2d(x, 2)", "RRR..RRR..RRRRRRR"),
    ("adaptive_max_pool2d(x, None)", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_max_pool2d(x, (2, None))", "VVV..RRV..RVRRRRR"),
    ("adaptive_max_pool2d(x, 1.5)", "TTTTTTTTTTTTTTTTT"),
    ("avg_pool2d(x, 2)", "III..RRIR.RIRRRRR"),
    ("avg_pool2d(x, 0)", "IIIRRRRIRRRIRRRRR"),
    ("avg_pool2d(x, 2, 0)", "IIIRRRRIRRRIRRRRR"),
    ("avg_pool2d(x, 9)", "IIIRRRRIRRRIRRRRR"),
    ("max_pool2d(x, 2)", "RRR..RRRR.RRRRRRR"),
    ("max_pool2d(x, 0)", "RRRRRRRRRRRRRRRRR"),
    ("max_pool2d(x, 2, 0)", "RRRRRRRRRRRRRRRRR"),
    ("max_pool2d(x, 9)", "RRRRRRRRRRRRRRRRR"),
    ("lp_pool2d(x, 2, 2)", "III..RRIR.RIRRRRR"),
    ("dropout2d(x)", "RR..............."),
    ("adaptive_avg_pool3d(x, 1)", "III....I...I....."),
    ("adaptive_avg_pool3d(x, 2)", "RRRR..RRR..RRRRRR"),
    ("adaptive_avg_pool3d(x, None)", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_avg_pool3d(x, (2,))", "VVRRRRRRRRRRRRRRR"),
    ("adaptive_avg_pool3d(x, (2, None))", "VVVRRRRVRRRVRRRRR"),
    ("adaptive_avg_pool3d(x, (2, 2, 2, 2))", "VVVVVRRVVVRVVVVVV"),
    ("adaptive_avg_pool3d(x, [])", "VRRRRRRRRRRRRRRRR"),
    ("adaptive_avg_pool3d(x, 1.5)", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_avg_pool3d(x, -1)", "RRRRRRRRRRRRRRRRR"),
    ("adaptive_max_pool3d(x, 1)", "RRRR..RRR..RRRRRR"),
    ("adaptive_max_pool3d(x, 2)", "RRRR..RRR..RRRRRR"),
    ("adaptive_max_pool3d(x, None)", "TTTTTTTTTTTTTTTTT"),
    ("adaptive_max_pool3d(x, (2, None))", "VVVRRRRVRRRVRRRRR"),
    ("adaptive_max_pool3d(x, 1.5)", "TTTTTTTTTTTTTTTTT"),
    ("avg_pool3d(x, 2)", "RRRR..RRRR.RRRRRR"),
    ("avg_pool3d(x, 0)", "RRRRRRRRRRRRRRRRR"),
    ("avg_pool3d(x, 2, 0)", "RRRRRRRRRRRRRRRRR"),
    ("avg_pool3d(x, 9)", "RRRRRRRRRRRRRRRRR"),
    ("max_pool3d(x, 2)", "RRRR..RRRR.RRRRRR"),
    ("max_pool3d(x, 0)", "RRRRRRRRRRRRRRRRR"),
    ("max_pool3d(x, 2, 0)", "RRRRRRRRRRRRRRRRR"),
    ("max_pool3d(x, 9)", "RRRRRRRRRRRRRRRRR"),
    ("lp_pool3d(x, 2, 2)", "RRRR..RRRR.RRRRRR"),
    ("dropout3d(x)", "R................"),
    ("unfold(x, 2)", "III..RRIR.RRRRRRR"),
    ("batch_norm(x, None, None, training=True)", "II..............."),
    ("rms_norm(x, (4,))", "V..........R.R..R"),
    ("pad(x, (1, 1), 'circular')", "RN..NNN..NNR.RNNN"),
    ("pad(x, (1, 1, 1, 1), 'circular')", "RRN..NNN..NNRR.RR"),
    ("pad(x, (1, 1), 'reflect')", "RN..NNNR.NNRRRNNN"),
    ("local_response_norm(x, 2)", "VVV....V...V....."),
]


def _run(root: Any, functional: Any, call: str, array: Any) -> np.ndarray[Any, Any]:
    root.manual_seed(0)
    return eval(f"F.{call}", {"F": functional, "x": root.from_numpy(array.copy())}).numpy()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("call", "outcomes"), CALLS)
def test_ranks(call: str, outcomes: str) -> None:
    for shape, outcome in zip(SHAPES, outcomes, strict=True):
        array = normal(*shape, dtype="float32").reshape(shape)
        if outcome in ERRORS:
            with pytest.raises(ERRORS[outcome]):
                _run(ours, our_functional, call, array)
            continue
        found = _run(ours, our_functional, call, array)
        if torch is not None:
            expected = _run(torch, torch.nn.functional, call, array)
            assert found.shape == expected.shape, shape
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", [2, 3])
def test_one_mean_of_any_number_of_axes(rank: int) -> None:
    """Where every output size is 1, PyTorch takes the mean over the last axes, and so do we."""
    pool = getattr(our_functional, f"adaptive_avg_pool{rank}d")
    x = normal(2, 3, 4, 5, 6, 7)
    np.testing.assert_allclose(pool(x, 1), x.mean(axis=tuple(range(-rank, 0)), keepdims=True))
