"""Feature maps, fields and scans on photographs are the real layer's numbers, read back from colours."""

from __future__ import annotations

import base64
import io
import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from convforge import nn
from convforge.autograd.generator import get_rng_state, manual_seed
from convforge.draw.feature_maps import feature_maps, gradient_size, receptive_field_on
from convforge.draw.modules import module_of
from convforge.draw.photograph import Photograph, PhotographError, load_photograph, photograph_of
from convforge.draw.pixels import PALETTE, STEPS, shrunk, signed_steps
from convforge.draw.scan import scan
from convforge.explain.layers import as_layer
from support.drawn import SVG, check_layout, check_style, read

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(3)
PHOTO = RNG.integers(0, 256, (21, 17, 3), dtype=np.uint8)
HAN = re.compile(r"[\u4e00-\u9fff]")


def pictures(svg: str) -> dict[str, np.ndarray]:
    """The pictures in a drawing by name, as RGB or RGBA; names without number once."""
    found = {}
    for node in ElementTree.fromstring(svg).iter(f"{SVG}image"):
        head, data = node.attrib["href"].split(",", 1)
        assert head == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert image.format == "PNG"
        found[node.attrib["data-picture"]] = np.asarray(
            image.convert("RGBA" if image.mode == "RGBA" else "RGB")
        )
    return found


def values(image: np.ndarray, limit: float) -> np.ndarray:
    """The numbers that colours stand for."""
    steps = {tuple(colour): step - STEPS for step, colour in enumerate(PALETTE.tolist())}
    return np.array([[steps[tuple(pixel)] for pixel in row] for row in image.tolist()]) * limit / STEPS


def theirs(module, pixels: np.ndarray) -> np.ndarray:
    """What PyTorch makes of a picture."""
    torch = pytest.importorskip("torch")
    value = torch.tensor(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
    weight = torch.tensor(module.weight.detach().numpy())
    bias = None if module.bias is None else torch.tensor(module.bias.detach().numpy())
    call = torch.nn.functional.conv_transpose2d if module.transposed else torch.nn.functional.conv2d
    extra = {"output_padding": module.output_padding} if module.transposed else {}
    return call(
        value,
        weight,
        bias,
        module.stride,
        module.padding,
        dilation=module.dilation,
        groups=module.groups,
        **extra,
    )[0].numpy()


def test_the_scale_is_signed_even_and_told_apart():
    assert len({tuple(colour) for colour in PALETTE.tolist()}) == 2 * STEPS + 1
    low, zero, high = PALETTE[0].astype(int), PALETTE[STEPS].astype(int), PALETTE[-1].astype(int)
    assert np.ptp(zero) <= 4  # neutral
    assert low[2] > low[0] + 60  # blue
    assert high[0] > high[2] + 60  # orange
    light = PALETTE @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light[: STEPS + 1]) > 0).all()
    assert (np.diff(light[STEPS:]) < 0).all()
    assert np.abs(light - light[::-1]).max() < 45
    steps = signed_steps(np.array([[-2, -1, 0, 0.5, 1, np.inf, -np.inf, np.nan]], np.float32), 1.0)
    assert (steps.astype(int) - STEPS).tolist() == [[-127, -127, 0, 64, 127, 127, -127, 0]]


@pytest.mark.parametrize(
    "text",
    [
        "Conv2d(3, 5, 3, padding=1)",
        "Conv2d(1, 2, (2, 3), stride=2)",
        "ConvTranspose2d(3, 2, 3, stride=2)",
        "Conv2d(4, 4, 3, groups=2)",
    ],
)
def test_feature_maps_are_the_layers_output(text):
    module = module_of(text, seed=5)
    made = feature_maps(module, PHOTO, language="en")
    drawn = read(made)
    check_layout(drawn)
    check_style(drawn)
    pixels = photograph_of(PHOTO, module.in_channels).pixels
    wanted = theirs(module, pixels)
    limit = np.abs(wanted).max()
    found = pictures(made.svg)
    for channel, expected in enumerate(wanted):
        got = values(found[f"map-{channel}"], limit)
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() <= limit / STEPS * 0.51 + 1e-5
    np.testing.assert_array_equal(found["photograph"][..., 0], np.rint(pixels[..., 0] * 255))
    sizes = "×".join(map(str, wanted.shape))
    assert sizes in {text.text for text in drawn.texts}


