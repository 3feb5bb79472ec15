"""Every number in an animation is the layer's, and every frame can be read."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge import nn
from convforge.draw.animation import Animation
from convforge.draw.moving import LONGEST_AXIS
from convforge.draw.numbers import short, small_input, small_weight
from convforge.draw.scatter import transposed
from convforge.draw.sliding import sliding
from convforge.draw.sweeps import dilation_sweep, groups_sweep
from convforge.explain.layers import as_layer
from convforge.reference import output
from support.drawn import check_layout, check_style, layers, read, value_of

HAN = re.compile(r"[\u4e00-\u9fff]")


def numbers(layer, size):
    """Input, weight and output of a layer's drawing, by the reference."""
    spec = layer.spec(size, dtype=np.float64)
    x, weight = small_input(spec.input_shape[1:]), small_weight(spec)
    bias = np.zeros(layer.out_channels) if layer.bias else None
    return x, weight, output(spec, x[None], weight, bias)[0]


def name_of(grid: str, *position: int) -> str:
    return "-".join([grid, *(f"n{-at}" if at < 0 else str(at) for at in position)])


def said(made: Animation) -> str:
    return " ".join(text.text for frame in made.frames for text in read(frame).texts)


def check_all(made: Animation) -> None:
    for frame in made.frames:
        drawn = read(frame)
        check_layout(drawn)
        check_style(drawn)


def fits(layer, size) -> bool:
    return layer.in_channels // layer.groups <= 4 and np.prod(layer.spec(size).output_size) <= 30


@settings(max_examples=8)
@given(layers(transposed=False, rank=2), st.sampled_from(["en", "zh"]))
def test_sliding_shows_the_oracles_numbers_in_two_axes(case, language):
    check_sliding(*case, language)


@settings(max_examples=8)
@given(layers(transposed=False, rank=1), st.sampled_from(["en", "zh"]))
def test_sliding_shows_the_oracles_numbers_in_one_axis(case, language):
    check_sliding(*case, language)


def check_sliding(layer, size, language):
    if not fits(layer, size):
        return
    channel = layer.out_channels - 1
    made = sliding(layer, size, out_channel=channel, language=language)
    _, _, y = numbers(layer, size)
    positions = list(product(*map(range, y.shape[1:])))
    assert len(made.frames) == len(positions) + 1
    pads, spec = layer.spec(size).padding, layer.spec(size)
    for number, (frame, position) in enumerate(zip(made.frames, [*positions, None], strict=True)):
        drawn = read(frame)
        check_layout(drawn)
        check_style(drawn)
        for at, other in enumerate(positions):
            cell = name_of("output", channel, *other)
            labels = [text.text for text in drawn.texts if text.name == cell]
            if at <= number:
                assert labels == [short(y[(channel, *other)])]
            else:
                assert labels == []
                assert drawn.cell(cell).role == "blank"
        if position is not None:
            assert drawn.cell(name_of("output", channel, *position)).role == "output hot"
        if position is None:
            assert not any("hot" in cell.role for cell in drawn.cells)
            continue
        # The taps of this output, counted here.
        taps = product(*map(range, layer.kernel_size))
        hot = {
            tuple(
                o * s + t * d - before
                for o, s, t, d, (before, _) in zip(
                    position, layer.stride, tap, layer.dilation, pads, strict=True
                )
            )
            for tap in taps
        }
        group = channel // (layer.out_channels // layer.groups)
        inputs = layer.in_channels // layer.groups
        for c in range(group * inputs, (group + 1) * inputs):
            marked = {
                cell.name
                for cell in drawn.cells
                if cell.name.startswith(f"input-{c}-") and "hot" in cell.role
            }
            assert marked == {name_of("input", c, *at) for at in hot}
        (result,) = [text.text for text in drawn.texts if text.name == "result"]
        assert value_of(re.split("[=≈]", result)[-1]) == pytest.approx(
            y[(channel, *position)], abs=1e-2, rel=1e-3
        )
        assert spec.output_size == y.shape[1:]


