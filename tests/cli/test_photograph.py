"""Every usual image format and mode becomes the same numbers; damaged files become one line."""

from __future__ import annotations

import pathlib
import struct
import zlib

import numpy as np
import pytest

from convforge.cli.failure import CliError
from convforge.cli.photograph import demo_photograph, find_photographs, load_photograph

Image = pytest.importorskip("PIL.Image")

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def load(tmp_path, image, channels, name="p.png", **options):
    image.save(tmp_path / name, **options)
    return load_photograph(tmp_path / name, channels)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "gif", "webp", "ppm", "tga"])
def test_formats(tmp_path, suffix):
    flat = np.full((5, 7, 3), (255, 0, 51), np.uint8)
    options = {"lossless": True} if suffix == "webp" else {}
    photograph = load(tmp_path, Image.fromarray(flat), 3, f"p.{suffix}", **options)
    assert photograph.pixels.dtype == np.float32
    np.testing.assert_allclose(photograph.pixels, np.broadcast_to([1, 0, 0.2], (5, 7, 3)), atol=1e-6)


def test_jpeg_is_close(tmp_path):
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    np.testing.assert_allclose(
        load(tmp_path, Image.fromarray(flat), 3, "p.JPG").pixels, flat / 255, atol=0.02
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4, None])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"])
def test_modes_give_the_channels_asked_for(tmp_path, mode, channels):
    image = Image.fromarray(RGB)
    image = image.convert("L").convert(mode) if mode in ("1", "LA") else converted(image, mode)
    suffix = "tiff" if mode in ("CMYK", "YCbCr", "LAB") else "png"
    if mode == "HSV":
        pytest.skip("no format keeps HSV")
    pixels = load(tmp_path, image, channels, f"p.{suffix}").pixels
    wanted = channels or (1 if mode in ("1", "L", "LA") else 3)
    assert pixels.shape == (5, 7, wanted)
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    if channels in (2, 4) and "A" not in mode.replace("LAB", ""):
        assert (pixels[..., -1] == 1).all()


def converted(image, mode):
    if mode == "LAB":
        image_cms = pytest.importorskip("PIL.ImageCms")
        srgb, lab = image_cms.createProfile("sRGB"), image_cms.createProfile("LAB")
        return image_cms.profileToProfile(image, srgb, lab, outputMode="LAB")
    return image.convert(mode)


def test_rgb_is_exact_and_grey_is_luma(tmp_path):
    np.testing.assert_array_equal(
        load(tmp_path, Image.fromarray(RGB), 3).pixels, RGB.astype(np.float32) / 255
    )
    luma = RGB @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(load(tmp_path, Image.fromarray(RGB), 1).pixels[..., 0], luma, atol=1 / 255)


def test_sixteen_bits_keep_their_precision(tmp_path):
    values = np.array([[0, 1, 257, 65535]], np.uint16)
    for name in ("p.png", "p.tiff"):
        pixels = load(tmp_path, Image.fromarray(values), 3, name).pixels
        np.testing.assert_allclose(pixels, np.repeat(values[..., None] / 65535, 3, axis=2), rtol=1e-6)


def test_floats_within_one_are_kept_and_others_stretched(tmp_path):
    values = np.array([[0.0, 0.25, 0.5]], np.float32)
    np.testing.assert_array_equal(load(tmp_path, Image.fromarray(values), 1, "p.tiff").pixels[..., 0], values)
    wide = load(tmp_path, Image.fromarray(values * 100 - 10), 1, "p.tiff").pixels[..., 0]
    np.testing.assert_allclose(wide, [[0, 0.5, 1]], atol=1e-6)
    flat = load(tmp_path, Image.fromarray(values * 0 + 7), 1, "p.tiff").pixels
    assert np.isfinite(flat).all()
    with pytest.raises(CliError, match="NaN"):
        load(tmp_path, Image.fromarray(values * np.nan), 1, "p.tiff")


def test_alpha_is_kept_or_laid_over_white(tmp_path):
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    kept = load(tmp_path, Image.fromarray(pixels), 4).pixels
    np.testing.assert_array_equal(kept, pixels.astype(np.float32) / 255)
    laid = load(tmp_path, Image.fromarray(pixels), 3).pixels
    np.testing.assert_allclose(laid, [[[1, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5]]], atol=0.01)


def test_a_transparent_palette_is_laid_over_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    laid = load(tmp_path, image, 3, transparency=0).pixels
    np.testing.assert_array_equal(laid, [[[1, 1, 1], [0, 0, 1]]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path, orientation):
    upright = np.array([[0, 64, 128], [192, 224, 255]], np.uint8)
    # What a camera stores so that the viewer's turn brings back `upright`.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
        6: np.rot90(upright, 1), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = load(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), 1, exif=exif).pixels
    np.testing.assert_array_equal(np.round(pixels[..., 0] * 255), upright)


def test_the_demo_photograph_is_there():
    pixels = load_photograph(demo_photograph(), 3).pixels
    assert pixels.shape == (600, 512, 3)


def png_header(width, height):
    """A PNG that claims a size and holds none of its pixels."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"")]
    framed = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.png", None, "no such file"),
        ("empty.png", b"", "empty"),
        ("text.jpg", b"hello, this is no image", "not an image"),
        ("zeros.png", bytes(1000), "not an image"),
        ("bomb.png", png_header(50_000, 50_000), "more than 89 megapixels"),
        ("headeronly.png", png_header(10, 10), "damaged or cut short"),
    ],
)
def test_bad_files(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CliError, match=words) as caught:
        load_photograph(tmp_path / name, 3)
    assert name in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tiff", "bmp", "webp"])
def test_a_file_cut_anywhere_is_refused_or_read(tmp_path, suffix):
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(
        tmp_path / f"whole.{suffix}"
    )
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    refused = 0
    for part in range(1, 10):
        (tmp_path / f"cut.{suffix}").write_bytes(whole[: len(whole) * part // 10])
        try:
            load_photograph(tmp_path / f"cut.{suffix}", 3)
        except CliError:
            refused += 1
    assert refused >= 8


def test_a_close_name_is_offered(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "holiday.png")
    with pytest.raises(CliError, match=r"did you mean .*holiday\.png"):
        load_photograph(tmp_path / "holidey.png", 3)


def test_the_limit_can_be_raised_and_lowered(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "p.png")
    with pytest.raises(CliError, match="raise --megapixels"):
        load_photograph(tmp_path / "p.png", 3, megapixels=1e-5)
    assert load_photograph(tmp_path / "p.png", 3, megapixels=1).pixels.shape == (5, 7, 3)


def test_folders(tmp_path):
    for name in ("b.png", "a.JPG", "c.gif"):
        Image.fromarray(RGB).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "inner").mkdir()
    assert [path.name for path in find_photographs([str(tmp_path)])] == ["a.JPG", "b.png", "c.gif"]
    both = find_photographs([str(tmp_path / "b.png"), str(tmp_path)])
    assert [path.name for path in both] == ["b.png", "a.JPG", "c.gif"]
    with pytest.raises(CliError, match="no images in this folder"):
        find_photographs([str(tmp_path / "inner")])


def test_a_link_that_leads_nowhere(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link.png").symlink_to("nowhere.png")
    with pytest.raises(CliError, match="leads nowhere"):
        load_photograph(tmp_path / "link.png", 3)
