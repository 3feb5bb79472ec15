"""Pictures of drawings have the drawing's size, theme and letters; what cannot be written is refused."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from convforge.draw.drawing import Drawing, finished
from convforge.draw.export import MissingExtraError, flattened, moving_bytes, png_bytes, raster
from convforge.draw.fonts import CHINESE, is_installed
from convforge.draw.grid import grid, shown
from convforge.draw.layout import line
from convforge.draw.measure import text_width
from convforge.draw.whole_file import write_whole

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("vl_convert")


def drawing(text: str = "padding=1", theme: str = "light", hot: int = 0) -> Drawing:
    cells = grid(
        "input",
        (shown(3), shown(4)),
        role=lambda p: "input hot" if p[1] == hot else "input",
        label=lambda p: str(sum(p)),
    )
    return finished(cells, title=text, language="en", theme=theme)


def pixels(made: Drawing, scale: float = 1.0) -> np.ndarray:
    return np.asarray(raster(made, scale)).astype(int)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_png_has_the_drawings_size(tmp_path, scale):
    made = drawing()
    path = made.save(tmp_path / "deep" / "a.PNG", scale=scale)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert np.allclose(image.size, (made.width * scale, made.height * scale), atol=1)
    assert [p.name for p in path.parent.iterdir()] == ["a.PNG"]


def test_a_pdf_is_one_page_of_the_drawings_size(tmp_path):
    made = drawing()
    data = made.save(tmp_path / "a.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    boxes = re.findall(rb"/MediaBox \[([\d. ]+)\]", data)
    assert len(boxes) == 1
    width, height = map(float, boxes[0].split()[2:])
    assert np.isclose(width / height, made.width / made.height, rtol=0.01)


def test_auto_is_drawn_light_and_dark_is_dark():
    light, dark, auto = (pixels(drawing(theme=theme)) for theme in ("light", "dark", "auto"))
    np.testing.assert_array_equal(light, auto)
    assert light.mean() > 200
    assert dark.mean() < 80


def chinese_font() -> str | None:
    return next(filter(is_installed, CHINESE), None)


def body(text: str) -> np.ndarray:
    """The pixels of one line."""
    return pixels(finished(line(text, size=20), title="", language="zh", theme="light"))


@pytest.mark.skipif(chinese_font() is None, reason="no Chinese font: install fonts-noto-cjk")
def test_chinese_letters_are_letters():
    assert (body("卷积核") != body("感受野")).any(), "two boxes for letters that no font has"
    assert body("卷积核").min() < 100


@pytest.mark.skipif(chinese_font() is None, reason="no Chinese font: install fonts-noto-cjk")
@pytest.mark.parametrize("tail", ["步幅", "⌊", "卷⌋积"])
def test_a_rare_letter_leaves_the_others_in_their_font(tail):
    alone, beside = body("stride 3.14 "), body(f"stride 3.14 {tail}")
    right = round(28 + text_width("stride 3.14 ", 20)) - 2  # from the margin on
    assert alone[:, :right].min() < 100
    np.testing.assert_array_equal(alone[:, :right], beside[:, :right])
    assert beside[:, right:].min() < 100


def test_flattened_has_one_family_and_no_question():
    svg = flattened(drawing("auto ⌊ 卷", "auto"))
    assert "@media" not in svg
    families = re.findall(r'font-family="([^"]*)"', svg)
    assert families
    assert all(family.count("'") == 2 and "," not in family for family in families)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.svgz", "a.gif"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"is not written: save a drawing as \.svg, \.png, \.pdf"):
        drawing().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 1e-9, 1e6])
def test_scales_that_make_no_picture_are_refused(scale):
    with pytest.raises(ValueError, match=r"scale \(=.*use scale="):
        png_bytes(drawing(), scale)


@pytest.mark.parametrize("library", ["vl_convert", "PIL"])
def test_a_missing_library_names_the_extra(monkeypatch, tmp_path, library):
    made = drawing()
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'convforge\[draw\]'") as caught:
        moving_bytes([made, made], [1, 1], ".gif")
    assert isinstance(caught.value, ImportError)
    made.save(tmp_path / "a.svg")


def test_a_file_is_whole_or_not_there(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"before")

    def fail(file):
        file.write(b"half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_whole(target, fail)
    assert target.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def decoded(data: bytes) -> tuple[list[np.ndarray], list[float]]:
    image = Image.open(io.BytesIO(data))
    frames, durations = [], []
    for number in range(image.n_frames):
        image.seek(number)
        frames.append(np.asarray(image.convert("RGB")).astype(int))
        durations.append(image.info["duration"])
    assert image.info["loop"] == 0
    return frames, durations


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_moving_files_have_every_frame(suffix):
    frames = [drawing(hot=hot) for hot in range(4)]
    seconds = [0.5, 0.25, 1.0, 2.0]
    made, durations = decoded(moving_bytes(frames, seconds, suffix))
    assert durations == [500, 250, 1000, 2000]
    for frame, image in zip(frames, made, strict=True):
        assert np.abs(image - pixels(frame)).max() <= 32  # of 255, by the palette
        assert (image[3, image.shape[1] // 2] == 255).all()  # the ground is as white as it was
    # What stands still has the same colour in every frame.
    still = np.all([pixels(f) == pixels(frames[0]) for f in frames], axis=0)
    for image in made:
        assert (
            np.abs(image[still] - made[0][still]).max() <= 2
        )  # near ties between two colours of the palette


def test_the_same_frames_are_the_same_bytes():
    frames = [drawing(hot=hot) for hot in range(3)]
    assert moving_bytes(frames, [1] * 3, ".gif") == moving_bytes(frames, [1] * 3, ".gif")


def test_unreadable_svg_is_refused_in_one_line():
    made = drawing()
    broken = replace(made, root=replace(made.root, tag="no tag"))
    with pytest.raises(ValueError, match="cannot be rasterised") as caught:
        png_bytes(broken)
    assert "\n" not in str(caught.value)
