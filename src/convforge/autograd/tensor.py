"""Tensor: NumPy memory with a place on the tape. Operations are added to it by `methods`.

_data    the memory; views of a tensor are NumPy views of it
_req     requires_grad        grad      the accumulated gradient of a leaf
_grad_fn the node that made it, or None       _nr   which of the node's outputs it is
_vbox    [number of in-place changes, `handed_out`s], one list for all views of a memory
_view    None, or (base, ((function, arguments), …), version): how to make it from its base
_hooks   None, or the hooks of a leaf
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import device as _device
from .dtype import BY_NUMPY, DType, from_numpy_dtype
from .grad_mode import enable_grad, mode
from .node import Node, RemovableHandle
from .size import Size

# `_vbox[1]` from here on: somebody knows the address of the memory.
KNOWN_ADDRESS = 1 << 60
_new = object.__new__
_ndarray = np.ndarray


class Tensor:
    """An array that remembers how it was computed. `tensor(…)`, `zeros(…)`, … make them.

    Tensor(2, 3) is an uninitialised tensor of that size, Tensor([1, 2]) holds those values; both are
    of the default dtype.
    """

    __slots__ = (
        "__dict__", "__weakref__", "_data", "_grad_fn", "_hooks", "_nr", "_req", "_vbox", "_view", "grad",
    )  # fmt: skip
    _data: np.ndarray[Any, Any]
    _req: bool
    grad: Tensor | None
    _grad_fn: Node | None
    _nr: int
    _vbox: list[int]
    _view: tuple[Any, tuple[Any, ...], int] | None
    _hooks: dict[int, Any] | None
    # NumPy leaves `array + tensor` to the tensor.
    __array_priority__ = 1000

    def __new__(cls, *sizes: Any, device: Any = None) -> Any:
        """Raises TypeError where the arguments are neither sizes nor one sequence of values."""
        from .creation import legacy_array

        _device.require_cpu(device)
        return cls._make_subclass(cls, from_data(legacy_array(sizes)))

    @staticmethod
    def _make_subclass(kind: Any, data: Tensor, require_grad: bool = False) -> Any:
        """A tensor of class `kind` on the memory of `data`, not on the tape."""
        made: Any = _new(kind)
        made._data = data._data
        made._req = require_grad
        made.grad = made._grad_fn = made._view = made._hooks = None
        made._nr = 0
        made._vbox = data._vbox
        return made

    def _alias(self) -> Tensor:
        """The same memory and version, off the tape."""
        made = from_data(self._data)
        made._vbox = self._vbox
        return made

    def _shadow(self) -> Tensor:
        """What this tensor is now, memory, version and place on the tape, before a change in place."""
        made = self._alias()
        if self._view is not None:
            self._refresh()
        made._req, made._grad_fn, made._nr = self._req, self._grad_fn, self._nr
        return made

    def _with_array(self, array: np.ndarray[Any, Any]) -> Tensor:
        """The same place on the tape with other memory."""
        made = from_data(array)
        made._req, made._grad_fn, made._nr = self._req, self._grad_fn, self._nr
        return made

    def _refresh(self) -> None:
        """Renew a view's place on the tape if its base was changed in place since."""
        assert self._view is not None
        base, chain, version = self._view
        if self._vbox[0] == version:
            return
        self._view = (base, chain, self._vbox[0])
        if base._req:
            with enable_grad():
                made = base
                for function, arguments in chain:
                    made = function(made, *arguments)
            self._grad_fn, self._nr, self._req = made._grad_fn, made._nr, made._req

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded. Only a leaf's can be set."""
        if self._view is not None:
            self._refresh()
        return self._req

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether operations are recorded. Raises RuntimeError for integers and for non-leaves."""
        if requires_grad and BY_NUMPY[self._data.dtype].category < 2:
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        if self.grad_fn is not None and not requires_grad:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a "
                "computed variable "
                "in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        self._req = bool(requires_grad)
        return self

    @property
    def grad_fn(self) -> Node | None:
        """The operation that made this tensor; None for a leaf."""
        if self._view is not None:
            self._refresh()
        return self._grad_fn

    @property
    def is_leaf(self) -> bool:
        """True unless the tensor is the result of a recorded operation."""
        return self.grad_fn is None

    @property
    def output_nr(self) -> int:
        """Which output of `grad_fn` this is."""
        return self._nr

    @property
    def _version(self) -> int:
        """How many in-place operations changed this memory."""
        return self._vbox[0]

    @property
    def _base(self) -> Tensor | None:
        """The tensor that this one is a view of, or None."""
        return None if self._view is None else self._view[0]

    def _is_view(self) -> bool:
        return self._view is not None

    @property
    def data(self) -> Tensor:
        """The same memory off the tape, with a version of its own. Setting it swaps the memory."""
        handed_out(self)
        return from_data(self._data)

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        self._data = value._data

    @property
    def dtype(self) -> DType:
        """The element type."""
        return BY_NUMPY.get(self._data.dtype) or from_numpy_dtype(self._data.dtype)

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return tuple.__new__(Size, self._data.shape)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    @property
    def device(self) -> _device.Device:
        """Where the memory is: always the CPU."""
        return _device.CPU

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on this non-leaf."""
        node = self.grad_fn
        return node is not None and node.retained is not None and self._nr in node.retained

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf in `.grad` when backward passes it."""
        import weakref

        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        node = self._grad_fn
        if node is None:
            return
        if node.retained is None:
            node.retained = {}
        kept: Any = weakref.ref(self)
        node.retained[self._nr] = kept

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """hook(grad) runs when the gradient of this tensor is known; what it returns replaces it."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        node = self._grad_fn
        if node is None:
            if self._hooks is None:
                self._hooks = {}
            return RemovableHandle(self._hooks, hook)
        if node.output_hooks is None:
            node.output_hooks = {}
        return RemovableHandle(node.output_hooks.setdefault(self._nr, {}), hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """hook(tensor) runs after the gradient was added to this leaf's `.grad`."""
        if self.grad_fn is not None or not self._req:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        return RemovableHandle(self.__dict__.setdefault("_post_accumulate", {}), hook)

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of the leaves it was computed from.

        gradient: of this tensor's shape; may be left out for a single element. retain_graph: keep what
        backward needs, for another one. create_graph: record backward itself. inputs: the only leaves to
        add to. Raises RuntimeError where the tensor requires no grad, or the graph was freed.
        """
        from .engine import backward

        backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def __hash__(self) -> int:
        return id(self)


def from_data(data: Any) -> Tensor:
    """A tensor on the memory of an array, off the tape and unchecked. A NumPy scalar gets an array."""
    made = _new(Tensor)
    made._data = data if data.__class__ is _ndarray else np.asarray(data)
    made._req = False
    made.grad = made._grad_fn = made._view = made._hooks = None
    made._nr = 0
    made._vbox = [0, 0]
    return made


def handed_out(tensor: Tensor, *, for_good: bool = False) -> None:
    """Note that others can write to the memory from now on without counting a change.

    As long as they can, they hold a reference to its array; unless they know its address: for_good.
    """
    tensor._vbox[1] += KNOWN_ADDRESS if for_good else 1


def view_of(parent: Tensor, data: np.ndarray[Any, Any], function: Any, *arguments: Any) -> Tensor:
    """A tensor on a NumPy view of the parent's memory; `function(parent, *arguments)` makes it again."""
    made = _new(Tensor)
    made._data = data
    made._req = False
    made.grad = made._grad_fn = made._hooks = None
    made._nr = 0
    box = made._vbox = parent._vbox
    view = parent._view
    step = (function, arguments)
    made._view = (parent, (step,), box[0]) if view is None else (view[0], (*view[1], step), box[0])
    return made


def recording(*tensors: Any) -> bool:
    """Whether an operation on these must be recorded. Anything but a Tensor requires no grad."""
    if not mode.enabled:
        return False
    for each in tensors:
        if isinstance(each, Tensor):
            if each._view is not None:
                each._refresh()
            if each._req:
                return True
    return False
