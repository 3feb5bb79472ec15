"""The questions that the page asks, as functions from JSON to JSON: Python owns the semantics.

Each takes a question that is an object, and returns an object: the answer, or `{"error": …, "names": […]}`
with the library's own words where it refuses. A question that the page would never ask raises
BadRequestError.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from convforge import reference
from convforge.draw.filters import FIXED, NAMES, named_filter
from convforge.errors import ConvforgeError, ConvValueError
from convforge.explain.costs import costs_of, costs_of_spec
from convforge.explain.formula import size_formula
from convforge.explain.receptive_field import INPUT, ReceptiveField, windows_of
from convforge.explain.trace import AxisTrace, trace_of
from convforge.explain.words import LANGUAGES, Language
from convforge.problem import ConvLayer, ConvSpec
from convforge.web.asked import (
    BadRequestError,
    counted_layer,
    layer_asked,
    member,
    numbers_asked,
    one_at_a_time,
    refusal_of,
    size_asked,
    spec_asked,
)

Answer = dict[str, Any]
LARGEST_KERNEL = 31
# Counting and receptive fields take as long for a photograph as for a thumbnail.
LARGEST_COUNTED = 1 << 14
LARGEST_MEASURED = 1 << 31
LONGEST_STACK = 24
LARGEST_SPREAD = 1 << 10


def trace(question: Answer) -> Answer:
    """The layer's sizes, which inputs and weights make each output along each axis, and every number.

    {"layer": …, "input_size": [5, 5], "numbers": {…}} -> layer, parameters, spec, formula, axes, numbers

    The output is computed by the NumPy oracle, in float64 of whole numbers: exact.
    """
    layer = layer_asked(question)
    spec = spec_asked(layer, size_asked(question, layer.rank))
    numbers = numbers_asked(question)
    x, weight = numbers.input_array(spec), numbers.weight_array(spec)
    bias = numbers.bias_array(spec) if layer.bias else None
    return {
        "layer": layer.text,
        "spec": spec_json(spec),
        "formula": size_formula(spec, layer.stride, layer.dilation),
        "axes": [axis_json(axis) for axis in trace_of(spec).axes],
        "numbers": {
            "input": x[0].ravel().tolist(),
            "weight": weight.ravel().tolist(),
            "bias": None if bias is None else bias.tolist(),
            "output": reference.output(spec, x, weight, bias)[0].ravel().tolist(),
        },
    }


def parse(question: Answer) -> Answer:
    """The parameters of a layer that was typed as PyTorch spells it, so that the controls can show them."""
    layer = layer_asked(question)
    return {"layer": layer.text, "parameters": parameters_json(layer)}


def code(question: Answer) -> Answer:
    """A program to copy: the layer on an input of this size, and the size that it prints."""
    layer = layer_asked(question)
    spec = layer.spec(size_asked(question, layer.rank))
    shape = ", ".join(map(str, spec.input_shape))
    lines = [
        "import torch  # or, without PyTorch: import convforge as torch",
        "",
        f"layer = torch.nn.{layer.text}",
        f"x = torch.randn({shape})",
        f"print(layer(x).shape)  # torch.Size({list(spec.output_shape)})",
    ]
    return {"code": "\n".join(lines) + "\n"}


def kernels(question: Answer) -> Answer:
    """Every kernel that has a name, of one size: {"kernel_size": [3, 3]} -> [{"name", "grids", "shows"}]"""
    size = member(question, "kernel_size", list, "two numbers")
    if len(size) != 2 or not all(type(side) is int and 1 <= side <= LARGEST_KERNEL for side in size):
        raise BadRequestError(f"kernel_size must be two numbers from 1 to {LARGEST_KERNEL}")
    shape = (size[0], size[1])
    fitting = [named_filter(name, shape) for name in NAMES if name not in FIXED or shape == (3, 3)]
    return {
        "kernels": [
            {"name": each.name, "shows": each.shows, "grids": [grid.tolist() for grid in each.grids]}
            for each in fitting
        ]
    }


def costs(question: Answer) -> Answer:
    """Parameters, multiplications, additions, bytes of one call on one input, each in a column of its own."""
    layer = counted_layer(question)
    size = size_asked(question, layer.rank, LARGEST_COUNTED)
    return {"layer": layer.text, "costs": costs_of(layer, size).to_dict()}


def advise(question: Answer) -> Answer:
    """What the principles of choosing parameters say about the layer, the gravest first.

    {"language": "zh"} answers in Chinese. {"measure": true} also times real calls wherever a rule speaks of
    speed; then the layer must be one that runs in milliseconds.
    """
    from convforge.explain.advice import advise as advice_of, principles

    layer = counted_layer(question)
    size = size_asked(question, layer.rank, LARGEST_COUNTED)
    language = language_asked(question)
    measure = question.get("measure", False)
    if not isinstance(measure, bool):
        raise BadRequestError("measure must be true or false")
    if measure and costs_of(layer, size).multiply_adds > LARGEST_MEASURED:
        raise ConvValueError(
            f"input_size (={size}) makes more than {LARGEST_MEASURED} multiplications, too many to be timed "
            "here: use a smaller input"
        )
    # Two at a time would time each other.
    with one_at_a_time if measure else contextlib.nullcontext():
        found = advice_of(layer, size, measure=measure, language=language)
    because = {principle.rule: principle.text for principle in principles(language)}
    return {
        "advice": [
            {
                "id": finding.rule,
                "severity": finding.severity,
                "text": finding.what(language),
                "principle": because[finding.rule],
                "fix": None if finding.fix is None else list(finding.fix.texts),
                "effect": None if finding.fix is None else finding.fix.effect(language),
                "drawing": finding.drawing.name,
                "timing": None
                if finding.timing is None
                else [finding.timing.before_ms, finding.timing.after_ms],
            }
            for finding in found.findings
        ],
        "unmeasured": list(found.unmeasured),
    }


def stack(question: Answer) -> Answer:
    """Layers one behind another: sizes, receptive fields per axis, costs, and what to draw of the last axis.

    {"layers": ["Conv2d(3, 8, 3)", …], "input_size": [32, 32]} -> rows, one a layer

    A layer that is refused ends the answer: the rows before it, then its error with `row`, its number.
    """
    texts = member(question, "layers", list, "a list of layers")
    if not 1 <= len(texts) <= LONGEST_STACK or not all(isinstance(text, str) for text in texts):
        raise BadRequestError(f"layers must be a list of 1 to {LONGEST_STACK} texts")
    rows: list[Answer] = []
    done: list[ConvLayer] = []
    size: tuple[int, ...] = ()
    fields: list[ReceptiveField] = []
    spread = 1
    for number, text in enumerate(texts):
        try:
            layer = counted_layer({"layer": text})
            if not done:
                size = size_asked(question, layer.rank, LARGEST_COUNTED)
            elif layer.rank != done[0].rank:
                raise ConvValueError(f"{layer.name} behind {done[0].name}: use layers of one rank")
            elif layer.in_channels != done[-1].out_channels:
                raise ConvValueError(
                    f"in_channels (={layer.in_channels}) must be the {done[-1].out_channels} channels of the "
                    f"layer before: use in_channels={done[-1].out_channels}"
                )
            spec = layer.spec(size)
            windows = windows_of(layer, size)
            if not done:
                fields = [INPUT] * layer.rank
            spread *= max(layer.stride) if layer.transposed else 1
            if spread > LARGEST_SPREAD:
                raise ConvValueError(
                    f"stride (={layer.stride}) of the transposed layers makes {spread} outputs of an input: "
                    f"use strides whose product is at most {LARGEST_SPREAD}"
                )
            done.append(layer)
            fields = [field.through(window) for field, window in zip(fields, windows, strict=True)]
        except ConvforgeError as error:
            return {"rows": rows, **refusal_of(error).as_json(), "row": number}
        rows.append(
            {
                "layer": layer.text,
                "input_size": list(spec.input_size),
                "output_size": list(spec.output_size),
                "fields": [
                    {
                        "size": field.size,
                        "jump": str(field.jump),
                        "start": str(field.start),
                        "varies": field.varies,
                        "first": field.interval(0),
                    }
                    for field in fields
                ],
                "spec": spec_json(spec),
                "parameters": costs_of_spec(spec, bias=layer.bias).parameters,
                "macs": costs_of_spec(spec, bias=layer.bias).multiply_adds,
            }
        )
        size = spec.output_size
    return {"rows": rows}


def language_asked(question: Answer) -> Language:
    """The language to answer in: "en" where none is given."""
    for language in LANGUAGES:
        if question.get("language", "en") == language:
            return language
    raise BadRequestError(f"language must be one of {', '.join(LANGUAGES)}")


QUESTIONS: dict[str, Callable[[Answer], Answer]] = {
    "/api/trace": trace,
    "/api/parse": parse,
    "/api/code": code,
    "/api/kernels": kernels,
    "/api/costs": costs,
    "/api/advise": advise,
    "/api/stack": stack,
}


def answer(path: str, question: Any) -> Answer:
    """The answer to a question, or the library's refusal of it.

    Raises BadRequestError for what is no question.
    """
    if not isinstance(question, dict):
        raise BadRequestError("the body must be a JSON object")
    try:
        return QUESTIONS[path](question)
    except ConvforgeError as error:
        return refusal_of(error).as_json()


def spec_json(spec: ConvSpec) -> Answer:
    """The sizes of a convolution."""
    return {
        "transposed": spec.transposed,
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "groups": spec.groups,
        "input_size": list(spec.input_size),
        "output_size": list(spec.output_size),
        "kernel_size": list(spec.kernel_size),
        "stride": list(spec.stride),
        "padding": [list(pair) for pair in spec.padding],
        "dilation": list(spec.dilation),
        "output_padding": list(spec.output_padding),
        "padding_mode": spec.padding_mode,
    }


def axis_json(axis: AxisTrace) -> Answer:
    """One axis: what stands at each padded position; contacts of each output, [tap, position, source]."""
    return {
        "sources": list(axis.sources),
        "contacts": [
            [[contact.tap, contact.position, contact.source] for contact in axis.contacts(output)]
            for output in range(axis.output_size)
        ],
        "unread": list(axis.unread),
    }


def parameters_json(layer: ConvLayer) -> Answer:
    """The arguments of a layer, as `layer_asked` takes them."""
    return {
        "rank": layer.rank,
        "transposed": layer.transposed,
        "in_channels": layer.in_channels,
        "out_channels": layer.out_channels,
        "kernel_size": layer.kernel_size,
        "stride": layer.stride,
        "padding": layer.padding,
        "output_padding": layer.output_padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
        "bias": layer.bias,
        "padding_mode": layer.padding_mode,
    }
