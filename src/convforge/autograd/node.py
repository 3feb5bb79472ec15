"""One recorded operation: where its gradients go and what it kept to compute them.

    x ──┐
        ├── Node ── out        edges: x's node and y's node, or x and y themselves where they are leaves
    y ──┘

Nodes are numbered in the order they are made, so every consumer has a larger number than its
producers, and running backward in falling order needs no count of dependencies.
"""

# ruff: noqa: ARG005 - functions in tables share one form  # noqa: RUF100

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import weakref

    from .tensor import Tensor

# A producer's node, or the leaf itself, and which of the producer's outputs it was.
Edge = tuple[Any, int]

_next_number = itertools.count().__next__

# What each thread's run asks of the node that it is at: runs of several threads may pass one node.
_running = threading.local()

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
    "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second "
    "time or if you need to access saved tensors after calling backward."
)
MODIFIED = (
    "one of the variables needed for gradient computation has been modified by an inplace operation: "
    "[{kind} {shape}]{which} is at version {now}; expected version {then} instead. Hint: enable anomaly "
    "detection to find the operation that failed to compute its gradient, with "
    "torch.autograd.set_detect_anomaly(True)."
)


class Node:
    """A recorded operation; what PyTorch calls a grad_fn.

    backward(node, *grad_outputs) gives one gradient, or None, for each edge (a bare one if there is
    one edge). `saved` tensors are checked against later in-place changes when they are read.
    Other values that backward needs are plain attributes.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_name",
        "_saved",
        "backward",
        "edges",
        "hooks",
        "metas",
        "number",
        "output_hooks",
        "retained",
        "undefined_as_zeros",
    )

    edges: tuple[Edge | None, ...]
    metas: list[tuple[tuple[int, ...], Any]]
    hooks: Any
    output_hooks: dict[int, dict[int, Callable[[Any], Any]]] | None
    retained: dict[int, weakref.ref[Tensor]] | None

    def __init__(self, name: str, backward: Callable[..., Any], edges: tuple[Edge | None, ...]) -> None:
        self._name = name
        self.backward = backward
        self.edges = edges
        self.number = _next_number()
        # (tensor, its array, its version, output number or None for an input); None once freed.
        self._saved: tuple[tuple[Any, Any, int, int | None], ...] | None = ()
        self.metas = []
        self.hooks = None
        self.output_hooks = None
        self.retained = None
        self.undefined_as_zeros = False

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def name(self) -> str:
        """'AddBackward0', as it is printed behind a tensor."""
        return self._name

    def needs(self, index: int) -> bool:
        """Whether a gradient for input `index` is wanted; a run for some inputs wants what leads there."""
        asked: tuple[Node, Sequence[bool]] | None = getattr(_running, "asked", None)
        if asked is not None and asked[0] is self:
            return asked[1][index]
        return self.edges[index] is not None

    def run(self, arriving: Sequence[Any], asked: Sequence[bool] | None) -> Any:
        """Call `backward`. asked: whether this run wants the gradient of each edge; None: all there are."""
        before = getattr(_running, "asked", None)
        _running.asked = None if asked is None else (self, asked)
        try:
            return self.backward(self, *arriving)
        finally:
            _running.asked = before

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes that gradients go to next; a leaf stands behind an AccumulateGrad."""
        return tuple(
            (None, 0)
            if edge is None
            else (edge if isinstance(edge[0], Node) else (AccumulateGrad(edge[0]), 0))
            for edge in self.edges
        )

    @property
    def saved(self) -> tuple[Tensor, ...]:
        """The saved tensors. Raises RuntimeError once freed, or where one was changed in place since."""
        if self._saved is None:
            raise RuntimeError(FREED)
        return tuple([self._unpack(*entry) for entry in self._saved])

    def _unpack(self, tensor: Any, array: Any, version: int, output: int | None) -> Any:
        if tensor is None:
            return None
        now = tensor._vbox[0]
        if now != version:
            raise RuntimeError(self._modified(tensor, version, output))
        if output is not None:
            alias = tensor._alias()
            alias._grad_fn, alias._nr, alias._req = self, output, True
            return alias
        if tensor._data is not array:  # `.data` was set since: the values of then still count
            return tensor._with_array(array)
        return tensor

    def _modified(self, tensor: Any, version: int, output: int | None) -> str:
        shape = str(list(tensor._data.shape))
        node, number = (self, output) if output is not None else (tensor._grad_fn, tensor._nr)
        which = "" if node is None else f", which is output {number} of {node.name()},"
        kind = tensor.dtype.tensor_type
        return MODIFIED.format(kind=kind, shape=shape, which=which, now=tensor._vbox[0], then=version)

    def free(self) -> None:
        """Drop what was saved; reading it again raises."""
        if self._saved:
            self._saved = None

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """hook(grad_inputs, grad_outputs) runs after backward; a tuple it returns replaces grad_inputs."""
        if self.hooks is None:
            self.hooks = {}
        return RemovableHandle(self.hooks, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """hook(grad_outputs) runs before backward; a tuple it returns replaces grad_outputs."""
        prehooks = self.__dict__.setdefault("_prehooks", {})
        return RemovableHandle(prehooks, hook)

    def __repr__(self) -> str:
        return f"<{self._name} object at {id(self):#x}>"


def hooked(hook: Callable[[Any], Any], gradient: Tensor) -> Tensor:
    """The gradient after a tensor's hook. Raises TypeError or RuntimeError unless it stays of its kind."""
    from .tensor import Tensor

    changed = hook(gradient)
    if changed is None:
        return gradient
    name = getattr(hook, "__name__", type(hook).__name__)
    if not isinstance(changed, Tensor):
        raise TypeError(f"expected Variable, but hook '{name}' returned {type(changed).__name__}")
    if changed._data.shape != gradient._data.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    if changed._data.dtype != gradient._data.dtype:
        raise RuntimeError(f"hook '{name}' has changed the type of value")
    return changed


class AccumulateGrad(Node):
    """The end of the tape at a leaf; made on demand, for those who walk `next_functions`."""

    __slots__ = ("variable",)

    def __init__(self, variable: Tensor) -> None:
        super().__init__("AccumulateGrad", lambda node, grad: (), ())
        self.variable = variable


class RemovableHandle:
    """Takes a hook away again with `remove()`, or at the end of a `with` block."""

    _next_id = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self.hooks = hooks
        self.id = next(self._next_id)
        hooks[self.id] = hook

    def remove(self) -> None:
        """Forget the hook; a second call does nothing."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def edge_of(tensor: Any) -> Edge | None:
    """Where gradients of `tensor` go, or None where it requires none."""
    if tensor.__class__ is float or tensor is None:
        return None
    if tensor._view is not None:
        tensor._refresh()
    if not tensor._req:
        return None
    node = tensor._grad_fn
    return (tensor, 0) if node is None else (node, tensor._nr)


def attach(
    out: Tensor,
    name: str,
    backward: Callable[..., Any],
    inputs: tuple[Any, ...],
    saved: tuple[Any, ...] = (),
) -> Node:
    """Record that `out` came from `inputs`; call only where one of them requires grad.

    inputs: Tensors or None, one for each gradient that backward gives. saved: Tensors, or None,
    given back in this order by `node.saved`; `out` itself may be among them.
    """
    node = Node(name, backward, tuple([None if each is None else edge_of(each) for each in inputs]))
    array = out._data
    node.metas.append((array.shape, array.dtype))
    if saved:
        node._saved = tuple([save(each, out) for each in saved])
    out._grad_fn = node
    out._req = True
    return node


def save(tensor: Any, out: Any = None) -> tuple[Any, Any, int, int | None]:
    """The entry of `Node._saved` for one tensor; an output is kept without its node, to make no cycle."""
    if tensor is None:
        return (None, None, 0, None)
    if tensor is out:
        return (out._alias(), out._data, out._vbox[0], 0)
    return (tensor, tensor._data, tensor._vbox[0], None)
