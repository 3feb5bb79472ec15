"""The explorer's questions, against the library and the oracle."""

from __future__ import annotations

import base64
import io
import itertools
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
from convforge.errors import ConvforgeError
from convforge.explain import as_layer, costs_of, trace_of
from convforge.explain.advice import advise
from convforge.web import api, photo
from convforge.web.numbers import KINDS, Numbers
from convforge.web.server import static_files

LAYERS = (
    ("Conv1d(2, 4, 3, padding=1, groups=2)", (9,)),
    ("Conv2d(3, 2, (3, 2), stride=(2, 1), padding=(1, 0), bias=False)", (6, 5)),
    ("Conv2d(1, 1, 3, padding=2, padding_mode='reflect')", (5, 4)),
    ("Conv2d(1, 2, 3, padding='same', dilation=2)", (5, 5)),
    ("Conv3d(2, 2, 2, stride=2)", (4, 3, 5)),
    ("ConvTranspose1d(2, 3, 4, stride=3, output_padding=1)", (4,)),
    ("ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2)", (3, 4)),
    ("ConvTranspose3d(1, 1, 2, stride=2)", (2, 2, 3)),
)


def traced(layer: Any, size: tuple[int, ...], **numbers: Any) -> Any:
    return api.answer("/api/trace", {"layer": layer, "input_size": list(size), "numbers": numbers})


@pytest.mark.parametrize(("text", "size"), LAYERS)
def test_a_traces_numbers_are_the_real_layers(text: str, size: tuple[int, ...]) -> None:
    answer = traced(text, size, seed=5)
    layer = as_layer(text)
    module = getattr(nn, layer.name)(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        **{
            name: getattr(layer, name)
            for name in ("stride", "padding", "dilation", "groups", "bias", "padding_mode")
        },
        **({"output_padding": layer.output_padding} if layer.transposed else {}),
    )
    numbers = {name: np.array(value, np.float32) for name, value in answer["numbers"].items() if value}
    with no_grad():
        module.weight.copy_(from_data(numbers["weight"].reshape(module.weight.shape)))
        if module.bias is not None:
            module.bias.copy_(from_data(numbers["bias"]))
        real = module(from_data(numbers["input"].reshape(1, layer.in_channels, *size))).numpy()
    np.testing.assert_allclose(real.ravel(), numbers["output"], rtol=1e-5, atol=1e-4)
    assert list(real.shape[2:]) == answer["spec"]["output_size"]
    assert answer["layer"] == layer.text
    assert (answer["numbers"]["bias"] is None) == (not layer.bias)


