"""What we say another tool prints is what it prints, and our steps lead there from our own count."""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from convforge.explain.conventions import CONVENTIONS
from convforge.explain.reconcile import reconcile

# Many layers of all six kinds: strides, dilations, groups, paddings by number and by name, modes, no bias.
LAYERS = [
    ("Conv1d(3, 8, 3)", (20,)),
    ("Conv1d(4, 8, 5, stride=2, padding=2, groups=4)", (21,)),
    ("Conv1d(4, 6, 4, padding='same', bias=False)", (9,)),
    ("Conv1d(2, 2, 3, dilation=3, padding='valid')", (11,)),
    ("Conv1d(2, 4, 3, padding=1, padding_mode='circular')", (7,)),
    ("Conv2d(3, 64, 3, padding=1)", (32, 30)),
    ("Conv2d(3, 8, 3, padding=1, bias=False)", (7, 9)),
    ("Conv2d(8, 8, 3, stride=2, padding=1, groups=8)", (14, 13)),
    ("Conv2d(4, 12, (3, 5), stride=(2, 1), padding=(4, 2), dilation=(3, 1), groups=2)", (20, 21)),
    ("Conv2d(4, 8, 3, padding='same')", (9, 10)),
    ("Conv2d(4, 8, 3, padding='same', padding_mode='reflect')", (9, 10)),
    ("Conv2d(4, 8, 2, padding='valid', groups=2)", (9, 10)),
    ("Conv2d(4, 8, 3, padding='valid', padding_mode='replicate')", (9, 10)),
    ("Conv2d(16, 8, 1)", (5, 6)),
    ("Conv3d(2, 4, 3, padding=1)", (4, 5, 6)),
    ("Conv3d(4, 4, (1, 3, 2), stride=2, groups=4, bias=False)", (4, 5, 6)),
    ("Conv3d(2, 4, 3, padding='same')", (4, 5, 6)),
    ("ConvTranspose1d(3, 8, 4, stride=2, padding=1)", (9,)),
    ("ConvTranspose1d(4, 8, 3, stride=3, output_padding=2, groups=2, bias=False)", (9,)),
    ("ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1)", (5, 6)),
    ("ConvTranspose2d(4, 8, 3, stride=2, padding=1, groups=2, bias=False)", (9, 10)),
    ("ConvTranspose2d(4, 4, 2, stride=2, groups=4)", (3, 4)),
    ("ConvTranspose2d(3, 5, 3, dilation=2)", (6, 5)),
    ("ConvTranspose3d(4, 2, 3, stride=2, padding=1)", (3, 4, 2)),
    ("ConvTranspose3d(4, 8, (1, 2, 3), stride=(1, 2, 2), groups=2)", (3, 4, 2)),
]
MODULES = {"thop": "thop", "ptflops": "ptflops", "fvcore": "fvcore", "torchinfo": "torchinfo"}


def torch_layer(text: str) -> Any:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    return eval(f"nn.{text}", {"nn": torch.nn})


def count_thop(tool: Any, layer: Any, x: Any) -> int:
    return int(tool.profile(layer, inputs=(x,), verbose=False)[0])


def count_ptflops(tool: Any, layer: Any, x: Any) -> int:
    found, _ = tool.get_model_complexity_info(
        layer, tuple(x.shape[1:]), print_per_layer_stat=False, as_strings=False, backend="pytorch"
    )
    return int(found)


def count_fvcore(tool: Any, layer: Any, x: Any) -> int:
    analysis = importlib.import_module("fvcore.nn").FlopCountAnalysis(layer, x)
    return int(analysis.unsupported_ops_warnings(False).tracer_warnings("none").total())


def count_torchinfo(tool: Any, layer: Any, x: Any) -> int:
    return int(tool.summary(layer, input_data=x, verbose=0).total_mult_adds)


def count_mode(tool: Any, layer: Any, x: Any) -> int:
    with importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False) as counter:
        layer(x)
    return int(counter.get_total_flops())


COUNTERS: dict[str, Callable[[Any, Any, Any], int]] = {
    "thop": count_thop,
    "ptflops": count_ptflops,
    "fvcore": count_fvcore,
    "torchinfo": count_torchinfo,
    "FlopCounterMode": count_mode,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tool", sorted(COUNTERS))
def test_the_installed_tool_prints_what_we_say(tool: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    module = torch
    if tool in MODULES:
        module = pytest.importorskip(MODULES[tool], reason=f"{tool} is not installed: pip install {tool}")
    logging.disable(logging.CRITICAL)
    try:
        for text, size in LAYERS:
            for batch in (1, 2):
                layer = torch_layer(text)
                x = torch.zeros(batch, layer.in_channels, *size)
                printed = COUNTERS[tool](module, layer, x)
                (reading,) = (
                    each
                    for each in reconcile(text, size, batch=batch).readings
                    if each.convention.tool == tool
                )
                assert reading.count == printed, (text, size, batch)
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("text", "size"), LAYERS)
def test_the_steps_lead_from_our_count_to_theirs(text: str, size: tuple[int, ...]) -> None:
    for batch in (1, 3):
        found = reconcile(text, size, batch=batch)
        for reading in found.readings:
            led = found.costs.multiply_adds + sum(step.change for step in reading.steps)
            assert led == reading.count, reading.convention.tool
            assert all(step.change for step in reading.steps)


def test_the_numbers_of_the_notes() -> None:
    """3x3, padding 1, on 7x7: 441 nominal, 361 on data."""
    found = reconcile("Conv2d(1, 1, 3, padding=1, bias=False)", 7)
    assert (found.costs.multiply_adds, found.costs.real_multiply_adds) == (441, 361)
    assert "80" in found.remarks[0]("en")
    assert [each.count for each in found.readings] == [441, 441, 441, 441, 882]


def test_the_tools_disagree_about_transposed_layers_as_reported() -> None:
    counts = {
        each.convention.tool: each.count
        for each in reconcile("ConvTranspose2d(8, 8, 2, stride=2, bias=False)", 10).readings
    }
    assert counts["thop"] == counts["torchinfo"] == 4 * counts["ptflops"] == 4 * counts["fvcore"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Conv1d(2, 2, 3, padding='causal')", "causal"),
        ("Conv2d(2, 2, 3, stride=2, padding='same')", "same"),
        ("Conv2d(2, 2, 3, padding=((0, 1), (0, 1)))", "side"),
        ("ConvTranspose2d(2, 2, 3, padding=1, padding_mode='reflect')", "padding mode"),
    ],
)
def test_layers_that_pytorch_lacks_are_named(text: str, says: str) -> None:
    found = reconcile(text, 9)
    assert any(says in remark("en") for remark in found.remarks)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_reads_in_every_form(language: str) -> None:
    for text, size in LAYERS[::4]:
        found = reconcile(text, size, language=language)
        for shown in (str(found), found.markdown(), found._repr_html_()):
            assert all(each.tool in shown for each in CONVENTIONS)
            assert f"{found.costs.multiply_adds:,}" in shown
        assert json.loads(found.json())["costs"]["multiply_adds"] == found.costs.multiply_adds


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"batch \(=0\)"):
        reconcile("Conv2d(3, 4, 3)", 8, batch=0)
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        reconcile("Conv2d(3, 4, 9)", 8)
