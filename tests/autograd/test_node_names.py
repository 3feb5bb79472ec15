"""`grad_fn` is printed behind a tensor: PyTorch's names, also where we compute in other steps."""

import pytest

import convforge
from convforge.nn import functional as F

NAMES = {
    "MaskedFillBackward0": lambda x: x.masked_fill(x > 0, 1),
    "SplitBackward0": lambda x: x.chunk(2)[0],
    "UnbindBackward0": lambda x: x.unbind()[0],
    "StdBackward0": lambda x: x.std(),
    "TBackward0": lambda x: x.t(),
    "IndexSelectBackward0": lambda x: x.index_select(0, convforge.tensor([0])),
    "ReluBackward0": lambda x: F.relu(x),
    "HardtanhBackward0": lambda x: F.relu6(x),
    "LeakyReluBackward0": lambda x: F.leaky_relu(x),
    "SiluBackward0": lambda x: F.silu(x),
    "HardswishBackward0": lambda x: F.hardswish(x),
    "ConstantPadNdBackward0": lambda x: F.pad(x, (1, 1)),
    "ReflectionPad1DBackward0": lambda x: F.pad(x[None], (1, 1), mode="reflect"),
    "MaxPool2DWithIndicesBackward0": lambda x: F.max_pool2d(x[None], 2),
    "AvgPool2DBackward0": lambda x: F.avg_pool2d(x[None], 2),
    "MeanBackward1": lambda x: F.adaptive_avg_pool2d(x[None], 1),
    "AdaptiveAvgPool2DBackward0": lambda x: F.adaptive_avg_pool2d(x[None], 2),
    "AdaptiveMaxPool2DBackward0": lambda x: F.adaptive_max_pool2d(x[None], 1),
    "UpsampleNearest1DBackward0": lambda x: F.interpolate(x[None], scale_factor=2),
    "UpsampleBilinear2DBackward0": lambda x: F.interpolate(x[None, None], scale_factor=2, mode="bilinear"),
    "Im2ColBackward0": lambda x: F.unfold(x[None, None], 2),
    "PixelShuffleBackward0": lambda x: F.pixel_shuffle(x.reshape(1, 4, 1, -1), 2),
    "NativeBatchNormBackward0": lambda x: F.batch_norm(x, None, None, training=True),
    "NllLossBackward0": lambda x: F.cross_entropy(x, convforge.tensor([0, 1, 2, 3])),
    "MseLossBackward0": lambda x: F.mse_loss(x, x.detach()),
    "BinaryCrossEntropyWithLogitsBackward0": lambda x: F.binary_cross_entropy_with_logits(x, x.detach()),
}


@pytest.mark.parametrize("name", NAMES)
def test_name(name):
    x = convforge.ones(4, 4, requires_grad=True)
    result = NAMES[name](x)
    assert result.grad_fn.name() == name
    assert repr(result).endswith(f"grad_fn=<{name}>)")
