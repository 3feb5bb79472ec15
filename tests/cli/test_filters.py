"""Named filters and files of weights become the weight that the words promise."""

from __future__ import annotations

import numpy as np
import pytest

from convforge.cli.failure import CliError
from convforge.cli.filters import ANY_SIZE, FIXED, NAMES, named_filter, spread
from convforge.cli.kernel_file import is_kernel_file, pick_weight, read_kernel


@pytest.mark.parametrize("name", NAMES)
def test_sums_say_what_a_filter_keeps(name):
    # Filters that show an image keep a flat photograph; the others answer zero to it.
    known = named_filter(name, (3, 3))
    for grid in known.grids:
        assert grid.dtype == np.float32
        assert grid.sum() == pytest.approx(1 if known.shows == "image" else 0, abs=1e-6)


@pytest.mark.parametrize("name", ANY_SIZE)
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 7)])
def test_sizes_of_the_smooth_ones(name, size):
    [grid] = named_filter(name, size).grids
    assert grid.shape == size
    assert grid.sum() == pytest.approx(1, abs=1e-6)


def test_sobel_x_answers_to_a_vertical_edge():
    ndimage = pytest.importorskip("scipy.ndimage")
    image = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    [x], [y] = named_filter("sobel-x", (3, 3)).grids, named_filter("sobel-y", (3, 3)).grids
    np.testing.assert_allclose(ndimage.correlate(image, x), ndimage.sobel(image, axis=1), atol=1e-5)
    np.testing.assert_allclose(ndimage.correlate(image, y), ndimage.sobel(image, axis=0), atol=1e-5)


@pytest.mark.parametrize("name", FIXED)
def test_edge_filters_are_three_by_three(name):
    with pytest.raises(CliError, match=r"kernel_size is \(5, 5\): write kernel_size 3"):
        named_filter(name, (5, 5))


def test_an_unknown_name_gets_a_close_one():
    with pytest.raises(CliError, match="did you mean sobel"):
        named_filter("sobbel", (3, 3))
    with pytest.raises(CliError, match="known are sobel"):
        named_filter("xyz", (3, 3))


def test_spread_filters_each_channel_where_outputs_match():
    grid = np.arange(9, dtype=np.float32).reshape(3, 3)
    weight = spread(grid, (3, 3, 3, 3), groups=1, transposed=False)
    for out in range(3):
        for into in range(3):
            np.testing.assert_array_equal(weight[out, into], grid if out == into else 0 * grid)
    depthwise = spread(grid, (3, 1, 3, 3), groups=3, transposed=False)
    np.testing.assert_array_equal(depthwise, np.stack([grid[None]] * 3))


@pytest.mark.parametrize(("shape", "transposed"), [((1, 3, 3, 3), False), ((3, 1, 3, 3), True)])
def test_spread_means_over_inputs_where_they_do_not(shape, transposed):
    grid = np.ones((3, 3), np.float32)
    weight = spread(grid, shape, groups=1, transposed=transposed)
    assert weight.shape == shape
    np.testing.assert_allclose(weight, 1 / 3, rtol=1e-6)
    weight[0, 0, 0, 0] = 5  # a copy, that may be written
    assert grid.max() == 1


def test_weights_from_numpy_files(tmp_path):
    weight = np.random.default_rng(0).random((1, 3, 3, 3))
    np.save(tmp_path / "w.npy", weight)
    np.savez(
        tmp_path / "w.npz", **{"conv1.weight": weight, "conv1.bias": np.ones(1), "fc.weight": np.ones((2, 2))}
    )
    for text in ("w.npy", "w.npz", "w.npz:conv1", "w.npz:conv1.weight"):
        found, bias = pick_weight(read_kernel(str(tmp_path / text)), (1, 3, 3, 3), text)
        np.testing.assert_array_equal(found, weight.astype(np.float32))
        assert (bias is None) == (text in ("w.npy", "w.npz:conv1.weight"))


def test_a_two_dimensional_array_is_a_filter(tmp_path):
    np.save(tmp_path / "g.npy", np.eye(3, dtype=np.int64))
    found, _ = pick_weight(read_kernel(str(tmp_path / "g.npy")), (8, 3, 3, 3), "g.npy")
    assert found.shape == (3, 3)


def test_weights_from_safetensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    weight = np.random.default_rng(0).random((4, 3, 3, 3)).astype(np.float32)
    safetensors.save_file({"a.weight": weight, "b.weight": weight}, tmp_path / "w.safetensors")
    text = str(tmp_path / "w.safetensors")
    with pytest.raises(CliError, match="several arrays have"):
        pick_weight(read_kernel(text), weight.shape, text)
    found, _ = pick_weight(read_kernel(f"{text}:b"), weight.shape, text)
    np.testing.assert_array_equal(found, weight)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.npy", None, "no such file"),
        ("bad.npy", b"\x93NUMPY\x01\x00rubbish", "damaged"),
        ("empty.npy", b"", "damaged"),
        ("bad.npz", b"PK\x03\x04rubbish", "damaged"),
        ("weights.pt", b"x", ".pt is not read"),
        ("bad.safetensors", b"\xff" * 20, "safetensors"),
    ],
)
def test_bad_weight_files(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert is_kernel_file(str(path))
    with pytest.raises(CliError, match=words):
        read_kernel(str(path))


@pytest.mark.parametrize(
    "array", [np.array([None]), np.array([np.nan, 1.0]), np.array([1j]), np.array(["a"]), np.array([np.inf])]
)
def test_arrays_that_hold_no_weights(tmp_path, array):
    np.save(tmp_path / "w.npy", array)
    with pytest.raises(CliError):
        read_kernel(str(tmp_path / "w.npy"))


def test_shapes_that_do_not_fit_are_listed(tmp_path):
    np.savez(tmp_path / "w.npz", first=np.ones((2, 3, 5, 5)))
    with pytest.raises(CliError, match=r"weight shape \(1, 3, 3, 3\): it holds first \(2, 3, 5, 5\)"):
        pick_weight(read_kernel(str(tmp_path / "w.npz")), (1, 3, 3, 3), "w.npz")
    with pytest.raises(CliError, match="no entry second: it holds first"):
        read_kernel(str(tmp_path / "w.npz:second"))