def test_spellings_are_drawn_with_the_seed_and_the_generator_is_left_alone():
    manual_seed(7)
    before = get_rng_state().numpy().copy()
    first = feature_maps("Conv2d(3, 2, 3)", PHOTO, seed=1, language="en")
    np.testing.assert_array_equal(get_rng_state().numpy(), before)
    assert first.svg == feature_maps("Conv2d(3, 2, 3)", PHOTO, seed=1, language="en").svg
    assert first.svg != feature_maps("Conv2d(3, 2, 3)", PHOTO, seed=2, language="en").svg
    assert HAN.search(feature_maps("Conv2d(3, 2, 3)", PHOTO, language="zh").svg)
    assert not HAN.search(first.svg)


def test_stacks_chosen_channels_and_given_weights():
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 20, 3))
    drawn = pictures(feature_maps(net, PHOTO).svg)
    assert [name for name in drawn if name.startswith("map")] == [f"map-{i}" for i in range(16)]
    chosen = pictures(feature_maps(net, PHOTO, channels=[19, 3]).svg)
    assert [name for name in chosen if name.startswith("map")] == ["map-19", "map-3"]
    centre = np.zeros((1, 1, 3, 3))
    centre[0, 0, 1, 1] = 1
    grey = photograph_of(PHOTO, 1).pixels[..., 0]
    found = pictures(feature_maps("Conv2d(1, 1, 3, padding=1)", PHOTO, weight=centre).svg)["map-0"]
    assert np.abs(values(found, grey.max()) - grey).max() < 0.01


def test_a_large_photograph_is_shrunk_by_means():
    large = RNG.random((64, 40, 3), np.float32)
    small = shrunk(large, 32)
    np.testing.assert_allclose(small, large.reshape(32, 2, 20, 2, 3).mean((1, 3)), atol=1e-6)
    assert shrunk(large, 64) is large
    drawn = read(feature_maps("Conv2d(3, 1, 3)", large, largest=32, language="en"))
    assert any("shrunk from 64×40 to 32×20" in text.text for text in drawn.texts)


def test_whatever_a_photograph_is_given_as_it_is_the_same(tmp_path):
    image = Image.fromarray(PHOTO)
    image.save(tmp_path / "p.png")
    for channels in (1, 2, 3, 4, None):
        kinds = [
            PHOTO,
            PHOTO.astype(np.float32) / np.float32(255),
            image,
            tmp_path / "p.png",
            str(tmp_path / "p.png"),
        ]
        pixels = [photograph_of(kind, channels).pixels for kind in kinds]
        pixels.append(photograph_of(load_photograph(tmp_path / "p.png", 3), channels).pixels)
        for one, other in itertools.pairwise(pixels):
            np.testing.assert_allclose(one, other, atol=0.51 / 255)  # Pillow's grey has 8 bits
    clear = np.dstack([PHOTO, np.zeros(PHOTO.shape[:2], np.uint8)])
    assert (photograph_of(clear, 3).pixels == 1).all()
    assert isinstance(photograph_of(PHOTO[..., 0], 3), Photograph)


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (np.zeros((3, 4, 7)), "no photograph"),
        (np.zeros((0, 4)), "no photograph"),
        (np.full((3, 4), 255.0), "outside 0…1"),
        (np.full((3, 4), np.nan), "NaN"),
        (np.zeros((3, 4), int), "give uint8"),
        ("nowhere.png", "no such file"),
    ],
)
def test_what_is_no_photograph_is_refused(photo, words):
    with pytest.raises(PhotographError, match=words):
        feature_maps("Conv2d(3, 1, 3)", photo)
    with pytest.raises(PhotographError, match=words):
        scan("Conv2d(3, 1, 3)", photo)


