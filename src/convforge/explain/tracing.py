"""Facts about a whole model: its forward followed by shape, nothing computed, nothing in the model changed.

    facts = trace_model(model, (1, 3, 224, 224))
    facts.calls[0].children …

The model's own Python code runs, once, in a shadow of the model (`shadow`) with tensors that have no memory
(`abstract`), by the rules of the functions that it calls (`rules`).
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import convforge.explain.product_rules as _products
import convforge.explain.reduction_rules as _reductions
import convforge.explain.view_rules as _views
import convforge.explain.window_rules as _windows
from convforge.autograd.dtype import DType
from convforge.autograd.generator import get_rng_state, set_rng_state
from convforge.autograd.grad_mode import no_grad
from convforge.autograd.stand_in import NoElementsError
from convforge.errors import ConvArgumentError, ConvTypeError
from convforge.explain.abstract import Counts, Ledger, Step, abstract_tensors
from convforge.explain.places import Axis, Place
from convforge.explain.receptive_field import ReceptiveField
from convforge.explain.rules import ValuesReadError
from convforge.explain.shadow import Shadow, Shadows
from convforge.explain.tracing_words import HOOKS, READS_ARRAY, Said, said
from convforge.nn.module import Module

del _products, _reductions, _views, _windows  # imported so that their rules are declared

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What elements of an output see along one axis of one input.

    dim: the output's dimension along which they see different parts; None where all see the same.
    field: None where it is not described, and `reason` says why.
    """

    input: int
    axis: int
    dim: int | None
    field: ReceptiveField | None
    reason: Said | None


@dataclass(frozen=True)
class ModuleCall:
    """One call of a module. Counts with `own_` leave out the modules that it called.

    path: dotted, "" for the model. again: whether the module has been called before: its parameters are
    counted there. output_bytes: of the tensors that it returned. own_parameters, own_frozen: trained ones
    and others that are the module's own and belong to no earlier one. own_kept_bytes: activations that it
    keeps for backward and none before it did.
    """

    path: str
    name: str
    module: Module
    again: bool
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    output_bytes: int
    own_parameters: int
    own_frozen: int
    own_multiply_adds: int
    own_real_multiply_adds: int
    own_additions: int
    own_bias_additions: int
    own_kept_bytes: int
    seen: tuple[Seen, ...]
    notes: tuple[Said, ...]
    children: tuple[ModuleCall, ...]

    def total(self, name: str) -> int:
        """A count with those of all modules below: total("multiply_adds")."""
        return getattr(self, f"own_{name}") + sum(child.total(name) for child in self.children)


@dataclass(frozen=True)
class ModelFacts:
    """A model followed for one set of inputs.

    peak_bytes: the most activation memory alive at one time, without gradients; the inputs count.
    training_bytes: what the forward keeps for the backward, each piece of memory once.
    parameter_bytes, buffer_bytes: of the whole model, called or not.
    stopped: where and why following ended before the model's end; None if it did not.
    unused: paths of modules with parameters that were never called.
    steps: functions of tensors, in the order of their calls.
    """

    root: ModuleCall
    inputs: tuple[Shape, ...]
    dtypes: tuple[str, ...]
    parameters: int
    frozen: int
    parameter_bytes: int
    buffer_bytes: int
    input_bytes: int
    peak_bytes: int
    training_bytes: int
    stopped: tuple[str, Said] | None
    unused: tuple[str, ...]
    steps: tuple[Step, ...]


@dataclass
class _Open:
    """A call that is not over."""

    path: str
    shadow: Shadow
    again: bool
    inputs: tuple[Shape, ...]
    counts: Counts
    children: list[ModuleCall] = field(default_factory=list[ModuleCall])


