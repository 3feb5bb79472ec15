"""What functions of tensors do to shapes and to what elements see: one rule for each kind of function.

elementwise   add, where, exp, …     shapes broadcast; what operands see is united
of the first  relu, batch_norm, …    the shape of the first argument
windows       conv, pools, pad, …    `window_rules`
views         reshape, permute, …    `view_rules`: the real function is run on positions, which take no memory
reductions    sum, mean, max, …      `reduction_rules`: what is summed over is seen by every element
joins         cat, stack
products      linear, matmul, …      `product_rules`

Statistics of normalisation layers are not counted as seen, as in all receptive fields that are published.
For any other function the real one is run on zeros to learn the shape, and what is seen is not described.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convforge.autograd.stand_in import NoElementsError
from convforge.autograd.tensor import Tensor, from_data
from convforge.explain.abstract import AbstractTensor, Ledger
from convforge.explain.function_names import (
    ALONG,
    COMPARISONS,
    DROPOUTS,
    ELEMENTWISE,
    KEEPS_OPERANDS,
    KEEPS_RESULT,
    OF_FIRST,
    PRODUCTS,
    SAME,
    VALUES,
)
from convforge.explain.places import Axis, Place, Places, met
from convforge.explain.tracing_words import LOST, READS_VALUES, TOO_LARGE, Said, said

Function = Callable[..., Any]
Rule = Callable[["Call"], Any]
RULES: dict[str, Rule] = {}
# Elements above which a function that has no rule is not tried on zeros.
LARGE = 1 << 26


class ValuesReadError(NoElementsError):
    """A function that needs values met a tensor that has none."""

    def __init__(self, said: Said) -> None:
        super().__init__(str(said))
        self.said = said


class Call:
    """One call of a function, with at least one abstract tensor among its arguments."""

    def __init__(
        self, ledger: Ledger, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.ledger = ledger
        self.name = name
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.target: AbstractTensor | None = None
        """Whose memory the result is written into; None for memory of its own."""

    def argument(self, name: str) -> Any:
        """An argument by its name, its default where it was left out."""
        bound = inspect.signature(self.function).bind(*self.args, **self.kwargs)
        bound.apply_defaults()
        return bound.arguments[name]

    @property
    def first(self) -> AbstractTensor:
        """The tensor that the function is of."""
        given = self.args[0] if self.args else next(iter(self.kwargs.values()))
        if not isinstance(given, AbstractTensor):
            raise ValuesReadError(said(READS_VALUES, name=self.name))
        return given

    @property
    def tensors(self) -> list[Any]:
        """The tensors among the arguments, real ones too."""
        return [each for each in (*self.args, *self.kwargs.values()) if isinstance(each, Tensor)]

    def run(self, replacement: Callable[[AbstractTensor], Tensor]) -> Any:
        """The real function, of other tensors in the place of the abstract ones."""

        def real(value: Any) -> Any:
            if isinstance(value, AbstractTensor):
                return replacement(value)
            if isinstance(value, list | tuple) and any(isinstance(each, AbstractTensor) for each in value):
                return type(value)([real(each) for each in value])
            return value

        given = {name: real(value) for name, value in self.kwargs.items()}
        return self.function(*[real(each) for each in self.args], **given)

    def result(self, shape: Sequence[int], places: dict[Axis, Place], dtype: Any = None) -> AbstractTensor:
        """A tensor of this shape and, if none is given, the first's dtype; the target, if there is one."""
        made = self.ledger.tensor(
            shape,
            self.first.dtype.numpy if dtype is None else np.dtype(dtype),
            places,
            memory=None if self.target is None else self.target.memory,
        )
        return made if self.target is None else self.target.become(made)


