"""A photograph behind a layer: against the oracle, and every file that is none."""

from __future__ import annotations

import base64
import io
import json
import random
import sys
import urllib.parse
from typing import Any

import numpy as np
import pytest

from convforge import nn, problem, reference
from convforge.autograd.grad_mode import no_grad
from convforge.autograd.random import manual_seed
from convforge.autograd.tensor import from_data
from convforge.web import api, photo
from convforge.web.server import static_files

PHOTO_LAYER = {
    "rank": 2,
    "transposed": False,
    "in_channels": 3,
    "out_channels": 3,
    "groups": 3,
    "bias": False,
    "kernel_size": 3,
    "stride": 1,
    "padding": 1,
    "dilation": 1,
    "padding_mode": "replicate",
}
EDGE = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def file_of(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def applied(body: bytes, **changes: Any) -> Any:
    question = {"layer": PHOTO_LAYER, "grids": [EDGE], "shows": "signed", **changes}
    return photo.answer(urllib.parse.urlencode({"question": json.dumps(question)}), body)


def pixels_of(answer: Any) -> np.ndarray:
    image = pytest.importorskip("PIL.Image")
    return np.asarray(image.open(io.BytesIO(base64.b64decode(answer["png"]))))


def test_a_photograph_is_convolved_as_the_oracle_does_it(picture: np.ndarray) -> None:
    answer = applied(file_of(picture))
    spec, _ = problem.normalize_conv(
        (1, 3, 40, 50), (3, 1, 3, 3), None, 1, 1, 1, 3, rank=2, padding_mode="replicate", dtype="float64"
    )
    weight = np.broadcast_to(np.array(EDGE, np.float64), (3, 1, 3, 3))
    y = reference.output(spec, picture.transpose(2, 0, 1)[None] / 255.0, weight)[0]
    wanted = np.rint((0.5 + y / (2 * np.abs(y).max())) * 255).transpose(1, 2, 0)
    assert np.abs(pixels_of(answer).astype(float) - wanted).max() <= 1
    assert answer["low"] == pytest.approx(y.min(), rel=1e-5)
    assert answer["output_size"] == [40, 50]
    assert answer["layer"].startswith("Conv2d(3, 3, 3, padding=1, groups=3")
    assert answer["milliseconds"] > 0
    assert answer["kernel"]


def test_two_kernels_join_and_steps_shrink(picture: np.ndarray) -> None:
    turned = np.transpose(EDGE).tolist()
    answer = applied(
        file_of(picture), grids=[EDGE, turned], shows="magnitude", layer={**PHOTO_LAYER, "stride": 2}
    )
    assert answer["output_size"] == [20, 25]
    assert answer["low"] >= 0
    x, y = (
        applied(file_of(picture), grids=[grid], layer={**PHOTO_LAYER, "stride": 2}) for grid in (EDGE, turned)
    )
    assert answer["high"] <= np.hypot(max(x["high"], -x["low"]), max(y["high"], -y["low"])) + 1e-4


@pytest.mark.parametrize("transposed", [False, True])
def test_without_a_kernel_the_layers_own_weights_are_drawn(picture: np.ndarray, transposed: bool) -> None:
    text = "ConvTranspose2d(3, 2, 3, stride=2)" if transposed else "Conv2d(3, 2, 3)"
    question = {"layer": text, "numbers": {"seed": 7}, "channel": 1}
    query = urllib.parse.urlencode({"question": json.dumps(question)})
    answer = photo.answer(query, file_of(picture))
    manual_seed(7)
    module = nn.ConvTranspose2d(3, 2, 3, stride=2) if transposed else nn.Conv2d(3, 2, 3)
    with no_grad():
        x = from_data((picture.transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32))
        y = module(x).numpy()[0, 1]
    assert (answer["low"], answer["high"]) == pytest.approx((y.min(), y.max()), rel=1e-6)
    assert pixels_of(answer).shape == y.shape


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_every_usual_kind_of_file_is_read(picture: np.ndarray, kind: str) -> None:
    assert applied(file_of(picture, kind))["output_size"] == [40, 50]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_is_read_with_the_channels_asked_for(picture: np.ndarray, mode: str) -> None:
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(picture).convert("L" if mode == "I;16" else mode).convert(mode).save(file, "TIFF")
    for channels in (1, 3, 4):
        layer = {**PHOTO_LAYER, "in_channels": channels, "out_channels": channels, "groups": channels}
        assert applied(file.getvalue(), layer=layer)["output_size"] == [40, 50]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b"not an image at all", "not an image of a known kind"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image of a known kind"),
        (b"%PDF-1.4 ...", "not an image of a known kind"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image of a known kind"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(body: bytes, words: str) -> None:
    pytest.importorskip("PIL")
    assert words in applied(body)["error"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_a_cut_or_damaged_image_is_refused(picture: np.ndarray, kind: str) -> None:
    whole = file_of(picture, kind)
    answers = [applied(whole[: len(whole) * part // 5]) for part in (1, 2, 3)]
    dice = random.Random(0)
    for _ in range(20):
        damaged = bytearray(whole)
        for _ in range(8):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        answers.append(applied(bytes(damaged)))
    assert all("png" in answer or answer["error"].count("\n") == 0 for answer in answers)
    assert any("error" in answer for answer in answers)


def test_too_many_pixels_are_refused_by_the_header_alone() -> None:
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.new("1", (5000, 4000)).save(file, "PNG")
    assert len(file.getvalue()) < 10_000
    assert applied(file.getvalue())["error"].startswith("the photograph has 20.0 megapixels, more than 16")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layer": "Conv1d(3, 3, 3)"}, "has height and width"),
        ({"layer": "Conv2d(5, 5, 3)"}, "must be 1 (grey), 3 (RGB) or 4 (RGBA)"),
        ({"grids": [[[1, 2], [3, 4]]]}, "must be the drawn kernel's"),
        ({"grids": [[[1], [3, 4], [1]]]}, "must be the drawn kernel's"),
        ({"grids": [[["x", 0, 0], [0, 0, 0], [0, 0, 0]]]}, "kernel value (='x') must be a number"),
        ({"grids": [[[1e9, 0, 0], [0, 0, 0], [0, 0, 0]]]}, "must be from -1e6 to 1e6"),
        ({"layer": {**PHOTO_LAYER, "padding": 10**6}}, "numbers can be shown"),
        ({"layer": {**PHOTO_LAYER, "stride": 0}}, "stride (=0"),
    ],
)
def test_impossible_work_on_a_photograph_is_refused(picture: np.ndarray, changes: Any, words: str) -> None:
    assert words in applied(file_of(picture), **changes)["error"]


@pytest.mark.parametrize(
    "query",
    ["", "question=", "question=[]", "question={}&question={}", "question=%7B%22layer%22%3A3%7D", "q=1"],
)
def test_a_photograph_without_a_question_is_none(query: str) -> None:
    with pytest.raises(api.BadRequestError):
        photo.answer(query, b"")


@pytest.mark.parametrize(
    "changes",
    [{"shows": "noise"}, {"channel": 3}, {"channel": "0"}, {"grids": []}, {"grids": [3]}, {"grids": [[3]]}],
)
def test_a_question_that_the_page_would_not_ask_is_none(picture: np.ndarray, changes: Any) -> None:
    with pytest.raises(api.BadRequestError):
        applied(file_of(picture), **changes)


def test_without_pillow_only_photographs_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install 'convforge[image]'" in applied(b"anything")["error"]
    assert "error" not in api.answer("/api/trace", {"layer": "Conv2d(1, 1, 3)", "input_size": [5, 5]})
    assert "/main.js" in static_files()
