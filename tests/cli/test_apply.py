"""`convforge apply` from the command line's words to the file: sizes, numbers, names, refusals."""

from __future__ import annotations

import os

import numpy as np
import pytest

from convforge.cli import convolve, main
from convforge.cli.filters import NAMES

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A small photograph `p.png` in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(convolve, "REPEAT_S", 0)
    Image.fromarray(PIXELS).save("p.png")
    return "p.png"


def run(*arguments):
    return main(["apply", *arguments])


def result(photo, *arguments):
    """The raw numbers that the command writes."""
    assert run(photo, *arguments, "--out", "r.npy") == 0
    return np.load("r.npy")


def test_what_is_printed(photo, capsys):
    assert run(photo, "--layer", "Conv2d(3, 1, 3, padding=1)", "--out", "x.png") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "photograph   p.png (RGB)"
    assert lines[1] == "layer        Conv2d(3, 1, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))"
    assert lines[2] == "weights      seed 2, default"
    assert lines[3] == "size before  torch.Size([1, 3, 24, 32])"
    assert lines[4] == "size after   torch.Size([1, 1, 24, 32])"
    assert lines[6].endswith("H: ⌊(24 + 2·1 − 1·(3 − 1) − 1) / 1⌋ + 1 = 24")
    assert lines[8].startswith("kernel       ")
    assert " ms (first call " in lines[9]
    assert lines[10] == "wrote        x.png"
    assert err == ""
    with Image.open("x.png") as picture:
        assert min(picture.size) > 300


def test_one_seed_gives_pytorch_weights(photo):
    torch = pytest.importorskip("torch")
    for name in ("Conv2d(3, 1, 3)", "ConvTranspose2d(3, 1, 3, stride=2)"):
        found = result(photo, "--layer", name, "--seed", "2", "--init", "xavier_normal")
        torch.manual_seed(2)
        layer = eval(f"torch.nn.{name}")
        torch.nn.init.xavier_normal_(layer.weight)
        x = torch.from_numpy(PIXELS).permute(2, 0, 1)[None] / 255
        np.testing.assert_allclose(found, layer(x).detach().numpy(), atol=2e-6)


def test_lazy_layers_take_the_photographs_channels(photo):
    Image.fromarray(PIXELS[..., 0]).save("grey.png")
    assert result(photo, "--layer", "nn.LazyConv2d(5, 3)").shape == (1, 5, 22, 30)
    assert result("grey.png", "--layer", "LazyConvTranspose2d(2, 3, stride=2)").shape == (1, 2, 49, 65)


@pytest.mark.parametrize("name", NAMES)
def test_every_filter_draws(photo, name):
    assert run(photo, "--kernel", name, "--out", f"{name}.png") == 0
    assert os.listdir(".").count(f"{name}.png") == 1


def test_identity_gives_the_photograph_back(photo):
    found = result(photo, "--layer", "Conv2d(3, 3, 5, padding='same')", "--kernel", "identity")
    np.testing.assert_allclose(found[0].transpose(1, 2, 0), PIXELS / 255, atol=1e-6)


def test_sobel_is_the_length_of_both_directions(photo):
    x, y = (result(photo, "--kernel", f"sobel-{axis}") for axis in "xy")
    np.testing.assert_allclose(result(photo, "--kernel", "sobel"), np.hypot(x, y), atol=1e-5)
    grey = PIXELS.mean(axis=2) / 255
    by_hand = (
        (grey[:-2, 2:] - grey[:-2, :-2])
        + 2 * (grey[1:-1, 2:] - grey[1:-1, :-2])
        + (grey[2:, 2:] - grey[2:, :-2])
    )
    np.testing.assert_allclose(x[0, 0], by_hand, atol=1e-5)


def test_weights_and_bias_from_a_file(photo):
    np.savez("w.npz", weight=np.zeros((1, 3, 3, 3)), bias=[0.25])
    assert (result(photo, "--kernel", "w.npz") == 0.25).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "pdf", "svg"])
def test_output_formats(photo, suffix):
    assert run(photo, "--out", f"x.{suffix}") == 0
    heads = {
        "png": b"\x89PNG",
        "jpg": b"\xff\xd8",
        "webp": b"RIFF",
        "tiff": b"II*",
        "pdf": b"%PDF",
        "svg": b"<?xml",
    }
    with open(f"x.{suffix}", "rb") as file:
        assert file.read(8).startswith(heads[suffix])


@pytest.mark.parametrize(
    ("channels", "mode", "size"), [(1, "L", (30, 22)), (3, "RGB", (30, 22)), (2, "L", (60, 22))]
)
def test_the_result_alone(photo, channels, mode, size):
    assert run(photo, "--layer", f"Conv2d(3, {channels}, 3)", "--result-only", "--out", "x.png") == 0
    with Image.open("x.png") as picture:
        assert (picture.mode, picture.size) == (mode, size)


