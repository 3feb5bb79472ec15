"""The explorer's questions, against the library and the oracle."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from convforge import nn
from convforge.autograd.grad_mode import no_grad
from convforge.autograd.tensor import from_data
from convforge.errors import ConvforgeError
from convforge.explain import as_layer, costs_of, trace_of
from convforge.explain.advice import advise
from convforge.web import api
from convforge.web.numbers import KINDS, Numbers

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
    assert found["advice"][0]["fix"] == ["Conv2d(3, 8, 4, stride=2, padding=1)"]
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