def test_a_broken_or_huge_photograph_is_refused(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "p.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "p.png").read_bytes()[:200])
    with pytest.raises(PhotographError, match="damaged or cut short"):
        feature_maps("Conv2d(3, 1, 3)", tmp_path / "cut.png")
    with pytest.raises(PhotographError, match="more than 1e-05 megapixels"):
        photograph_of(tmp_path / "p.png", 3, 1e-5)
    with pytest.raises(TypeError, match="must be a path"):
        feature_maps("Conv2d(3, 1, 3)", {1: 2})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: feature_maps("Conv1d(3, 1, 3)", PHOTO), "use Conv2d"),
        (lambda: feature_maps("Conv2d(5, 1, 3)", PHOTO), "a photograph has 1"),
        (lambda: feature_maps("Conv2d(3, 1, 3)", PHOTO, channels=[1]), "must be from 0 to 0"),
        (lambda: feature_maps("Conv2d(3, 1, 3)", PHOTO, channels=[]), "must be from 0 to 0"),
        (lambda: feature_maps("Conv2d(3, 1, 3)", PHOTO, largest=0), "largest"),
        (lambda: feature_maps("Conv2d(3, 1, 30)", PHOTO), "Kernel size"),
        (lambda: feature_maps(nn.Sequential(nn.Conv2d(3, 1, 3), nn.Flatten()), PHOTO), "keep the picture"),
        (lambda: feature_maps("Conv2d(3, 1, 3)", PHOTO, weight=np.zeros((1, 3, 2, 2))), "weight has shape"),
        (lambda: feature_maps("Conv2d(3, 99999999, 3)", PHOTO), "use fewer channels"),
        (lambda: feature_maps(3, PHOTO), "must be a module"),
        (lambda: scan(nn.ReLU(), PHOTO), "one convolution layer"),
        (lambda: scan("Conv2d(3, 1, 3)", PHOTO, out_channel=1), "from 0 to 0"),
        (lambda: scan("Conv2d(3, 1, 3)", PHOTO, frames=0), "above 0"),
        (lambda: scan("Conv2d(3, 1, 3)", PHOTO, frames=9999), "10000 frames"),
        (lambda: receptive_field_on(PHOTO, [nn.MaxPool2d(2)]), "neither a convolution"),
        (lambda: receptive_field_on(PHOTO, [nn.ReLU()]), "none is a convolution"),
        (lambda: receptive_field_on(PHOTO, []), "give 1 to"),
        (lambda: receptive_field_on(PHOTO, "Conv2d(3, 1, 3)", (99, 0)), r"19×15: use position=\(9, 7\)"),
        (lambda: receptive_field_on(PHOTO, "Conv1d(3, 1, 3)"), "use Conv2d"),
        (lambda: receptive_field_on(PHOTO, 5), "must be layers"),
    ],
)
def test_refusals(call, words):
    with pytest.raises((ValueError, TypeError, RuntimeError), match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


STACKS = [
    (["Conv2d(3, 8, 3)", "Conv2d(8, 8, 3, stride=2)"], (4, 3)),
    (["Conv2d(3, 8, 3, padding=1, dilation=2)", "Conv2d(8, 8, (1, 3))"], (0, 5)),
    (["Conv2d(3, 4, 4, stride=2, padding=1)", "ConvTranspose2d(4, 3, 4, stride=2, padding=1)"], (6, 7)),
    (["Conv2d(3, 8, 5, padding=4)"], (0, 0)),
]


@pytest.mark.parametrize(("stack", "at"), STACKS)
def test_the_field_is_where_the_gradient_is(stack, at):
    torch = pytest.importorskip("torch")
    made = receptive_field_on(PHOTO, stack, at, heat=True, language="en")
    drawn = read(made)
    check_layout(drawn)
    check_style(drawn)
    # The gradient by PyTorch: every weight one, one channel.
    x = torch.rand(1, 1, *PHOTO.shape[:2], requires_grad=True)
    y = x
    for text in stack:
        layer = as_layer(text)
        call = torch.nn.functional.conv_transpose2d if layer.transposed else torch.nn.functional.conv2d
        ones = torch.ones(1, 1, *layer.kernel_size)
        y = call(y, ones, None, layer.stride, layer.padding, dilation=layer.dilation)
    y[0, 0, at[0], at[1]].backward()
    gradient = x.grad[0, 0].numpy()
    np.testing.assert_allclose(
        gradient_size(stack, PHOTO.shape[:2], at), gradient / gradient.max(), rtol=1e-5, atol=1e-6
    )
    heat = pictures(made.svg)["heat"][..., 3]
    assert ((heat > 0) == (gradient > 0)).all()
    rows, columns = (np.flatnonzero(gradient.any(axis)) for axis in (1, 0))
    note = " ".join(text.text for text in drawn.texts)
    spans = re.search(r"rows (−?\d+) to (−?\d+), columns (−?\d+) to (−?\d+): (\d+)×(\d+)", note)
    top, bottom, left, right, high, wide = (int(word.replace("−", "-")) for word in spans.groups())
    # On a side where the field leaves the photograph, a dilated kernel's first tap within it may come later.
    for first, last, seen, size in ((top, bottom, rows, 21), (left, right, columns, 17)):
        assert first == seen[0] if first >= 0 else first < seen[0]
        assert last == seen[-1] if last < size else last > seen[-1]
    assert (high, wide) == (bottom - top + 1, right - left + 1)
    assert ("outside the photograph" in note) == (top < 0 or left < 0 or bottom > 20 or right > 16)


def test_a_stack_of_modules_has_its_own_weights():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3))
    made = receptive_field_on(PHOTO, net, (2, 2), heat=True)
    rows, columns = np.nonzero(pictures(made.svg)["heat"][..., 3])
    assert rows.min() >= 1
    assert rows.max() <= 5
    assert columns.max() <= 5


