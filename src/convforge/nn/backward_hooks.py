"""Backward hooks of modules: identity operations around a module's inputs and outputs that see its gradients.

    inputs ── tie ──> forward ── tie ──> outputs          the forward pass
    grad_input <── hooks run here ── … ── grad_output kept, pre-hooks run here

A hook needs both gradients at once; the one at the outputs comes first and waits in the `BackwardHook`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.function import Function
from ..autograd.grad_mode import is_grad_enabled
from ..autograd.tensor import Tensor, from_data
from .hooks import Hook, WrappedHook

if TYPE_CHECKING:
    from .calling import ModuleCall

Grads = tuple[Any, ...]


class _Tie(Function):
    """Identity on tensors whose backward passes the gradients through `on_backward`."""

    @staticmethod
    def forward(ctx: Any, on_backward: Callable[[Grads], Grads], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.on_backward = on_backward
        ctx.set_materialize_grads(False)
        outputs = tuple(tensor.detach() for tensor in tensors)
        ctx.mark_non_differentiable(*(out for out, t in zip(outputs, tensors) if not t.requires_grad))
        return outputs

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Grads:
        return (None, *ctx.on_backward(grad_outputs))


class BackwardHook:
    """The ties around one call of a module, and the hooks to run in its backward."""

    def __init__(self, module: ModuleCall, hooks: Sequence[Hook], pre_hooks: Sequence[Hook]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: Grads | None = None
        self.input_count = 0
        self.input_index: list[int] | None = None
        self.output_count = 0
        self.output_index: list[int] | None = None

    def tie_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The positional arguments with their tensors tied."""
        self.input_count = len(args)
        tied, self.input_index = _tie(self._run_hooks, args, fill=True)
        return tied

    def tie_outputs(self, result: Any) -> Any:
        """The module's result with its tensors tied."""
        if not isinstance(result, Tensor | tuple):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors"
                f" but received {type(result)}",
                stacklevel=4,
            )
        outputs: tuple[Any, ...] = result if isinstance(result, tuple) else (result,)
        self.output_count = len(outputs)
        tied, self.output_index = _tie(self._keep_grad_outputs, outputs, fill=False)
        return tied if isinstance(result, tuple) else tied[0]

    def _run_hooks(self, grads: Grads) -> Grads:
        if self.grad_outputs is None:
            # The gradient reached the inputs on another way than through the outputs (double backward).
            return grads
        assert self.input_index is not None
        grad_input = _spread(self.input_index, grads, self.input_count)
        for hook in self.hooks:
            changed = hook(self.module, grad_input, self.grad_outputs)
            if changed is None:
                continue
            if len(changed) != len(grad_input):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(changed)}, but expected {len(grad_input)}"
                )
            grad_input = changed
        self.grad_outputs = None
        return tuple(grad_input[i] for i in self.input_index)

    def _keep_grad_outputs(self, grads: Grads) -> Grads:
        assert self.output_index is not None
        grad_output = _spread(self.output_index, grads, self.output_count)
        for pre_hook in self.pre_hooks:
            changed = pre_hook(self.module, grad_output)
            if changed is None:
                continue
            if len(changed) != len(grad_output):
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(changed)}, but expected {len(grad_output)}"
                )
            grad_output = changed
        if self.input_index is None:
            self._run_hooks_without_inputs(grad_output)
        else:
            self.grad_outputs = grad_output
        return tuple(grad_output[i] for i in self.output_index)

    def _run_hooks_without_inputs(self, grad_output: Grads) -> None:
        warnings.warn(
            "Full backward hook is firing when gradients are computed "
            "with respect to module outputs since no inputs require gradients. See "
            "Module.register_full_backward_hook for more details.",
            stacklevel=5,
        )
        grad_input = (None,) * self.input_count
        for hook in self.hooks:
            changed = hook(self.module, grad_input, grad_output)
            if changed is not None and not (isinstance(changed, tuple) and all(g is None for g in changed)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires "
                    "gradient should always return None or None for all gradients."
                )