@settings(max_examples=12)
@given(layers(transposed=True), st.sampled_from(["en", "zh"]))
def test_transposed_adds_one_stamp_after_another(case, language):
    layer, size = case
    spec = layer.spec(size)
    longest = max(n + sum(pair) for n, pair in zip(spec.output_size, spec.padding, strict=True))
    if layer.rank == 3 or not fits(layer, size) or np.prod(size) > 16 or longest > LONGEST_AXIS:
        return
    channel = layer.out_channels - 1
    made = transposed(layer, size, out_channel=channel, language=language)
    check_all(made)
    x, weight, y = numbers(layer, size)
    # Without padding nothing is cut off or folded back: the sums that the frames show.
    open_layer = replace(layer, padding=(0,) * layer.rank, padding_mode="zeros", bias=False)
    pads = layer.spec(size).padding
    group = channel // (layer.out_channels // layer.groups)
    inputs = layer.in_channels // layer.groups
    added = np.zeros_like(x)
    elements = [
        (c, *p) for c in range(group * inputs, (group + 1) * inputs) for p in product(*map(range, size))
    ]
    for frame, at in zip(made.frames[1:-1], elements, strict=True):
        added[at] = x[at]
        open_spec = open_layer.spec(size, dtype=np.float64)
        sums = output(open_spec, added[None], weight, None)[0, channel]
        drawn = read(frame)
        assert drawn.cell(name_of("input", *at)).role == "input hot"
        labels = [text for text in drawn.texts if text.name.startswith(f"output-{channel}-")]
        assert labels
        for text in labels:
            places = [int(word.replace("n", "-")) for word in text.name.split("-")[2:]]
            padded = tuple(place + before for place, (before, _) in zip(places, pads, strict=True))
            if all(i < n for i, n in zip(padded, sums.shape, strict=True)):
                assert text.text == short(sums[padded])
    last = read(made.frames[-1])
    for position in product(*map(range, y.shape[1:])):
        assert last.said(name_of("output", channel, *position)) == short(y[(channel, *position)])


def test_a_module_shows_its_own_weights_and_a_user_its_input():
    torch = pytest.importorskip("torch")
    layer = nn.Conv2d(2, 3, 3, padding=1)
    x = np.random.default_rng(1).normal(size=(2, 3, 3)).round(2)
    made = sliding(layer, 3, x=x, out_channel=2)
    theirs = torch.nn.functional.conv2d(
        torch.tensor(x[None]), torch.tensor(layer.weight.detach().numpy()).double(),
        torch.tensor(layer.bias.detach().numpy()).double(), padding=1,
    )[0, 2].numpy()  # fmt: skip
    last = read(made.frames[-1])
    for i, j in product(range(3), range(3)):
        assert last.number(f"output-2-{i}-{j}") == pytest.approx(theirs[i, j], rel=1e-3, abs=1e-4)
    assert read(made.frames[0]).said("kernel-2-1-0-0") == short(layer.weight.detach().numpy()[2, 1, 0, 0])


@pytest.mark.parametrize(
    ("layer", "size"),
    [("Conv2d(1, 1, 3)", 9), ("Conv1d(2, 3, 3, padding=2)", 9), ("Conv2d(1, 1, (3, 1), stride=2)", (9, 5))],
)
def test_dilation_marks_the_taps(layer, size):
    made = dilation_sweep(layer, size, dilations=(1, 2, 3))
    check_all(made)
    value = as_layer(layer)
    for dilation, frame in zip((1, 2, 3), made.frames, strict=True):
        drawn = read(frame)
        hot = [cell for cell in drawn.cells if cell.name.startswith("input") and "hot" in cell.role]
        assert len(hot) == np.prod(value.kernel_size)
        span = dilation * (value.kernel_size[0] - 1) + 1
        assert drawn.said("span").startswith(f"{value.kernel_size[0]} taps, {dilation} apart, span")
        assert f"= {span}." in drawn.said("span")
        rows = {cell.name.split("-")[2] for cell in hot}
        indices = sorted(int(row.replace("n", "-")) for row in rows)
        assert indices[-1] - indices[0] + 1 == span


def test_dilation_of_a_transposed_layer_spreads_its_stamp():
    made = dilation_sweep("ConvTranspose2d(1, 1, 3, stride=2, padding=1)", 3, dilations=(1, 2))
    check_all(made)
    for dilation, frame in zip((1, 2), made.frames, strict=True):
        hot = {
            cell.name for cell in read(frame).cells if cell.name.startswith("output") and "hot" in cell.role
        }
        along = [1 * 2 + tap * dilation - 1 for tap in range(3)]
        assert hot == {name_of("output", 0, i, j) for i, j in product(along, along)}