@pytest.mark.parametrize(
    "text", ["Conv2d(1, 1, 3)", "Conv2d(3, 2, 5, stride=2, padding=2)", "ConvTranspose2d(3, 1, 2, stride=2)"]
)
def test_a_scan_reveals_the_real_output_row_by_row(text):
    module = module_of(text, seed=4)
    made = scan(module, PHOTO, frames=5, language="en")
    pixels = photograph_of(PHOTO, module.in_channels).pixels
    wanted = theirs(module, pixels)[0]
    limit = np.abs(wanted).max()
    covers = []
    for frame in made.frames:
        drawn = read(frame)
        check_layout(drawn)
        found = values(pictures(frame.svg)["result"], limit)
        assert np.abs(found - wanted).max() <= limit / STEPS * 0.51 + 1e-5
        covers += [cell.bounds[3] - cell.bounds[1] for cell in drawn.cells if cell.name == "cover"] or [0.0]
    assert covers == sorted(covers, reverse=True)
    assert covers[-1] == 0
    rows = [read(frame).texts[-1].text for frame in made.frames[:-1]]
    assert rows[-1] == f"row {len(wanted)} of {len(wanted)}"
    # The picture is written once in the animation, not once a frame.
    assert made.svg.count("<image") == frame.svg.count("<image")


def test_a_scan_shows_the_sum_that_it_says():
    made = scan("Conv2d(1, 1, 3, bias=False)", PHOTO, weight=np.arange(9).reshape(1, 1, 3, 3), frames=3)
    pixels = photograph_of(PHOTO, 1).pixels[..., 0]
    for frame, row in zip(made.frames, (0, 9, 18), strict=False):
        drawn = read(frame)
        patch = np.array([[drawn.number(f"patch-{i}-{j}") for j in range(3)] for i in range(3)])
        column = next(
            c for c in range(15) if np.allclose(pixels[row : row + 3, c : c + 3], patch, atol=0.0051)
        )
        total = (pixels[row : row + 3, column : column + 3] * np.arange(9).reshape(3, 3)).sum()
        assert drawn.number("value-0") == pytest.approx(total, abs=0.006)