@pytest.mark.parametrize(("text", "size"), LAYERS)
def test_a_traces_contacts_are_the_traces(text: str, size: tuple[int, ...]) -> None:
    answer = traced(text, size)
    for axis, found in zip(trace_of(as_layer(text).spec(size)).axes, answer["axes"], strict=True):
        assert found["sources"] == list(axis.sources)
        assert found["unread"] == list(axis.unread)
        for output, contacts in enumerate(found["contacts"]):
            assert contacts == [[c.tap, c.position, c.source] for c in axis.contacts(output)]
    # They make the output, element by element.
    spec, numbers = answer["spec"], answer["numbers"]
    x = np.array(numbers["input"]).reshape(spec["in_channels"], *size)
    w = np.array(numbers["weight"]).reshape(as_layer(text).weight_shape)
    outputs = iter(numbers["output"])
    spec = as_layer(text).spec(size)
    for channel in range(spec.out_channels):
        for at in itertools.product(*map(range, spec.output_size)):
            terms = trace_of(spec).terms(channel, at)
            total = sum(x[term.source] * w[term.weight] for term in terms if term.source is not None)
            assert total + (numbers["bias"] or [0] * spec.out_channels)[channel] == next(outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_what_their_kind_says(kind: Any) -> None:
    spec = as_layer("Conv2d(2, 3, 3)").spec((5, 4), dtype="float64")
    x, w = Numbers(3, kind, kind).input_array(spec)[0], Numbers(3, kind, kind).weight_array(spec)
    assert x.shape == (2, 5, 4)
    assert w.shape == (3, 2, 3, 3)
    match kind:
        case "random":
            assert set(x.ravel()) <= set(range(10))
            assert set(w.ravel()) <= {-2, -1, 0, 1, 2}
            assert len(set(x.ravel())) > 5
        case "counting":
            assert (x.ravel() == np.arange(40)).all()
            assert (w.ravel() == np.arange(1, 55)).all()
        case "ones":
            assert (x == 1).all()
            assert (w == 1).all()
        case _:
            assert x.sum() == 2
            assert (x[:, 2, 2] == 1).all()
            assert (w[:, :, 1, 1] == 1).all()
            assert w.sum() == 6


def test_drawn_numbers_are_spread_evenly_and_depend_on_the_seed() -> None:
    spec = as_layer("Conv1d(64, 1, 1)").spec((64,), dtype="float64")
    first, second = (Numbers(seed).input_array(spec).ravel() for seed in (0, 1))
    counts = np.bincount(first.astype(int), minlength=10)
    assert counts.min() > 330  # 4096 draws: 410 each, and four deviations of 19
    assert counts.max() < 490
    assert 300 < (first == second).sum() < 520


@pytest.mark.parametrize(
    ("text", "size", "names"),
    [
        ("Conv2d(4, 4, 3, groups=3)", (5, 5), ["in_channels", "groups"]),
        ("Conv2d(1, 1, 9)", (5, 5), ["kernel_size", "dilation", "padding"]),
        ("Conv2d(1, 1, 3, stride=0)", (5, 5), ["stride"]),
        ("Conv2d(1, 1, 3, padding=-1)", (5, 5), ["padding"]),
        ("Conv2d(1, 1, 3, padding='sam')", (5, 5), ["padding"]),
        ("Conv2d(1, 1, 3, padding=9, padding_mode='reflect')", (5, 5), ["padding", "padding_mode"]),
        ("Conv2d(1, 1, 3, padding_mode='mirror')", (5, 5), ["padding_mode"]),
        ("Conv2d(1, 1, 1.5)", (5, 5), ["kernel_size"]),
        ("ConvTranspose2d(1, 1, 3, output_padding=1)", (5, 5), ["output_padding", "stride", "dilation"]),
        ("ConvTranspose2d(1, 1, 3, padding=9)", (5, 5), ["padding"]),
        ("Conv2d(1, 1, 3)", (0, 5), ["input_size"]),
        ("Conv2d(1, 1, 3)", (65, 5), ["input_size"]),
    ],
)
def test_a_refusal_is_the_librarys_and_names_its_parameter(
    text: str, size: tuple[int, ...], names: list[str]
) -> None:
    answer = traced(text, size)
    assert answer["names"] == names
    if "input_size" not in names:
        with pytest.raises(ConvforgeError) as caught:
            as_layer(text).spec(size)
        assert answer["error"] == " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Conv2d(1024, 1024, 3)", (9, 9)),
        ("Conv2d(1025, 1, 1)", (9, 9)),
        ("Conv1d(1, 1, 999999999)", (9,)),
        ("Conv3d(1, 1, 2)", (64, 64, 64)),
        ("ConvTranspose1d(1, 1, 3, stride=999999999)", (9,)),
        ("ConvTranspose2d(1, 1, 64, stride=64)", (64, 64)),
        ("Conv1d(1, 1, 1, padding=99999999999)", (9,)),
        ("Conv2d(64, 64, 4)", (31, 31)),
    ],
)
def test_what_is_too_large_for_a_page_is_refused_at_once(text: str, size: tuple[int, ...]) -> None:
    assert "error" in traced(text, size)


def test_a_seed_and_a_kind_out_of_range_are_refused() -> None:
    for numbers, name in (({"seed": -1}, "seed"), ({"seed": 2**31}, "seed"), ({"seed": 1.5}, "seed")):
        assert traced("Conv1d(1, 1, 1)", (3,), **numbers)["names"] == [name]
    assert "must be one of" in traced("Conv1d(1, 1, 1)", (3,), input="noise")["error"]


@pytest.mark.parametrize(("text", "size"), LAYERS)
def test_parsed_parameters_make_the_same_layer(text: str, size: tuple[int, ...]) -> None:
    parsed = json.loads(json.dumps(api.answer("/api/parse", {"layer": text})))
    again = traced(parsed["parameters"], size)
    assert again == traced(text, size)