def test_dilations_that_do_not_fit_end_the_sweep():
    made = dilation_sweep("Conv1d(1, 1, 3)", 7, dilations=(1, 2, 3, 4, 5))
    assert len(made.frames) == 3
    with pytest.raises(RuntimeError, match="Kernel size"):
        dilation_sweep("Conv1d(1, 1, 9)", 7)


@pytest.mark.parametrize(
    "layer", ["Conv2d(8, 8, 3, bias=False)", "Conv1d(4, 6, 3)", "ConvTranspose2d(6, 3, 2)"]
)
def test_groups_join_who_reads_whom(layer):
    torch = pytest.importorskip("torch")
    made = groups_sweep(layer)
    check_all(made)
    value = as_layer(layer)
    common = np.gcd(value.in_channels, value.out_channels)
    divisors = [g for g in range(1, common + 1) if common % g == 0]
    assert len(made.frames) == len(divisors)
    for groups, frame in zip(divisors, made.frames, strict=True):
        drawn = read(frame)
        theirs = getattr(torch.nn, value.name)(
            value.in_channels, value.out_channels, value.kernel_size, groups=groups, bias=value.bias
        )
        inputs, outputs = value.in_channels // groups, value.out_channels // groups
        joined = {
            f"{i}-{o}"
            for i in range(value.in_channels)
            for o in range(value.out_channels)
            if i // inputs == o // outputs
        }
        assert set(drawn.links) == joined
        parameters = sum(p.numel() for p in theirs.parameters())
        assert f"{parameters:,}" in drawn.said("parameters")
        assert str(tuple(theirs.weight.shape)) in said(replace(made, frames=(frame,), seconds=(1.0,)))


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_themes_and_languages(theme):
    for make in (sliding, transposed, dilation_sweep, groups_sweep):
        english, chinese = (make(theme=theme, language=language) for language in ("en", "zh"))
        assert not HAN.search(said(english))
        assert HAN.search(said(chinese))
        assert english.frames[0].theme == theme
        assert len(english.frames) == len(chinese.frames)
        check_all(chinese)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sliding("Conv3d(1, 1, 3)"), "use Conv2d"),
        (lambda: sliding("Conv2d(64, 1, 3)"), "64 channels, and 4 can be drawn"),
        (lambda: sliding("Conv2d(1, 1, 3)", 30), "30 elements along an axis"),
        (lambda: sliding("Conv2d(1, 1, 3)", out_channel=1), "from 0 to 0"),
        (lambda: sliding("ConvTranspose2d(1, 1, 3)"), "animate it with transposed"),
        (lambda: sliding("Conv2d(1, 1, 3)", x=np.zeros((1, 4, 4)), input_size=5), "does not fit"),
        (lambda: sliding("Conv2d(1, 1, 1)", 17), "makes 290 frames"),
        (lambda: transposed("Conv2d(1, 1, 3)"), "animate it with sliding"),
        (lambda: dilation_sweep("Conv3d(1, 1, 3)"), "use Conv2d"),
        (lambda: dilation_sweep(dilations=()), "dilations"),
        (lambda: groups_sweep("Conv2d(64, 64, 3)"), "64 and 64 channels"),
        (lambda: sliding(theme="sepia"), "theme"),
        (lambda: sliding(language="fr"), "language"),
    ],
)
def test_refusals(call, words):
    with pytest.raises((ValueError, RuntimeError), match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_saving(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("vl_convert")
    made = sliding("Conv1d(1, 1, 3)", 5, seconds=0.5)
    with image.open(made.save(tmp_path / "a.gif")) as gif:
        assert gif.format == "GIF"
        assert gif.n_frames == len(made.frames)
        assert np.allclose(gif.size, (made.frames[0].width, made.frames[0].height), atol=1)
    with image.open(made.save(tmp_path / "a.png", scale=0.5)) as png:
        assert png.n_frames == len(made.frames)
    assert made.save(tmp_path / "a.svg").read_text("utf-8") == made.svg
    assert made.svg[:-1] in made._repr_html_()
    with pytest.raises(ValueError, match=r"save an animation as \.svg, \.gif, \.png"):
        made.save(tmp_path / "a.pdf")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gif", "a.png", "a.svg"]
