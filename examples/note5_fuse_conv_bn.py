"""Note 5, "padding_mode": the four modes, its `fuse_conv_bn` as it stands, and its 32 x 32 shape. Only the import lines differ."""

import convforge as torch
import convforge.nn as nn

torch.manual_seed(0)

# padding_mode: the note names zeros, reflect and circular; replicate is the fourth.
row = torch.arange(1.0, 6.0).view(1, 1, 5)
for padding_mode in ("zeros", "reflect", "replicate", "circular"):
    padded = nn.Conv1d(1, 1, 1, padding=2, padding_mode=padding_mode, bias=False)
    nn.init.ones_(padded.weight)
    print(f"{padding_mode:>9}:", padded(row).flatten().tolist())


class Fuser:
    def fuse_conv_bn(self, conv, bn):
        std = (bn.running_var + bn.eps).sqrt()
        bias = bn.bias - bn.running_mean * bn.weight / std

        t = (bn.weight / std).reshape(-1, 1, 1, 1)
        weights = conv.weight * t

        bn = nn.Identity()
        conv = nn.Conv2d(in_channels=conv.in_channels,
                         out_channels=conv.out_channels,
                         kernel_size=conv.kernel_size,
                         stride=conv.stride,
                         padding=conv.padding,
                         dilation=conv.dilation,
                         groups=conv.groups,
                         bias=True,
                         padding_mode=conv.padding_mode)

        conv.weight = torch.nn.Parameter(weights)
        conv.bias = torch.nn.Parameter(bias)
        return conv


def used_batch_norm(channels):
    """A batch norm in evaluation mode that is not the identity."""
    bn = nn.BatchNorm2d(channels)
    nn.init.uniform_(bn.weight, 0.5, 1.5)
    nn.init.normal_(bn.bias)
    bn.running_mean.normal_()
    bn.running_var.uniform_(0.5, 2.0)
    return bn.eval()


def largest_error(fused, conv, bn, x):
    return (fused(x) - bn(conv(x))).abs().max().item()


x = torch.randn(2, 4, 16, 16)
for groups, mode in ((1, "zeros"), (2, "zeros"), (4, "reflect")):
    conv, bn = nn.Conv2d(4, 8, 3, padding=1, groups=groups, padding_mode=mode, bias=False), used_batch_norm(8)
    fused = Fuser().fuse_conv_bn(conv, bn)
    print(f"fuse_conv_bn, groups={groups}, {mode}: largest error {largest_error(fused, conv, bn, x):.1e}")

# The note's method forgets conv.bias: right before batch normalisation only where bias=False, as note 3 advises.
conv, bn = nn.Conv2d(4, 8, 3, padding=1), used_batch_norm(8)
fused = Fuser().fuse_conv_bn(conv, bn)
print(f"the note's method on a layer with a bias: largest error {largest_error(fused, conv, bn, x):.1e}")
fused = nn.utils.fuse_conv_bn_eval(conv.eval(), bn)
print(f"nn.utils.fuse_conv_bn_eval on the same: largest error {largest_error(fused, conv, bn, x):.1e}")


# torch.nn.Conv2d的详细用法
# 定义输入张量
x = torch.randn(1, 3, 32, 32)

# 定义卷积层
conv = torch.nn.Conv2d(3, 16, kernel_size=3, stride=1, padding=1)

# 进行卷积操作
out = conv(x)

# 输出张量形状
print(out.shape) # torch.Size([1, 16, 32, 32])