class _Follower:
    """Follows calls of shadow modules and writes them down."""

    def __init__(self, model: Module) -> None:
        self.ledger = Ledger()
        self.paths = {id(module): path for path, module in model.named_modules()}
        self.calls: list[_Open] = []
        self.called: set[int] = set()
        self.counted: set[int] = set()
        self.stopped: tuple[str, Said] | None = None
        self.root: ModuleCall | None = None
        self.shadows = Shadows(self.ledger, self.call)

    def call(self, shadow: Shadow, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs the shadow's forward as a call of its module."""
        module = shadow.__dict__["original"]
        path = self.paths.get(id(module), type(module).__name__)
        shapes = tuple(tuple(each.shape) for each in abstract_tensors([*args, *kwargs.values()]))
        opened = _Open(path, shadow, id(module) in self.called, shapes, Counts())
        self.called.add(id(module))
        self.calls.append(opened)
        self.ledger.open.append(opened.counts)
        self.ledger.modules.append(shadow)
        hooks = len(module._forward_hooks) + len(module._forward_pre_hooks)
        if hooks and not shadow.has_uninitialized_params():
            self.ledger.note(said(HOOKS, n=hooks))
        result: Any = None
        try:
            result = shadow.forwarded(args, kwargs)
        except NoElementsError as error:
            if self.stopped is None:
                reason = error.said if isinstance(error, ValuesReadError) else said(READS_ARRAY)
                self.stopped = (path, reason)
            raise
        except Exception as error:
            if not hasattr(error, "__notes__"):
                error.add_note(f"in {path or 'the model'} ({type(module).__name__}), input {_by(shapes)}")
            raise
        finally:
            self.ledger.open.pop()
            self.ledger.modules.pop()
            self.calls.pop()
            self._close(opened, result)
        return result

    def _close(self, opened: _Open, result: Any) -> None:
        module = opened.shadow.__dict__["original"]
        tensors = abstract_tensors([result])
        trained = frozen = 0
        twins: dict[str, Any] = opened.shadow.__dict__["_parameters"]
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in self.counted:
                self.counted.add(id(parameter))
                size = twins[name].numel()
                trained, frozen = (
                    (trained + size, frozen) if parameter.requires_grad else (trained, frozen + size)
                )
        made = ModuleCall(
            opened.path,
            type(module).__name__,
            module,
            opened.again,
            opened.inputs,
            tuple(tuple(each.shape) for each in tensors),
            sum(each.nbytes for each in tensors),
            trained,
            frozen,
            opened.counts.multiply_adds,
            opened.counts.real_multiply_adds,
            opened.counts.additions,
            opened.counts.bias_additions,
            opened.counts.kept_bytes,
            _seen(tensors[0].places) if tensors else (),
            tuple(opened.counts.notes),
            tuple(opened.children),
        )
        if self.calls:
            self.calls[-1].children.append(made)
        else:
            self.root = made


def trace_model(
    model: Module,
    input_size: Sequence[Any],
    *,
    batch: int | None = None,
    dtype: Any = "float32",
) -> ModelFacts:
    """Follows the model's forward for inputs of these shapes.

    input_size: (N, C, H, W), or a list of such shapes, one an input. batch: instead of each N.
    dtype: of the inputs, or one an input.

    Raises what calling the model with such inputs raises, with a note that names the module. Where the code
    needs values, following ends, and `stopped` names the module and the reason.
    """
    given: Any = model
    if not isinstance(given, Module):
        raise ConvTypeError(f"model (={type(given).__name__}) must be a convforge.nn.Module: give a model")
    shapes = _shapes(input_size, batch)
    kinds: list[Any] = list(dtype) if isinstance(dtype, list | tuple) else [dtype] * len(shapes)
    if len(kinds) != len(shapes):
        raise ConvArgumentError(
            f"dtype (={kinds}) names {len(kinds)} dtypes, but there are {len(shapes)} inputs: give one each"
        )
    dtypes = [kind.numpy if isinstance(kind, DType) else np.dtype(kind) for kind in kinds]
    follower = _Follower(model)
    ledger = follower.ledger
    inputs = [ledger.input(at, *pair) for at, pair in enumerate(zip(shapes, dtypes, strict=True))]
    input_bytes = ledger.live_bytes
    shadow = follower.shadows.module(model)
    with _draws_taken_back(), no_grad(), contextlib.suppress(NoElementsError):
        # The list is the only one that holds the inputs: the model may drop them.
        shadow(*[inputs.pop(0) for _ in shapes])
    assert follower.root is not None
    parameters = {id(each): (each, path) for path, each in _named(model)}
    sizes = {key: follower.shadows.value(each).numel() for key, (each, _) in parameters.items()}
    return ModelFacts(
        follower.root,
        tuple(shapes),
        tuple(kind.name for kind in dtypes),
        sum(sizes[key] for key, (each, _) in parameters.items() if each.requires_grad),
        sum(sizes[key] for key, (each, _) in parameters.items() if not each.requires_grad),
        sum(sizes[key] * each.dtype.itemsize for key, (each, _) in parameters.items()),
        sum(_buffer_bytes(follower, each) for each in model.buffers()),
        input_bytes,
        ledger.peak_bytes,
        sum(ledger.kept.values()),
        follower.stopped,
        tuple(
            path
            for path, module in model.named_modules()
            if id(module) not in follower.called and any(p is not None for p in module._parameters.values())
        ),
        tuple(ledger.steps),
    )


@contextlib.contextmanager
def _draws_taken_back() -> Generator[None]:
    """Puts the generators back to where they were, if the model's code drew from them."""
    ours, python, numpy = get_rng_state(), random.getstate(), np.random.get_state(legacy=False)
    try:
        yield
    finally:
        if bool((get_rng_state() != ours).any()):
            set_rng_state(ours)
        if random.getstate() != python:
            random.setstate(python)
        if str(np.random.get_state(legacy=False)) != str(numpy):
            np.random.set_state(numpy)


def _named(model: Module) -> list[tuple[str, Any]]:
    return list(model.named_parameters())


def _buffer_bytes(follower: _Follower, buffer: Any) -> int:
    twin = follower.shadows.value(buffer)
    return twin.numel() * twin.dtype.itemsize


def _shapes(input_size: Sequence[Any], batch: int | None) -> list[Shape]:
    """The shapes of all inputs. Raises ConvArgumentError for what are none."""
    several = bool(input_size) and not isinstance(input_size[0], int | np.integer)
    shapes = [tuple(each) for each in (input_size if several else [input_size])]
    for shape in shapes:
        if not shape or not all(isinstance(size, int | np.integer) and size >= 0 for size in shape):
            raise ConvArgumentError(
                f"input_size (={input_size!r}) must be a shape such as (1, 3, 224, 224), or a list of them"
            )
    made = [tuple(int(size) for size in shape) for shape in shapes]
    return made if batch is None else [(batch, *shape[1:]) for shape in made]


def _seen(places: dict[Axis, Place]) -> tuple[Seen, ...]:
    return tuple(
        Seen(*axis, place.dim, place.field, place.reason)
        for axis, place in sorted(places.items(), key=lambda item: item[0])
    )


def _by(shapes: tuple[Shape, ...]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)
