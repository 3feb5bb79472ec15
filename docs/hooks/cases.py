"""For each principle a layer, stack or model that does not keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convforge import nn


@dataclass(frozen=True, slots=True)
class Case:
    """texts: layers in order, as they are spelled. norm: a batch norm follows, in training or for inference.

    instead: of a rule that only the clock decides, what to measure against.
    """

    texts: tuple[str, ...]
    input_size: tuple[int, ...]
    small_device: bool = False
    norm: str = ""
    instead: tuple[str, ...] = ()

    def make(self) -> Any:
        """What is given to `advise`: the texts, or a model where there is a batch norm."""
        if not self.norm:
            return list(self.texts)
        conv, norm = (_module(text) for text in self.texts)
        return nn.Sequential(conv, norm).train(self.norm == "training")


def _module(text: str) -> nn.Module:
    from convforge.explain import as_layer
    from convforge.explain.measure import module_of

    if text.startswith("BatchNorm2d("):
        return nn.BatchNorm2d(int(text.removeprefix("BatchNorm2d(").removesuffix(")")))
    return module_of(as_layer(text))


CASES: dict[str, Case] = {
    "in-channels": Case(("Conv2d(3, 64, 3, padding=1)", "Conv2d(32, 64, 3, padding=1)"), (3, 56, 56)),
    "channels-grow": Case(
        ("Conv2d(3, 128, 3, padding=1)", "Conv2d(128, 64, 3, stride=2, padding=1)"), (3, 56, 56)
    ),
    "two-3x3": Case(("Conv2d(64, 64, 5, padding=2)",), (64, 56, 56)),
    "large-kernel": Case(("Conv2d(64, 64, 7, padding=3)",), (64, 28, 28)),
    "even-kernel": Case(("Conv2d(64, 64, 4, padding='same')",), (64, 56, 56)),
    "stride-two": Case(("Conv2d(3, 64, 11, stride=4, padding=2)",), (3, 224, 224)),
    "dropped-rows": Case(("Conv2d(3, 64, 3, stride=2)",), (3, 224, 224)),
    "gaps": Case(("Conv2d(64, 128, 1, stride=2)",), (64, 56, 56)),
    "keep-size": Case(("Conv2d(64, 64, 3)",), (64, 56, 56)),
    "dilation-for-context": Case(("Conv2d(64, 64, 9, padding=4)",), (64, 56, 56)),
    "gridding": Case(("Conv2d(64, 64, 3, padding=2, dilation=2)",) * 3, (64, 56, 56)),
    "dilated-on-padding": Case(("Conv2d(64, 64, 3, padding=12, dilation=12)",), (64, 14, 14)),
    "field-within-input": Case(("Conv2d(64, 64, 3, padding=1)",) * 4, (64, 7, 7)),
    "depthwise-separable": Case(("Conv2d(64, 128, 3, padding=1)",), (64, 56, 56), small_device=True),
    "slow-depthwise": Case(
        ("Conv2d(64, 64, 3, padding=1)",),
        (64, 56, 56),
        instead=("Conv2d(64, 64, 3, padding=1, groups=64)",),
    ),
    "bias-before-norm": Case(
        ("Conv2d(64, 64, 3, padding=1)", "BatchNorm2d(64)"), (64, 56, 56), norm="training"
    ),
    "fuse-norm": Case(
        ("Conv2d(64, 64, 3, padding=1, bias=False)", "BatchNorm2d(64)"), (64, 56, 56), norm="inference"
    ),
    "uneven-overlap": Case(
        ("ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1)",), (64, 28, 28)
    ),
}
