"""A model followed by shape says what running it gives, and leaves it as it was."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import convforge as torch
from convforge import nn
from convforge.autograd.node import Node
from convforge.explain import ModuleCall, trace_model
from convforge.nn import functional as F
from support.nets import NETS


def calls(call: ModuleCall) -> Iterator[ModuleCall]:
    """In the order in which they end, as forward hooks see them."""
    for child in call.children:
        yield from calls(child)
    yield call


def tensors(value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [each for inner in value for each in tensors(inner)] if isinstance(value, list | tuple) else []


def made(name: str) -> tuple[nn.Module, list[Any], list[tuple[int, ...]]]:
    builder, shapes = NETS[name]
    torch.manual_seed(0)
    return builder(), [torch.rand(*shape) + 0.1 for shape in shapes], list(shapes)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", NETS)
def test_shapes_are_those_of_a_run(name, training) -> None:
    model, inputs, shapes = made(name)
    model.train(training)
    facts = trace_model(model, shapes)
    seen = []
    for path, module in model.named_modules():
        module.register_forward_hook(
            lambda module, args, out, path=path: seen.append((path, [tuple(t.shape) for t in tensors(out)]))
        )
    with torch.no_grad():
        model(*inputs)
    assert facts.stopped is None
    assert [(call.path, list(call.outputs)) for call in calls(facts.root)] == seen
    parameters = {id(p): p for p in model.parameters()}
    assert facts.parameters == sum(p.numel() for p in parameters.values())
    assert facts.buffer_bytes == sum(b.numpy().nbytes for b in model.buffers())
    unused = sum(p.numel() for path in facts.unused for p in model.get_submodule(path).parameters())
    assert facts.root.total("parameters") == facts.parameters - unused


def state(model: nn.Module) -> dict[str, Any]:
    """All that a model is: its modules' dicts with the identity, values, versions and grads of tensors."""

    def plain(value: Any) -> Any:
        if isinstance(value, nn.Module):
            return id(value)
        if isinstance(value, torch.Tensor):
            if isinstance(value, nn.UninitializedParameter | nn.UninitializedBuffer):
                return (id(value), type(value))
            return (
                id(value), type(value), value._data.tobytes(), value._vbox[0], value.requires_grad,
                None if value.grad is None else value.grad.numpy().tobytes(),
            )  # fmt: skip
        if isinstance(value, dict):
            return {name: plain(each) for name, each in value.items()}
        if isinstance(value, list | tuple | set):
            return (id(value), [plain(each) for each in value])
        return value if isinstance(value, int | float | str | bool) else id(value)

    return {path: (type(module), plain(vars(module))) for path, module in model.named_modules()}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", NETS)
def test_nothing_in_the_model_changes(name, training) -> None:
    model, _, shapes = made(name)
    model.train(training)
    for parameter in model.parameters():
        if not isinstance(parameter, nn.UninitializedParameter):
            parameter.grad = torch.ones_like(parameter)
    before = state(model)
    draws = torch.get_rng_state().numpy().tobytes(), random.getstate(), pickle.dumps(np.random.get_state())
    trace_model(model, shapes)
    assert state(model) == before
    after = torch.get_rng_state().numpy().tobytes(), random.getstate(), pickle.dumps(np.random.get_state())
    assert after == draws


