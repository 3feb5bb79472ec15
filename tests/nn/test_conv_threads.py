"""One layer, one function, many threads: nobody gets another one's numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from convforge import nn
from convforge.nn import functional


def test_a_function_with_other_weights_in_every_thread() -> None:
    x = np.ones((1, 4, 9, 9), np.float32)

    def run(value: int) -> bool:
        weight = np.full((4, 4, 3, 3), value, np.float32)
        return all((functional.conv2d(x, weight) == 36 * value).all() for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(16)))


def test_a_layer_with_other_shapes_in_every_thread() -> None:
    layer = nn.Conv2d(4, 4, 3, bias=False)
    layer.weight.detach().numpy()[...] = 1
    layer.requires_grad_(False)

    def run(size: int) -> bool:
        x = np.full((1, 4, size, size), size, np.float32)
        return all((layer(x).numpy() == 36 * size).all() for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(3, 19)))


def test_a_layer_whose_weights_change_while_others_call_it() -> None:
    """After a change, every thread sees the new weights."""
    layer = nn.Conv1d(1, 1, 1, bias=False)
    layer.requires_grad_(False)
    memory = layer.weight.detach().numpy()
    x = np.ones((1, 1, 64), np.float32)
    for value in range(1, 30):
        memory[...] = value
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(lambda _, v=value: (layer(x).numpy() == v).all(), range(8)))