def _tie(
    on_backward: Callable[[Grads], Grads], values: tuple[Any, ...], fill: bool
) -> tuple[Any, list[int] | None]:
    """`values` with tensors tied, and where those are; untouched, and None, where nothing needs a gradient.

    fill: give zeros to `on_backward` for a tensor that got no gradient, needed or not, as PyTorch does.
    """
    index = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    tensors: list[Tensor] = [values[i] for i in index]
    if not (is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
        return values, None
    # Shapes and not the tensors: those would be kept alive by the graph.
    kinds = [(t._data.shape, t._data.dtype) if fill else None for t in tensors]

    def filled(grads: Grads) -> Grads:
        return on_backward(
            tuple(
                from_data(np.zeros(*kind)) if grad is None and kind is not None else grad
                for grad, kind in zip(grads, kinds)
            )
        )

    tied: list[Any] = list(values)
    for i, tensor in zip(index, _Tie.apply(filled, *tensors)):
        tied[i] = tensor
    return (tuple(tied) if type(values) is tuple else type(values)(*tied)), index


def _spread(index: list[int], grads: Grads, count: int) -> Grads:
    spread: list[Any] = [None] * count
    for i, grad in zip(index, grads):
        spread[i] = grad
    return tuple(spread)


def tie_non_full_hooks(
    module: ModuleCall, hooks: Sequence[Hook], inputs: tuple[Any, ...], result: Any
) -> None:
    """Hang non-full backward hooks on the operation that made the first tensor of `result`."""
    tensor = result
    while not isinstance(tensor, Tensor):
        if isinstance(tensor, dict):
            tensor = next(value for value in tensor.values() if isinstance(value, Tensor))
        else:
            tensor = tensor[0]
    grad_fn: Any = tensor.grad_fn
    if grad_fn is None:
        return
    for hook in hooks:
        grad_fn.register_hook(WrappedHook(hook, module))  # type: ignore[arg-type]
    reason = _why_incomplete(inputs, result, grad_fn)
    if reason is not None:
        warnings.warn(reason, FutureWarning, stacklevel=4)


def _why_incomplete(inputs: tuple[Any, ...], result: Any, grad_fn: Any) -> str | None:
    """What a non-full hook will not see, or None if the module is a single operation."""
    results: tuple[Any, ...] = result if isinstance(result, tuple) else (result,)
    if not all(isinstance(r, Tensor) for r in results):
        return (
            "Using non-full backward hooks on a Module that does not return a "
            "single Tensor or a tuple of Tensors is deprecated and will be removed "
            "in future versions. This hook will be missing some of the grad_output. "
            "Please use register_full_backward_hook to get the documented behavior."
        )
    if not all(isinstance(i, Tensor) for i in inputs):
        return (
            "Using non-full backward hooks on a Module that does not take as input a "
            "single Tensor or a tuple of Tensors is deprecated and will be removed "
            "in future versions. This hook will be missing some of the grad_input. "
            "Please use register_full_backward_hook to get the documented behavior."
        )
    out_fns = {id(r.grad_fn) for r in results if r.grad_fn is not None}
    if out_fns != {id(grad_fn)} and len(out_fns) <= 1:
        return (
            "Using a non-full backward hook when outputs are nested in python data structure "
            "is deprecated and will be removed in future versions. This hook will be missing "
            "some grad_output."
        )
    if len(out_fns) > 1:
        return (
            "Using a non-full backward hook when outputs are generated by different autograd Nodes "
            "is deprecated and will be removed in future versions. This hook will be missing "
            "some grad_output. Please use register_full_backward_hook to get the documented behavior."
        )
    in_fns = {id(i.grad_fn) for i in inputs if i.grad_fn is not None}
    if in_fns != {id(node[0]) for node in grad_fn.next_functions}:
        return (
            "Using a non-full backward hook when the forward contains multiple autograd Nodes "
            "is deprecated and will be removed in future versions. This hook will be missing "
            "some grad_input. Please use register_full_backward_hook to get the documented behavior."
        )
    return None