def apply(
    ledger: Ledger, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """What a function of abstract tensors gives."""
    call = Call(ledger, name, function, args, kwargs)
    rule = RULES.get(name)
    if rule is not None:
        return rule(call)
    plain = f"__{name[3:-2]}__" if name.startswith("__i") and name.endswith("__") else name.removesuffix("_")
    if plain != name and plain in RULES:
        call.name, call.target = plain, call.first
        return RULES[plain](call)
    return unknown(call)


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declares the rule of functions and methods of these names."""

    def declared(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return declared


def unknown(call: Call) -> Any:
    """The shape by running the real function on zeros; what elements see is not described."""
    if (
        sum(each.numel() for each in flat([*call.args, *call.kwargs.values()]) if isinstance(each, Tensor))
        > LARGE
    ):
        raise ValuesReadError(said(TOO_LARGE, name=call.name.strip("_")))
    outputs = call.run(lambda each: from_data(np.zeros(each.shape, each.dtype.numpy)))
    seen: dict[Axis, Place] = {}
    for each in flat(list(call.args) + list(call.kwargs.values())):
        if isinstance(each, AbstractTensor):
            seen |= {axis: place.unknown(said(LOST, name=call.name)) for axis, place in each.places.items()}
    call.ledger.note(said(LOST, name=call.name))
    return wrapped(outputs, lambda out: call.ledger.tensor(out.shape, out._data.dtype, seen))


def wrapped(outputs: Any, wrap: Callable[[Tensor], AbstractTensor]) -> Any:
    """Abstract tensors in the place of the real ones in what a function returned."""
    if isinstance(outputs, Tensor):
        return wrap(outputs)
    if isinstance(outputs, tuple) and hasattr(outputs, "_fields"):
        return type(outputs)(*[wrapped(each, wrap) for each in outputs])  # type: ignore[call-arg]
    if isinstance(outputs, list | tuple):
        return type(outputs)([wrapped(each, wrap) for each in outputs])
    return outputs


def flat(values: Sequence[Any]) -> list[Any]:
    """The values in lists and tuples too."""
    return [inner for each in values for inner in (flat(each) if isinstance(each, list | tuple) else [each])]


@rule(*VALUES)
def _values(call: Call) -> Any:
    raise ValuesReadError(said(READS_VALUES, name=call.name.strip("_")))


@rule(*SAME)
def _same(call: Call) -> Any:
    return call.first


@rule("data")
def _data(call: Call) -> Any:
    return call.first


@rule("__repr__", "__str__", "__format__")
def _text(call: Call) -> str:
    return f"tensor(…, size={tuple(call.first.shape)})"


@rule("__setitem__", "copy_", "fill_", "zero_", "uniform_", "normal_")
def _written(call: Call) -> Any:
    return None if call.name == "__setitem__" else call.first


@rule(*ELEMENTWISE)
def elementwise(call: Call) -> Any:
    """The broadcast of all tensors among the arguments."""
    tensors = call.tensors
    shape = broadcast(call.name, [tuple(each.shape) for each in tensors])
    dtype = np.dtype(np.bool_) if call.name in COMPARISONS else _common(tensors, call)
    out = call.result(shape, met([(places_of(each), each.shape) for each in tensors], shape), dtype)
    _keep(call, out, tensors)
    return out


def places_of(tensor: Any) -> Places:
    """Of a real tensor there are none: it is no part of any input."""
    return tensor.places if isinstance(tensor, AbstractTensor) else {}


def _keep(call: Call, out: AbstractTensor, operands: Sequence[Any]) -> None:
    if call.name in KEEPS_RESULT:
        call.ledger.keep(out)
    elif call.name in KEEPS_OPERANDS and (len(operands) > 1 or call.name not in PRODUCTS):
        call.ledger.keep(*operands)


def broadcast(name: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of all together. Raises RuntimeError that names the function."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        pairs = " and ".join(str(list(shape)) for shape in shapes)
        raise RuntimeError(
            f"{name.strip('_')}: shapes {pairs} do not broadcast: sizes must be equal, or one of them 1"
        ) from None


def _common(tensors: list[Any], call: Call) -> np.dtype[Any]:
    dtype = np.result_type(*(each.dtype.numpy for each in tensors))
    scalars = [each for each in call.args if isinstance(each, float)]
    floats = ("div", "__truediv__", "__rtruediv__", "exp", "sqrt", "log", "sigmoid", "tanh", "rsqrt")
    if dtype.kind in "biu" and (scalars or call.name in floats):
        return np.dtype(np.float32)
    return dtype


@rule(*OF_FIRST)
def _of_first(call: Call) -> Any:
    first = call.first
    if call.name in DROPOUTS and not (call.argument("training") and call.argument("p") > 0):
        return first
    if "inplace" in inspect.signature(call.function).parameters and call.argument("inplace"):
        call.target = first
    places = dict(first.places)
    if call.name in ALONG:
        dim = call.argument("dim")
        gone = set() if dim is None else {dim % first.ndim}
        places = {axis: summed(place, gone, first.shape) for axis, place in places.items()}
    out = call.result(first.shape, places)
    if call.name in DROPOUTS:
        call.ledger.keep_more(out.nbytes)  # the noise
    _keep(call, out, [first])
    return out


@rule("glu")
def _glu(call: Call) -> Any:
    first = call.first
    dim = call.argument("dim") % first.ndim
    shape = list(first.shape)
    shape[dim] //= 2
    call.ledger.keep(first)
    places = {
        axis: place.unknown(said(LOST, name="glu")) if place.dim == dim else place
        for axis, place in first.places.items()
    }
    return call.result(shape, places)


@rule("to", "float", "double", "half", "bfloat16", "int", "long", "bool", "type", "type_as", "short", "byte")
def _cast(call: Call) -> Any:
    first = call.first
    tiny = call.run(lambda each: from_data(np.zeros((0,), each.dtype.numpy)))
    if not isinstance(tiny, Tensor) or tiny.dtype == first.dtype:
        return first if isinstance(tiny, Tensor) else tiny
    return call.result(first.shape, first.places, tiny._data.dtype)


@rule("new_zeros", "new_ones", "new_empty", "new_full", "new_tensor")
def _new(call: Call) -> Any:
    return call.run(lambda each: from_data(np.zeros((0,), each.dtype.numpy)))


def summed(place: Place, dims: set[int], shape: Sequence[int]) -> Place:
    """Of elements that see all along these dimensions: if the axis is in one, everything of it."""
    return place.everything(shape[place.dim]) if place.dim is not None and place.dim in dims else place


def moved(place: Place, dim: int | None) -> Place:
    """The same in another dimension."""
    return Place(place.size, dim, place.field, place.scattered, place.whole, place.reason)


@rule("cat", "concat", "concatenate")
def _cat(call: Call) -> Any:
    tensors = [each for each in call.argument("tensors") if tuple(each.shape) != (0,)]
    dim = int(call.argument("dim")) % tensors[0].ndim
    shape = list(tensors[0].shape)
    for each in tensors[1:]:
        others = [size for at, size in enumerate(each.shape) if at != dim]
        if others != [size for at, size in enumerate(shape) if at != dim]:
            raise RuntimeError(
                f"cat: shapes {[list(t.shape) for t in tensors]} differ in more than dimension {dim}: "
                "sizes but the joined one must be equal"
            )
    shape[dim] = sum(each.shape[dim] for each in tensors)
    dtype = np.result_type(*(each.dtype.numpy for each in tensors))
    # Laid behind each other, every part keeps what it sees; the sizes along `dim` do not matter to it.
    flat = [1 if at == dim else size for at, size in enumerate(shape)]
    parts: list[tuple[Places, Sequence[int]]] = []
    for each in tensors:
        places = dict(places_of(each))
        for axis, place in places.items():
            if place.dim == dim and len(tensors) > 1:
                places[axis] = place.scatter(dim, each.shape[dim])
        parts.append((places, [*each.shape[:dim], 1, *each.shape[dim + 1 :]]))
    places = met(parts, flat)
    return call.ledger.tensor(shape, dtype, places)


@rule("stack")
def _stack(call: Call) -> Any:
    dim = int(call.argument("dim"))
    tensors = [each.unsqueeze(dim) for each in call.argument("tensors")]
    return apply(call.ledger, "cat", _joined, (tensors, dim), {})


def _joined(tensors: Any, dim: int = 0) -> Any:
    """The signature of cat."""
    raise AssertionError((tensors, dim))