@pytest.mark.parametrize(
    "layer",
    [
        "Conv2d(1, 1, 3)",
        "Conv2d(2, 4, 3)",
        "Conv2d(4, 40, 3)",
        "Conv2d(3, 3, 3, groups=3)",
        "Conv2d(3, 1, 24)",
    ],
)
def test_layers_of_every_shape_draw(photo, layer):
    assert run(photo, "--layer", layer, "--out", "x.png") == 0


def test_several_photographs(photo, capsys):
    os.mkdir("photos")
    Image.fromarray(PIXELS).save("photos/a.png")
    Image.fromarray(PIXELS[:10]).save("photos/b.jpg")
    assert run("photos", photo, "--out", "results") == 0
    assert sorted(os.listdir("results")) == ["a.png", "b.png", "p.png"]
    out = capsys.readouterr().out
    assert "torch.Size([1, 3, 10, 32]) -> torch.Size([1, 1, 8, 30])" in out
    assert out.endswith("3 of 3 photographs done\n")


def test_a_bad_one_among_several_does_not_stop_the_others(photo, capsys):
    with open("bad.png", "wb") as file:
        file.write(b"no image")
    assert run("bad.png", photo, "--out", "results") == 2
    captured = capsys.readouterr()
    assert "1 of 2 photographs done" in captured.out
    assert captured.err.count("\n") == 1
    assert "bad.png: not an image" in captured.err
    assert os.listdir("results") == ["p.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "use --demo"),
        (["absent.png"], "no such file"),
        (["p.png", "--layer", "Conv2d(3, 1)"], "missing a required argument: 'kernel_size'"),
        (["p.png", "--layer", "Conv2d(3, 1, 3, strides=2)"], "unexpected keyword argument 'strides'"),
        (["p.png", "--layer", "Conv2d(3, 1, 3, stride=0)"], "stride"),
        (["p.png", "--layer", "Conv2d(3, 1, 'x')"], "kernel_size"),
        (["p.png", "--layer", "Conv2d(3, 4, 3, groups=2)"], "groups"),
        (["p.png", "--layer", "Conv2d(16, 4, 3)"], "in_channels is 16"),
        (["p.png", "--layer", "Conv2d(0, 4, 3)"], "in_channels"),
        (["p.png", "--layer", "Conv2d(3, 1, 99)"], "Kernel size"),
        (["p.png", "--layer", "Conv2d(3, 99999999, 9)"], "GiB"),
        (["p.png", "--layer", "Conv2d(3, 1, 99999999)"], "GiB"),
        (["p.png", "--layer", "ConvTranspose2d(3, 1, 3, stride=1000000)"], "GiB"),
        (["p.png", "--layer", "Conv2d(3, 1, 3, padding=99999999)"], "GiB"),
        (["p.png", "--layer", "Conv2d(3, 1, 3, padding=9223372036854775807)"], ""),
        (["p.png", "--layer", "Conv1d(3, 1, 3)"], "write Conv2d"),
        (["p.png", "--layer", "ConvTranspose3d(3, 1, 3)"], "(N, C, depth, height, width)"),
        (["p.png", "--layer", "Conv2d(3, 1, 3, padding='same', padding_mode='mirror')"], "padding_mode"),
        (["p.png", "--kernel", "sobbel"], "did you mean sobel"),
        (["p.png", "--kernel", "sobel", "--layer", "Conv2d(3, 1, 5)"], "kernel_size 3"),
        (["p.png", "--kernel", "p.png"], "not read"),
        (["p.png", "--init", "magic"], "invalid choice"),
        (["p.png", "--seed", "x"], "invalid int value"),
        (["p.png", "--seed", str(2**70)], "outside 64 bits"),
        (["p.png", "--out", "x.docx"], ".docx is not written"),
        (["p.png", "--out", "p.png"], "would overwrite"),
        (["p.png", "--out", "p.png/x.png"], "is not a folder"),
        (["p.png", "--megapixels", "nan"], "above 0"),
        (["p.png", "--megapixels", "inf"], "above 0"),
        (["p.png", "--layer", "Conv2d(3, 1, 3, device='cuda')"], "CPU"),
        (["p.png", "--megapixels", "0.0001"], "megapixels"),
        (["p.png", "--colour"], "unrecognized arguments"),
        (["."], "would overwrite"),
        ([""], "PHOTO is empty: name an image file or a folder, or give . for the folder you are in"),
        (["p.png", ""], "PHOTO is empty"),
        (["p.png", "--layer", "ConvTranspose2d(3, 1, 1, padding=12)"], "has no pixels: use less padding"),
    ],
)
def test_refusals_are_one_line(photo, capsys, arguments, words):
    if arguments == ["."]:
        arguments = [".", "--out", "."]
    before = sorted(os.listdir("."))
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("convforge: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert captured.out == ""
    assert sorted(os.listdir(".")) == before


def test_strange_file_names_do_not_break_the_line(photo, capsys):
    os.rename(photo, "two\nlines $x$ 照片.png")
    assert run("two\nlines $x$ 照片.png", "--out", "x.png") == 0
    assert capsys.readouterr().out.startswith("photograph   two?lines $x$ 照片.png")