@pytest.mark.parametrize(("text", "size"), LAYERS)
def test_the_code_runs_and_prints_the_size_it_says(
    text: str, size: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code = api.answer("/api/code", {"layer": text, "input_size": list(size)})["code"]
    namespace: dict[str, Any] = {}
    exec(compile(code.replace("import torch ", "import convforge as torch "), "page", "exec"), namespace)
    assert capsys.readouterr().out.strip() == code.rpartition("# ")[2].strip()
    assert repr(namespace["layer"]).startswith(as_layer(text).name)


@pytest.mark.parametrize(("text", "size"), LAYERS)
def test_costs_are_explains(text: str, size: tuple[int, ...]) -> None:
    found = api.answer("/api/costs", {"layer": text, "input_size": list(size)})
    assert found["costs"] == costs_of(as_layer(text), size).to_dict()


def test_costs_of_a_photographs_size_take_no_longer() -> None:
    found = api.answer("/api/costs", {"layer": "Conv2d(3, 64, 7)", "input_size": [4000, 6000]})
    assert found["costs"]["multiply_adds"] == 3994 * 5994 * 64 * 3 * 49


@pytest.mark.parametrize("language", ["en", "zh"])
def test_advice_is_explains(language: Any) -> None:
    question = {"layer": "Conv2d(3, 8, 4, stride=2)", "input_size": [7, 7], "language": language}
    found = api.answer("/api/advise", question)
    ours = advise("Conv2d(3, 8, 4, stride=2)", (7, 7), language=language)
    assert [each["id"] for each in found["advice"]] == [finding.rule for finding in ours.findings]
    assert found["advice"][0]["text"] == ours.findings[0].what(language)
    assert found["advice"][0]["fix"] == "Conv2d(3, 8, 4, stride=2, padding=1)"
    assert all(each["principle"] for each in found["advice"])


def test_advice_measures_where_asked_and_refuses_to_measure_for_long() -> None:
    question = {"layer": "Conv2d(8, 8, 3, groups=8)", "input_size": [8, 8]}
    assert api.answer("/api/advise", question)["unmeasured"] == ["slow-depthwise"]
    assert api.answer("/api/advise", {**question, "measure": True})["unmeasured"] == []
    huge = {"layer": "Conv2d(512, 512, 3)", "input_size": [512, 512], "measure": True}
    assert "too many to be timed" in api.answer("/api/advise", huge)["error"]


def test_a_stack_has_the_fields_of_its_layers() -> None:
    layers = ["Conv2d(3, 16, 3, padding=1)", "Conv2d(16, 32, 3, stride=2, padding=1)"]
    rows = api.answer(
        "/api/stack", {"layers": [*layers, "Conv2d(32, 32, 3, dilation=2)"], "input_size": [24, 20]}
    )
    assert [row["output_size"] for row in rows["rows"]] == [[24, 20], [12, 10], [8, 6]]
    assert [[field["size"] for field in row["fields"]] for row in rows["rows"]] == [[3, 3], [5, 5], [13, 13]]
    assert [row["fields"][0]["jump"] for row in rows["rows"]] == ["1", "2", "2"]
    assert rows["rows"][1]["parameters"] == 16 * 32 * 9 + 32


@pytest.mark.parametrize(
    ("layers", "size", "row", "words"),
    [
        (["Conv2d(3, 4, 3)", "Conv2d(3, 4, 3)"], [9, 9], 1, "use in_channels=4"),
        (["Conv2d(3, 4, 3)", "Conv1d(4, 4, 3)"], [9, 9], 1, "use layers of one rank"),
        (["Conv2d(3, 4, 3)", "Conv2d(4, 4, 9)"], [9, 9], 1, "Kernel size can't be greater"),
        (["Linear(3, 4)"], [9, 9], 0, "not a convolution layer"),
        (["Conv2d(3, 4, 3)"], [99999, 9], 0, "input_size (=99999)"),
        (["ConvTranspose1d(1, 1, 2, stride=64)"] * 2, [2], 1, "use strides whose product"),
    ],
)
def test_a_stack_says_which_layer_is_refused(
    layers: list[str], size: list[int], row: int, words: str
) -> None:
    found = api.answer("/api/stack", {"layers": layers, "input_size": size})
    assert found["row"] == row
    assert words in found["error"]
    assert len(found["rows"]) == row


def test_kernels_have_names_and_the_size_asked_for() -> None:
    small = {each["name"]: each for each in api.answer("/api/kernels", {"kernel_size": [3, 3]})["kernels"]}
    large = {each["name"]: each for each in api.answer("/api/kernels", {"kernel_size": [5, 5]})["kernels"]}
    assert small["sobel-x"]["grids"] == [[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]]
    assert "sobel-x" not in large
    assert np.isclose(np.sum(large["gaussian"]["grids"]), 1)


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
    assert "error" not in traced("Conv2d(1, 1, 3)", (5, 5))
    assert "/main.js" in static_files()
