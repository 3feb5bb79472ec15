"""Tunes a layer or a model: one call with the clock on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convforge.autograd.grad_mode import no_grad
from convforge.errors import ConvTypeError
from convforge.nn.module import Module
from convforge.plan import TuningLog, tuning


def tune(model: Callable[..., Any], *inputs: Any, same_bits: bool = True) -> TuningLog:
    """Measure how each convolution of a model runs fastest on inputs of these shapes, and remember it.

        print(convforge.tune(model, convforge.rand(1, 3, 224, 224)))

    model: a module, or anything that is called with the inputs. A module runs in evaluation mode and without
    gradients, and is left as it was. The choices serve all processes of this user on this machine, for
    these shapes and this number of threads; `convforge cache --clear` forgets them. same_bits: see `tuning`.

    To tune a backward pass too, call it inside `with convforge.tuning()`.
    """
    if not callable(model):
        raise ConvTypeError(f"model must be a module or a function, not {type(model).__name__}")
    modes = [(each, each.training) for each in model.modules()] if isinstance(model, Module) else []
    try:
        for each, _ in modes:
            each.training = False
        with no_grad(), tuning(same_bits=same_bits) as log:
            model(*inputs)
    finally:
        for each, training in modes:
            each.training = training
    return log
