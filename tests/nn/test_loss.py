"""Losses against PyTorch: targets of every kind, weights, reductions, gradients, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.beside_torch import compare, distinct, normal, our_functional, ours, same_error, same_text

SHAPES = [(5,), (4, 5), (2, 5, 3), (2, 5, 3, 2)]
REDUCTIONS = ["none", "mean", "sum"]


def targets(shape: tuple[int, ...], ignored: bool = False) -> Any:
    lead = shape[:1] if len(shape) > 1 else ()
    found = np.random.default_rng(5).integers(0, 5, size=(*lead, *shape[2:]))
    if ignored and found.ndim:
        found.reshape(-1)[0] = 2
    return np.asarray(found)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_of_classes(
    shape: tuple[int, ...], reduction: str, weighted: bool, smoothing: float
) -> None:
    target, weight = targets(shape, ignored=True), np.array([0.2, 1, 3, 0.5, 2])

    def call(F: Any, x: Any, t: Any, w: Any) -> Any:
        return F.cross_entropy(
            x,
            t,
            w.detach() if weighted else None,
            ignore_index=2,
            reduction=reduction,
            label_smoothing=smoothing,
        )

    compare(call, normal(*shape) * 3, target, weight)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_of_probabilities(shape: tuple[int, ...], reduction: str, smoothing: float) -> None:
    target = np.abs(normal(*shape, seed=3))
    weight = np.array([0.2, 1, 3, 0.5, 2])
    compare(
        lambda F, x, t: F.cross_entropy(x, t, reduction=reduction, label_smoothing=smoothing),
        normal(*shape),
        target,
        double=False,
    )
    compare(
        lambda F, x, t, w: F.cross_entropy(
            x, t.detach(), w.detach(), reduction=reduction, label_smoothing=smoothing
        ),
        normal(*shape),
        target,
        weight,
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll(shape: tuple[int, ...], reduction: str) -> None:
    weight = np.array([0.2, 1, 3, 0.5, 2])
    compare(lambda F, x, t: F.nll_loss(x, t, reduction=reduction), normal(*shape), targets(shape))
    compare(
        lambda F, x, t, w: F.nll_loss(x, t, w.detach(), ignore_index=1, reduction=reduction),
        normal(*shape),
        targets(shape),
        weight,
    )


def test_float32_and_huge_logits() -> None:
    x = np.array([[1e4, -1e4, 0], [80, 90, 100]], dtype="float32")
    compare(lambda F, x, t: F.cross_entropy(x, t), x, np.array([1, 2]))
    compare(lambda F, x, t: F.cross_entropy(x, t, ignore_index=0), x, np.array([0, 0]), double=False)


ELEMENTWISE = [
    "mse_loss(x, t)",
    "l1_loss(x, t)",
    "smooth_l1_loss(x, t)",
    "smooth_l1_loss(x, t, beta=0.3)",
    "smooth_l1_loss(x, t, beta=0)",
    "huber_loss(x, t)",
    "huber_loss(x, t, delta=0.4)",
    "soft_margin_loss(x, t.detach())",
    "binary_cross_entropy_with_logits(x, t)",
    "poisson_nll_loss(x, t)",
    "kl_div(x, t, log_target=True)",
]


@pytest.mark.parametrize("text", ELEMENTWISE)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.filterwarnings("ignore:reduction:UserWarning")
def test_elementwise(text: str, reduction: str) -> None:
    code = compile(f"F.{text[:-1]}, reduction={reduction!r})", text, "eval")
    compare(
        lambda F, x, t: eval(code, {"F": F, "x": x, "t": t}),
        distinct(3, 4),
        distinct(3, 4, seed=9) * 0.9,
        double=True,
    )


@pytest.mark.parametrize("reduction", ["none", "mean", "sum", "batchmean"])
@pytest.mark.filterwarnings("ignore:reduction:UserWarning")
def test_kl_div(reduction: str) -> None:
    target = np.abs(normal(3, 4))
    target[0, 0] = 0
    compare(lambda F, x, t: F.kl_div(x, t.detach(), reduction=reduction), normal(3, 4, seed=1), target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy(reduction: str) -> None:
    rng = np.random.default_rng(0)
    x, t, w = rng.random((3, 4)), rng.random((3, 4)), rng.random(4)
    compare(
        lambda F, x, t, w: F.binary_cross_entropy(x, t, w.detach(), reduction=reduction),
        x,
        t,
        w,
        double=False,
    )
    compare(
        lambda F, x, t: F.binary_cross_entropy(x, t.detach(), reduction=reduction), x, t, precision="float32"
    )
    edges = np.array([0.0, 1.0, 0.0, 1.0])
    compare(
        lambda F, x, t: F.binary_cross_entropy(x, t.detach(), reduction=reduction),
        edges,
        edges[::-1].copy(),
        double=False,
        precision="float32",
    )
    compare(
        lambda F, x, t, w: F.binary_cross_entropy_with_logits(
            x, t, w.detach(), pos_weight=(w * 3).detach(), reduction=reduction
        ),
        normal(3, 4) * 30,
        t,
        w,
    )


def test_weights_of_elementwise_losses() -> None:
    x, t, w = normal(3, 4), normal(3, 4, seed=1), np.abs(normal(3, 4, seed=2))
    for name in ("mse_loss", "l1_loss", "huber_loss"):
        compare(lambda F, x, t, w, name=name: getattr(F, name)(x, t, weight=w), x, t, w)


def test_broadcast_warns() -> None:
    with pytest.warns(UserWarning, match="Using a target size"):
        our_functional.mse_loss(ours.zeros(2, 3), ours.zeros(3))


def test_old_arguments_warn() -> None:
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        assert ours.nn.MSELoss(size_average=False).reduction == "sum"


def test_one_hot_and_similarity() -> None:
    compare(lambda F, t: F.one_hot(t), np.array([[0, 2], [1, 1]]))
    compare(lambda F, t: F.one_hot(t, 5), np.array([[0, 2], [1, 1]]))
    compare(lambda F, a, b: F.cosine_similarity(a, b), normal(3, 4), normal(3, 4, seed=1), double=False)
    compare(lambda F, a, b: F.pairwise_distance(a, b), normal(3, 4), normal(3, 4, seed=1), double=False)


def test_plain_arrays() -> None:
    loss = our_functional.cross_entropy(normal(4, 3), np.array([0, 1, 2, 0]))
    assert isinstance(loss, np.ndarray)
    assert loss.shape == ()


@pytest.mark.parametrize(
    "text",
    [
        "CrossEntropyLoss()",
        "CrossEntropyLoss(label_smoothing=0.1)",
        "NLLLoss()",
        "MSELoss()",
        "L1Loss()",
        "SmoothL1Loss()",
        "HuberLoss()",
        "BCELoss()",
        "BCEWithLogitsLoss()",
        "KLDivLoss()",
        "SoftMarginLoss()",
    ],
)
def test_layers(text: str) -> None:
    same_text(lambda nn: eval(f"nn.{text}", {"nn": nn}))
    same_text(lambda nn: nn.Sequential(eval(f"nn.{text}", {"nn": nn})))


def test_layers_keep_their_weight() -> None:
    layer = ours.nn.CrossEntropyLoss(weight=ours.tensor([1.0, 2.0]))
    assert list(layer.state_dict()) == ["weight"]
    assert layer(ours.zeros(3, 2), ours.tensor([0, 1, 1])).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    "call",
    [
        lambda root, F: F.cross_entropy(root.zeros(2, 3), root.tensor([0, 3])),
        lambda root, F: F.cross_entropy(root.zeros(2, 3), root.tensor([0, -1])),
        lambda root, F: F.cross_entropy(root.zeros(2, 3), root.tensor([0, 1, 2])),
        lambda root, F: F.cross_entropy(root.zeros(2, 3), root.tensor([0.0, 1.0])),
        lambda root, F: F.cross_entropy(root.zeros(2, 3), root.zeros(2, 3, dtype=root.int64)),
        lambda root, F: F.cross_entropy(root.zeros(2, 3, 4), root.zeros(2, 5, dtype=root.int64)),
        lambda root, F: F.cross_entropy(root.zeros(2, 3), root.tensor([0, 1]), root.ones(2)),
        lambda root, F: F.cross_entropy(root.zeros(2, 3), root.tensor([0, 1]), reduction="average"),
        lambda root, F: F.cross_entropy(root.zeros(2, 3), root.tensor([0, 1]), label_smoothing=2.0),
        lambda root, F: F.nll_loss(root.zeros(2, 3), root.tensor([[0], [1]])),
        lambda root, F: F.binary_cross_entropy(root.full((2,), 2.0), root.ones(2)),
        lambda root, F: F.binary_cross_entropy(root.full((2,), 0.5), root.ones(3)),
        lambda root, F: F.binary_cross_entropy_with_logits(root.zeros(2), root.ones(3)),
        lambda root, F: F.smooth_l1_loss(root.zeros(2), root.ones(2), beta=-1.0),
        lambda root, F: F.huber_loss(root.zeros(2), root.ones(2), delta=0.0),
        lambda root, F: F.mse_loss(root.zeros(2), root.ones(2), reduction="average"),
        lambda root, F: F.one_hot(root.tensor([-1])),
        lambda root, F: F.one_hot(root.tensor([3]), 3),
        lambda root, F: F.one_hot(root.tensor([0.5])),
    ],
)
def test_errors(call: Any) -> None:
    same_error(call)
