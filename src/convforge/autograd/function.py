"""Function: an operation with a backward of its own, as torch.autograd.Function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from .grad_mode import mode, no_grad
from .node import Edge, Node, attach, edge_of, save
from .tensor import Tensor


class FunctionCtx(Node):
    """What forward and backward share: saved tensors, any attributes, and notes about the outputs."""

    __slots__ = ("_dirty", "_function", "_non_differentiable", "_to_save", "needs_input_grad")

    def __init__(self, function: type[Function], needs: tuple[bool, ...]) -> None:
        super().__init__(function._node_name, _call_backward, ())
        self._function = function
        self.needs_input_grad = needs
        self.undefined_as_zeros = True
        self._to_save: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._non_differentiable: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for backward; `saved_tensors` gives them back, checked for changes."""
        self._to_save = tensors

    save_for_forward = save_for_backward

    @property
    def saved_tensors(self) -> tuple[Tensor, ...]:
        """What `save_for_backward` kept. Raises RuntimeError once freed, or if one was changed in place."""
        return self._to_save if self._saved == () else self.saved

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs forward changed in place; they must be among its outputs."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which outputs have no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs that were not used."""
        self.undefined_as_zeros = value


class _Unrecorded:
    """The ctx of a call that is not recorded: it takes what forward tells it and keeps little."""

    needs_input_grad: tuple[bool, ...] = ()
    saved_tensors: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Nothing will be asked for."""

    save_for_forward = save_for_backward
    mark_non_differentiable = save_for_backward

    def mark_dirty(self, *tensors: Any) -> None:
        """Their versions are counted up."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """There will be no backward."""


class _Meta(type):
    """Gives each Function the name its nodes print, once."""

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        cls._node_name = f"{name}Backward"
        # Function itself only names the hook.
        own = bool(bases) and "setup_context" in namespace
        cls._splits_context = own or getattr(cls, "_splits_context", False)


class Function(metaclass=_Meta):
    """Base of operations with a backward of their own.

        class Double(Function):
            @staticmethod
            def forward(ctx, x):
                return from_data(x._data * 2)

            @staticmethod
            def backward(ctx, grad):
                return grad * 2

        y = Double.apply(x)

    forward runs unrecorded. backward gives one gradient, or None, for each argument of forward; written
    in Tensor operations it can be differentiated again.
    """

    _node_name: ClassVar[str]
    _splits_context: ClassVar[bool]

    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style "
            f"autograd function with static forward method: call {type(self).__name__}.apply(…), "
            "make no instance."
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs: a Tensor or a tuple of them."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Where defined, forward takes no ctx, and this saves what backward needs."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """One gradient, or None, for each argument of forward."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run forward on the arguments and record it where one of them requires grad."""
        before = mode.enabled
        edges: list[Edge | None] = []
        if before:
            edges = [edge_of(each) if isinstance(each, Tensor) else None for each in args]
        recorded = any(edges)
        ctx: Any
        if recorded:
            ctx = FunctionCtx(cls, tuple([edge is not None for edge in edges]))
        else:
            ctx = _Unrecorded()
            ctx.needs_input_grad = (False,) * len(args)
        mode.enabled = False
        try:
            if cls._splits_context:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args)
        finally:
            mode.enabled = before
        if ctx._dirty:
            for tensor in ctx._dirty:
                tensor._vbox[0] += 1
        if not recorded:
            return result
        ctx.edges = tuple(edges)
        return _record(ctx, args, result)


def _record(ctx: FunctionCtx, args: tuple[Any, ...], result: Any) -> Any:
    """Put the outputs on the tape behind `ctx`."""
    single = not isinstance(result, tuple)
    outputs: list[Any] = [result] if single else list(result)
    fixed = {id(each) for each in ctx._non_differentiable}
    dirty = {id(each) for each in ctx._dirty}
    given = {id(each) for each in args if isinstance(each, Tensor)}
    saved_outputs: dict[int, int] = {}
    for number, made in enumerate(outputs):
        output = made
        if not isinstance(output, Tensor):
            ctx.metas.append(((), None))
            continue
        ctx.metas.append((output._data.shape, output._data.dtype))
        key = id(output)
        if key in fixed or output.dtype.category < 2:
            continue
        if key in dirty:
            _check_dirty(output)
        elif (
            key in given or output._view is not None
        ):  # an input handed back, or a view of one: a tensor of its own
            outputs[number] = output = output._alias()
        saved_outputs[key] = number
        if output._view is not None:
            from .inplace import write_through

            write_through(output, ctx, number)
            continue
        output._grad_fn, output._nr, output._req = ctx, number, True
    if ctx._to_save:
        ctx._saved = tuple([_entry(each, saved_outputs, dirty) for each in ctx._to_save])
        ctx._to_save = ()
    return outputs[0] if single else tuple(outputs)


def _entry(tensor: Any, outputs: dict[int, int], dirty: set[int]) -> Any:
    if tensor is not None and not isinstance(tensor, Tensor):
        raise TypeError(
            f"save_for_backward can only save variables, but argument is of type {type(tensor).__name__}"
        )
    number = outputs.get(id(tensor))
    if tensor is None or number is None or (tensor._grad_fn is None and id(tensor) not in dirty):
        return save(tensor)
    return (tensor._alias(), tensor._data, tensor._vbox[0], number)


def _check_dirty(tensor: Tensor) -> None:
    if tensor._req and tensor._grad_fn is None:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


def _call_backward(node: Node, *grads: Any) -> Any:
    assert isinstance(node, FunctionCtx)
    function = node._function
    sent = function.backward(node, *grads)
    listed = sent if isinstance(sent, tuple) else tuple(sent) if isinstance(sent, list) else (sent,)
    expected = len(node.edges)
    if len(listed) > expected and all(each is None for each in listed[expected:]):
        listed = listed[:expected]
    if len(listed) != expected:
        raise RuntimeError(
            f"function {node.name()} returned an incorrect number of gradients (expected "
            f"{expected}, got {len(listed)})"
        )
    for index, each in enumerate(listed):
        if each is not None and not isinstance(each, Tensor):
            raise TypeError(f"expected Variable or None (got {type(each).__name__}) as gradient {index}")
    return listed


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A backward that cannot be differentiated again: doing so raises RuntimeError."""

    @functools.wraps(backward)
    def once(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            sent = backward(ctx, *grads)
        traced = [each for each in grads if isinstance(each, Tensor) and each.requires_grad]
        if not mode.enabled or not traced:
            return sent

        def refuse(*_: Any) -> NoReturn:
            raise RuntimeError(
                "trying to differentiate twice a function that was marked with @once_differentiable"
            )

        listed = sent if isinstance(sent, tuple) else (sent,)
        for each in listed:
            if isinstance(each, Tensor) and each.dtype.category >= 2:
                attach(each, "ErrorBackward", refuse, tuple(traced))
        return sent

    return once