class Careless(nn.Module):
    """Draws, counts, appends, sets and raises."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.fails, self.seen, self.count, self.cache = fails, [], 0, {}
        self.parts = [nn.Conv2d(4, 4, 1), {"again": self.norm}]

    def forward(self, x):
        self.seen.append(x)
        self.count += 1
        self.cache["x"] = x
        self.register_buffer("late", torch.zeros(1))
        random.random(), np.random.rand(), torch.rand(3)
        self.conv.weight.add_(1)
        self.training = not self.training
        y = self.parts[1]["again"](self.parts[0](self.norm(self.conv(x))))
        if self.fails:
            raise KeyError("on purpose")
        return y + torch.rand(1)


@pytest.mark.parametrize("fails", [True, False])
def test_a_careless_model_leaves_no_trace(fails) -> None:
    model = Careless(fails)
    model.conv.register_forward_hook(lambda *_: pytest.fail("a hook was run"))
    before = state(model)
    draws = torch.get_rng_state().numpy().tobytes(), random.getstate(), pickle.dumps(np.random.get_state())
    if fails:
        with pytest.raises(KeyError, match="on purpose") as caught:
            trace_model(model, (1, 3, 8, 8))
        assert "Careless" in caught.value.__notes__[0]
    else:
        facts = trace_model(model, (1, 3, 8, 8))
        assert facts.root.outputs == ((1, 4, 6, 6),)
        assert any("hooks are not run" in str(note) for call in calls(facts.root) for note in call.notes)
    assert state(model) == before
    after = torch.get_rng_state().numpy().tobytes(), random.getstate(), pickle.dumps(np.random.get_state())
    assert after == draws


def test_a_mistake_names_the_module() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3)))
    with pytest.raises(RuntimeError, match="channels") as caught:
        trace_model(model, (1, 3, 8, 8))
    assert caught.value.__notes__ == ["in 1.1 (Conv2d), input [1, 8, 6, 6]"]
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        trace_model(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), (1, 3, 2, 2))
    with pytest.raises(RuntimeError, match="broadcast"):
        trace_model(Sum(), [(1, 3, 4), (1, 2, 4)])
    with pytest.raises(RuntimeError, match="differ in more than"):
        trace_model(Joined(), [(1, 3, 4), (1, 2, 5)])


class Sum(nn.Module):
    def forward(self, x, y):
        return x + y


class Joined(nn.Module):
    def forward(self, x, y):
        return torch.cat([x, y], 1)


class Decides(nn.Module):
    def __init__(self, how: Any) -> None:
        super().__init__()
        self.conv, self.how = nn.Conv2d(3, 4, 3, padding=1), how

    def forward(self, x):
        return self.how(self.conv(x))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda y: y if y.sum() > 0 else -y, "bool reads values"),
        (lambda y: y * y.mean().item(), "item reads values"),
        (lambda y: y[y > 0], "getitem reads values"),
        (lambda y: torch.from_numpy(np.sin(y.numpy())), "numpy reads values"),
        (lambda y: torch.as_tensor(np.asarray(y)), "array"),
        (lambda y: torch.ones(4, 8, 8).add(y), "values of a tensor are read"),
    ],
)
def test_what_needs_values_is_named(how, words) -> None:
    facts = trace_model(Decides(how), (1, 3, 8, 8))
    assert facts.stopped is not None
    path, reason = facts.stopped
    assert path == ""
    assert words in str(reason)
    assert reason("zh") != str(reason)
    # What came before is known.
    assert facts.root.children[0].outputs == ((1, 4, 8, 8),)
    assert facts.root.outputs == ()


def test_an_unknown_function_keeps_the_shape_and_says_what_is_lost() -> None:
    facts = trace_model(Decides(lambda y: F.unfold(y, 3).cumsum(1)), (1, 3, 8, 8))
    assert facts.root.outputs == ((1, 36, 36),)
    assert [str(seen.reason) for seen in facts.root.seen] == [
        "receptive fields are not followed through unfold"
    ] * 2


def test_shared_modules_and_tied_weights_count_once() -> None:
    model, _, shapes = made("Shared")
    facts = trace_model(model, shapes)
    rows = [(call.path, call.again, call.own_parameters) for call in calls(facts.root)]
    assert rows == [("conv", False, 84), ("conv", True, 0), ("twin", False, 3), ("", False, 0)]
    assert facts.parameters == 84 + 3 + 20
    assert facts.unused == ("spare",)
    assert facts.root.total("multiply_adds") == 81 * (100 + 64 + 36)


def test_frozen_parameters_are_apart() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1))
    model[0].requires_grad_(False)
    facts = trace_model(model, (1, 3, 8, 8))
    assert (facts.parameters, facts.frozen) == (20, 112)
    assert [call.own_frozen for call in calls(facts.root)] == [112, 0, 0]


def test_peak_is_what_is_alive() -> None:
    """Each activation is 4 KiB; the caller holds the input all the time."""
    layers = [nn.Conv2d(4, 4, 3, padding=1) for _ in range(4)]

    class Residual(nn.Sequential):
        def forward(self, x):
            y = kept = self[0](x)
            for layer in self[1:]:
                y = layer(y)
            return y + kept

    def peak(model: nn.Module) -> int:
        facts = trace_model(model, (1, 4, 16, 16))
        assert facts.input_bytes == 4096
        return facts.peak_bytes // 4096

    assert peak(nn.Sequential(*layers)) == 3  # the input, and of each layer input and output
    assert peak(Residual(*layers)) == 4
    assert peak(nn.Sequential(layers[0], nn.ReLU())) == 3
    assert peak(nn.Sequential(layers[0], nn.ReLU(inplace=True))) == 2
    assert peak(nn.Sequential(nn.Flatten(), nn.Identity(), nn.Dropout(0.0))) == 1


@pytest.mark.parametrize("name", [name for name in NETS if name not in ("TwoInputs", "lazy")])
def test_what_training_keeps_is_what_the_graph_holds(name) -> None:
    model, inputs, shapes = made(name)
    facts = trace_model(model, shapes)
    own = {id(base(each._data)) for each in (*model.parameters(), *model.buffers())}
    held: dict[int, int] = {}
    todo, visited = [model(*inputs).grad_fn], set()
    while todo:
        node = todo.pop()
        if not isinstance(node, Node) or id(node) in visited:
            continue
        visited.add(id(node))
        for array in arrays([[entry[1] for entry in node._saved or ()], node.__dict__]):
            if array.ndim > 1 and id(base(array)) not in own:
                held[id(base(array))] = base(array).nbytes
        todo += [edge[0] for edge in node.edges if edge]
    # Besides activations, nodes hold statistics and sizes of windows: small, and not counted.
    assert 0.93 * sum(held.values()) <= facts.training_bytes <= sum(held.values())


def base(array: Any) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def arrays(value: Any) -> Iterator[Any]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, torch.Tensor):
        yield value._data
    elif isinstance(value, dict):
        for each in value.values():
            yield from arrays(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from arrays(each)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from arrays(getattr(value, name))


def test_counts_of_products() -> None:
    facts = trace_model(nn.Linear(5, 3), (7, 5))
    root = facts.root
    assert (root.own_multiply_adds, root.own_additions, root.own_bias_additions) == (105, 84, 21)

    class Product(nn.Module):
        def forward(self, x):
            return x @ x.transpose(1, 2)

    assert trace_model(Product(), (2, 3, 5)).root.own_multiply_adds == 2 * 3 * 3 * 5


def test_a_huge_model_takes_no_memory() -> None:
    """Activations of 4 TB and a picture of a gigapixel."""
    model = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 8, 1))
    facts = trace_model(model, (512, 3, 32768, 32768))
    assert facts.root.outputs == ((512, 8, 16384, 16384),)
    assert facts.peak_bytes > 2 * 512 * 64 * 32768**2 * 4


def test_large_reshapes_are_followed_by_sizes() -> None:
    """As small ones are by positions."""

    class Tokens(nn.Module):
        def forward(self, x):
            y = x.reshape(x.shape[0], 4, 2, *x.shape[2:]).flatten(1, 2)
            return y, y.flatten(2), F.pixel_shuffle(y, 2)

    small, large = (trace_model(Tokens(), (batch, 8, 16, 16)) for batch in (2, 1 << 20))
    assert [out[1:] for out in large.root.outputs] == [out[1:] for out in small.root.outputs]
    assert large.root.seen == small.root.seen

    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten(2)

    assert (
        trace_model(Flat(), (1 << 20, 8, 16, 16)).root.seen == trace_model(Flat(), (2, 8, 16, 16)).root.seen
    )
    unknown = trace_model(Decides(lambda y: F.unfold(y, 3)), (1 << 16, 3, 64, 64))
    assert unknown.stopped is not None
    assert "too large to try" in str(unknown.stopped[1])


def test_a_class_that_counts_its_subclasses_counts_no_more() -> None:
    known = []

    class Registered(nn.Module):
        def __init_subclass__(cls) -> None:
            known.append(cls)

    class Own(Registered):
        def forward(self, x):
            return x

    assert trace_model(Own(), (1, 3)).root.outputs == ((1, 3),)
    assert known == [Own]


@pytest.mark.parametrize(
    ("size", "words"),
    [((), "must be a shape"), ((1, "3"), "must be a shape"), ([(1, -3)], "must be a shape")],
)
def test_sizes_are_checked(size, words) -> None:
    with pytest.raises(RuntimeError, match=words):
        trace_model(nn.Identity(), size)


def test_what_is_no_model() -> None:
    with pytest.raises(TypeError, match=r"must be a convforge\.nn\.Module"):
        trace_model("Conv2d(3, 8, 3)", (1, 3, 8, 8))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="names 2 dtypes"):
        trace_model(nn.Identity(), (1, 3), dtype=["float32", "int64"])
