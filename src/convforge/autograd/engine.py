"""Running the tape backward: `backward` adds to leaves, `grad` returns."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from convforge.memory import is_shared

from .grad_mode import set_grad_enabled
from .node import Edge, Node, edge_of, hooked
from .tensor import Tensor, from_data


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of leaves. See `Tensor.backward`."""
    roots = _as_list(tensors)
    if inputs is not None:
        inputs = _as_list(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward` cannot be empty")
    grads = _root_grads(roots, _grad_list(grad_tensors, len(roots)), create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    found = _run(roots, grads, keep, create_graph, inputs)
    if inputs is not None:
        for tensor, gradient in zip(inputs, found, strict=True):
            if gradient is not None:
                _accumulate(tensor, gradient, create_graph)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`; nothing is added to `.grad`.

    Raises RuntimeError where an input was not used, unless allow_unused (None for it) or
    materialize_grads (zeros for it).
    """
    if not only_inputs:
        raise ValueError(
            "only_inputs=False is deprecated and ignored: only_inputs must be True, use backward()"
        )
    if is_grads_batched:
        raise ValueError("is_grads_batched (=True) needs vmap, which is not here: loop over grad_outputs")
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True")
    roots, wanted = _as_list(outputs), _as_list(inputs)
    for tensor in wanted:
        if not tensor.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    grads = _root_grads(roots, _grad_list(grad_outputs, len(roots)), create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    found = _run(roots, grads, keep, create_graph, wanted)
    if materialize_grads:
        found = [
            from_data(np.zeros_like(tensor._data)) if gradient is None else gradient
            for tensor, gradient in zip(wanted, found, strict=True)
        ]
    elif not allow_unused and any(gradient is None for gradient in found):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. "
            "Set allow_unused=True if this is the desired behavior."
        )
    return tuple(found)


def _as_list(tensors: Any) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _grad_list(grads: Any, count: int) -> list[Any]:
    if grads is None:
        return [None] * count
    listed = [grads] if isinstance(grads, Tensor) else list(grads)
    if len(listed) != count:
        raise RuntimeError(f"got {count} tensors and {len(listed)} gradients")
    return listed


def _root_grads(roots: list[Tensor], grads: list[Any], create_graph: bool) -> list[Tensor]:
    made: list[Tensor] = []
    for index, (root, given) in enumerate(zip(roots, grads, strict=True)):
        if given is None:
            if not root.requires_grad:
                raise RuntimeError(
                    f"element {index} of tensors does not require grad and does not have a grad_fn"
                )
            if root._data.size != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if root._data.dtype.kind == "c":
                raise RuntimeError(
                    "grad can be implicitly created only for real scalar outputs but got "
                    f"torch.{root.dtype.to_complex().numpy.name}"
                )
            made.append(from_data(np.ones_like(root._data)))
            continue
        if not isinstance(given, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(given).__name__}")
        if given.shape != root.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{index}] has a shape of {given.shape} and "
                f"output[{index}] has a shape of {root.shape}."
            )
        if not root.requires_grad:
            raise RuntimeError(
                f"element {index} of tensors does not require grad and does not have a grad_fn"
            )
        made.append(given if create_graph or not given.requires_grad else given.detach())
    return made


class _Run:
    """The gradients on their way, and the nodes still to visit, latest first."""

    def __init__(self) -> None:
        self.arrived: dict[Node, list[Tensor | None]] = {}
        self.heap: list[tuple[int, Node]] = []
        self.leaves: dict[int, tuple[Tensor, Tensor]] = {}

    def send(self, target: Any, number: int, gradient: Tensor) -> None:
        if isinstance(target, Node):
            slots = self.arrived.get(target)
            if slots is None:
                slots = self.arrived[target] = [None] * len(target.metas)
                heapq.heappush(self.heap, (-target.number, target))
            before = slots[number]
            slots[number] = gradient if before is None else before + gradient
        else:
            key = id(target)
            known = self.leaves.get(key)
            self.leaves[key] = (target, gradient if known is None else known[1] + gradient)


def _run(
    roots: list[Tensor],
    grads: list[Tensor],
    keep: bool,
    create_graph: bool,
    inputs: Sequence[Tensor] | None,
) -> list[Tensor | None]:
    """Run backward. With `inputs`, return their gradients and leave every `.grad` alone."""
    run = _Run()
    edges = [edge_of(root) for root in roots]
    wanted: dict[tuple[Any, int], int] = {}
    order: list[tuple[Any, int]] = []
    for tensor in inputs or ():
        target, number = edge_of(tensor) or (tensor, 0)
        order.append((target, number))
        wanted[(target if isinstance(target, Node) else id(target), number)] = 1
    reach = None if inputs is None else _reaching(edges, wanted)
    captured: dict[tuple[Any, int], Tensor] = {}
    switch = set_grad_enabled(create_graph)
    with switch:
        for edge, gradient in zip(edges, grads, strict=True):
            assert edge is not None
            run.send(*edge, gradient)
        while run.heap:
            node = heapq.heappop(run.heap)[1]
            arriving = run.arrived.pop(node)
            _output_hooks(node, arriving, create_graph)
            if reach is not None:
                for number, gradient in enumerate(arriving):
                    if gradient is not None and (node, number) in wanted:
                        captured[(node, number)] = gradient
                if not reach[node]:
                    continue
            asked = None if reach is None else [_leads(edge, reach, wanted) for edge in node.edges]
            sent = _apply(node, arriving, asked)
            if not keep:
                node.free()
            for i, (edge, gradient) in enumerate(zip(node.edges, sent, strict=False)):
                if edge is not None and gradient is not None and (asked is None or asked[i]):
                    run.send(edge[0], edge[1], _fitted(node, edge, gradient))
            gradient = sent = arriving = None  # so that a leaf may take over the memory
        for key in list(run.leaves):
            leaf, gradient = run.leaves.pop(key)
            gradient = _leaf_hooks(leaf, gradient)
            if reach is None:
                _accumulate(leaf, gradient, create_graph)
            else:
                captured[(key, 0)] = gradient
    return [
        captured.get((target if isinstance(target, Node) else id(target), number)) for target, number in order
    ]


def _leads(edge: Edge | None, reach: dict[Any, bool], wanted: dict[tuple[Any, int], int]) -> bool:
    """Whether an edge goes to a wanted tensor, or to a node above one."""
    if edge is None:
        return False
    target, number = edge
    return reach.get(target, False) or (target if isinstance(target, Node) else id(target), number) in wanted


def _reaching(roots: list[Any], wanted: dict[tuple[Any, int], int]) -> dict[Any, bool]:
    """For each node under the roots: whether a wanted tensor lies below it."""
    reach: dict[Any, bool] = {}
    stack = [(edge[0], False) for edge in roots if edge is not None and isinstance(edge[0], Node)]
    while stack:
        node, done = stack.pop()
        targets = [edge for edge in node.edges if edge is not None]
        if done:
            reach[node] = any(
                (target if isinstance(target, Node) else id(target), number) in wanted
                or reach.get(target, False)
                for target, number in targets
            )
        elif node not in reach:
            reach[node] = False
            stack.append((node, True))
            stack += [(each, False) for each, _ in targets if isinstance(each, Node) and each not in reach]
    return reach


def _output_hooks(node: Node, arriving: list[Tensor | None], create_graph: bool) -> None:
    if node.output_hooks is not None:
        for number, hooks in node.output_hooks.items():
            for hook in list(hooks.values()):
                gradient = arriving[number]
                if gradient is not None:
                    arriving[number] = hooked(hook, gradient)
    if node.retained is not None:
        for number, reference in node.retained.items():
            tensor, gradient = reference(), arriving[number]
            if tensor is not None and gradient is not None:
                _accumulate(tensor, gradient, create_graph)


def _apply(
    node: Node, arriving: list[Tensor | None], asked: Sequence[bool] | None
) -> tuple[Tensor | None, ...]:
    """Call backward with the node's hooks around it. asked: as of `Node.run`."""
    prehooks = node.__dict__.get("_prehooks")
    if prehooks:
        for hook in list(prehooks.values()):
            changed = hook(tuple(arriving))
            if changed is not None:
                arriving = list(changed) if isinstance(changed, tuple) else [changed]
    if node.undefined_as_zeros:
        for number, gradient in enumerate(arriving):
            if gradient is None:
                shape, dtype = node.metas[number]
                arriving[number] = from_data(np.zeros(shape, dtype))
    sent = node.run(arriving, asked)
    if sent.__class__ is not tuple:
        sent = (sent,) if sent is None or isinstance(sent, Tensor) else tuple(sent)
    if node.hooks:
        for hook in list(node.hooks.values()):
            changed = hook(sent, tuple(arriving))
            if changed is not None:
                sent = changed if isinstance(changed, tuple) else (changed,)
    return sent


def _fitted(node: Node, edge: Any, gradient: Tensor) -> Tensor:
    """The gradient in the shape and dtype of what it is the gradient of."""
    target, number = edge
    if isinstance(target, Node):
        shape, dtype = target.metas[number]
    else:
        array = target._data
        shape, dtype = array.shape, array.dtype
    array = gradient._data
    if array.shape != shape:
        from .reduction import sum_to, sums_to

        if not sums_to(array.shape, shape):
            index = node.edges.index(edge)
            raise RuntimeError(
                f"Function {node.name()} returned an invalid gradient at index {index} - got "
                f"{list(array.shape)} but expected shape compatible with {list(shape)}"
            )
        gradient = sum_to(gradient, shape)
    if array.dtype is not dtype and array.dtype != dtype:
        from .casting import cast

        if array.dtype.kind == "c" and dtype.kind != "c":
            gradient = gradient.real
        gradient = cast(gradient, dtype)
    return gradient


def _leaf_hooks(leaf: Tensor, gradient: Tensor) -> Tensor:
    if leaf._hooks:
        for hook in list(leaf._hooks.values()):
            gradient = hooked(hook, gradient)
    return gradient


def _count_references(_leaf: Any, gradient: Any, _flag: bool) -> int:
    return sys.getrefcount(gradient)


def _accumulate(leaf: Tensor, gradient: Tensor, create_graph: bool) -> None:
    """Add to `.grad`. The first gradient is taken over if nobody else holds it, else copied."""
    before = leaf.grad
    if create_graph:
        leaf.grad = gradient.clone() if before is None else before + gradient
    elif before is None:
        array = gradient._data
        shared = is_shared(array) or sys.getrefcount(gradient) > _ALONE or sys.getrefcount(array) > _HELD
        # In the leaf's own memory order, so that optimisers walk both in step.
        leaf.grad = from_data(array.copy() if shared else array)
    else:
        np.add(before._data, gradient._data, out=before._data)
        before._vbox[0] += 1
    hooks = leaf.__dict__.get("_post_accumulate")
    if hooks:
        for hook in list(hooks.values()):
            hook(leaf)


def _held_references() -> int:
    array = np.empty(1)
    holder = [array]
    return sys.getrefcount(array) if holder else 0


def _alone_references() -> int:
    """How many references `_accumulate` sees to a gradient that only its caller holds."""
    gradient = from_data(np.empty(1))
    return _count_references(None, gradient, False)


# Counted here rather than written down: interpreters differ in what a call adds.
_ALONE = _alone_references()
_HELD = _held_references()
