"""The generator against plain-Python MT19937: needs no PyTorch."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge.autograd import fma, random
from convforge.autograd.random import Generator
from support.mersenne import Mersenne

SEEDS = st.integers(-(2**63), 2**64 - 1)


@settings(max_examples=20)
@given(SEEDS)
def test_outputs_are_mt19937s(seed):
    ours, oracle = Generator().manual_seed(seed), Mersenne(seed)
    assert ours.raw32(1500).tolist() == [oracle.draw32() for _ in range(1500)]
    assert ours.raw64(5).tolist() == [oracle.draw64() for _ in range(5)]


def test_uniform_numbers():
    ours, oracle = Generator().manual_seed(7), Mersenne(7)
    assert random.uniform_(np.empty(3, np.float32), generator=ours).tolist() == [
        oracle.uniform32() for _ in range(3)
    ]
    assert random.uniform_(np.empty(3), generator=ours).tolist() == [oracle.uniform64() for _ in range(3)]
    integers = random.random_(np.empty(4, np.int64), -5, 2**40, ours)
    assert integers.tolist() == [oracle.draw64() % (2**40 + 5) - 5 for _ in range(4)]
    assert random.bernoulli_(np.empty(9), np.full(9, 0.25), ours).tolist() == [
        float(oracle.uniform64() < 0.25) for _ in range(9)
    ]


def test_few_normal_numbers_come_in_pairs():
    ours, oracle = Generator().manual_seed(7), Mersenne(7)
    pairs = [x for _ in range(4) for x in oracle.normal_pair()]
    drawn = [x for n in (3, 4, 1) for x in random.normal_(np.empty(n), 2.0, 3.0, ours).tolist()]
    assert drawn == pytest.approx([x * 3 + 2 for x in pairs], rel=1e-13)


def test_many_normal_numbers_come_in_blocks():
    ours, oracle = Generator().manual_seed(7), Mersenne(7)
    expected = oracle.normal_block() + [oracle.uniform64() for _ in range(5)]
    expected[5:] = oracle.normal_block()
    assert random.normal_(np.empty(21), generator=ours).tolist() == pytest.approx(expected, rel=1e-12)


def test_permutation_is_fisher_and_yates():
    ours, oracle = Generator().manual_seed(7), Mersenne(7)
    order = list(range(50))
    for i in range(49):
        j = i + oracle.draw32() % (50 - i)
        order[i], order[j] = order[j], order[i]
    assert random.randperm(50, ours).tolist() == order


def test_large_permutation_is_inside_out(monkeypatch):
    monkeypatch.setattr("convforge.autograd.random_integer._LARGE_PERMUTATION", 10)
    ours, oracle = Generator().manual_seed(7), Mersenne(7)
    order = list(range(50))
    for i in range(50):
        j = oracle.draw64() % (i + 1)
        order[i] = order[j]
        order[j] = i
    assert random.randperm(50, ours).tolist() == order


@pytest.mark.parametrize("size", [0, 1, 2, 3, 2000, 40_000])
def test_every_permutation_is_one(size):
    assert sorted(random.randperm(size).tolist()) == list(range(size))


def test_pieces_do_not_show():
    # 16384 numbers are drawn at a time: the seam must not move the stream.
    whole, parts = Generator().manual_seed(1), Generator().manual_seed(1)
    drawn = random.uniform_(np.empty(40_001, np.float32), generator=whole)
    again = [random.uniform_(np.empty(n, np.float32), generator=parts) for n in (10_000, 30_001)]
    assert np.array_equal(drawn, np.concatenate(again))


@settings(max_examples=30)
@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300), st.integers(0, 2**32))
def test_fma64_rounds_once(factor, addend, seed):
    from fractions import Fraction

    x = random.uniform_(np.empty(20), generator=Generator().manual_seed(seed))
    exact = [float(Fraction(v) * Fraction(factor) + Fraction(addend)) for v in x.tolist()]
    assert fma.fma64(x, factor, addend).tolist() == exact


def test_fma32_rounds_once():
    # 1 + 2**-24 + 2**-60: float64 drops the last term, and then a tie would go to even, downwards.
    x = np.array([2.0**-24], np.float32)
    factor = 1 + 2.0**-20
    addend = 1 - 2.0**-44
    assert fma.fma32(x, factor, 1.0).tolist() == [float(np.float32(1 + 2.0**-23))]
    assert fma.fma32(x, 1.0, 1.0).tolist() == [1.0]
    assert fma.fma32(x, 1.0, addend).tolist() == [1.0]


def test_state_can_be_saved_and_set():
    stream = Generator().manual_seed(11)
    random.normal_(np.empty(3), generator=stream)
    saved = stream.state_bytes()
    copies = [Generator().set_state(saved), copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))]
    expected = random.normal_(np.empty(700), generator=stream)
    for other in copies:
        assert np.array_equal(random.normal_(np.empty(700), generator=other), expected)
        assert other.initial_seed() == 11


def test_fork_leaves_the_stream_alone():
    random.manual_seed(3)
    with random.fork_rng():
        random.uniform_(np.empty(9))
    drawn = random.uniform_(np.empty(4))
    random.manual_seed(3)
    assert np.array_equal(drawn, random.uniform_(np.empty(4)))


def test_a_seed_from_the_system_is_new():
    stream = Generator()
    assert stream.initial_seed() == 67280421310721
    assert stream.seed() != stream.seed()


def test_threads_share_a_stream_without_tearing():
    stream = Generator().manual_seed(2)
    parts = [np.empty(50_000) for _ in range(4)]
    threads = [threading.Thread(target=random.uniform_, args=(part, 0.0, 1.0, stream)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = random.uniform_(np.empty(200_000), generator=Generator().manual_seed(2)).reshape(4, -1)
    assert {part.tobytes() for part in parts} == {row.tobytes() for row in alone}
