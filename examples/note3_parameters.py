"""Note 3, "nn.Conv2d详解及参数设置原则": each parameter's example, and what the note says of it, shown on a 32 x 32 RGB image."""

import convforge as torch
import convforge.nn as nn

image = torch.randn(1, 3, 32, 32)


def show(says, *layers):
    x, sizes = image, [tuple(image.shape)]
    for layer in layers:
        x = layer(x)
        sizes.append(tuple(x.shape))
    parameters = sum(p.numel() for layer in layers for p in layer.parameters())
    print(says)
    for layer in layers:
        print("   ", layer)
    print("   ", " -> ".join(map(str, sizes)), f"{parameters} parameters")


print("基础参数")
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3)
show("1. in_channels: RGB图像的输入通道数为 3", conv1)
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3)
show("2. out_channels: 卷积层会生成 64 个特征图", conv1)
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3)
show("3. kernel_size: 卷积核的大小是 3x3", conv1)
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, stride=2)
show("4. stride: 每次滑动 2 个像素, 宽度和高度都将减半", conv1)
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, padding=1)
show("5. padding: 保持输出特征图的尺寸与输入图像相同", conv1)
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, padding="same")
show("   padding='same'", conv1)
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, dilation=2)
show("6. dilation: 感受野扩大, 参数量不变", conv1)
conv1 = nn.Conv2d(in_channels=3, out_channels=6, kernel_size=3, groups=3)
show("7. groups: 3 个通道分成 3 组, 每组一个卷积核", conv1)
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, bias=True)
show("8. bias: 卷积层会包含偏置", conv1)

print("如何设置参数?")
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3)
conv2 = nn.Conv2d(in_channels=64, out_channels=128, kernel_size=3)
show("1. in_channels 和 out_channels: 逐步增加", conv1, conv2)
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3) # 常见的3x3卷积
conv2 = nn.Conv2d(in_channels=64, out_channels=128, kernel_size=5) # 较大的卷积核
show("2. kernel_size", conv1, conv2)
# The note's reason for 3x3: two of them see 5x5 pixels, as one 5x5 does, with fewer parameters.
show("   一个 5x5", nn.Conv2d(3, 3, 5, bias=False))
show("   两个 3x3", nn.Conv2d(3, 3, 3, bias=False), nn.Conv2d(3, 3, 3, bias=False))
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, stride=2) # 下采样
conv2 = nn.Conv2d(in_channels=64, out_channels=128, kernel_size=3, stride=1) # 特征提取
show("3. stride", conv1, conv2)
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, padding=1) # 输出尺寸不变
conv2 = nn.Conv2d(in_channels=64, out_channels=128, kernel_size=3, padding=0) # 输出尺寸缩小
show("4. padding", conv1, conv2)
conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, dilation=2) # 膨胀卷积
show("5. dilation", conv1)

print("6. groups")
# The note's line cannot run, here or in PyTorch: 3 groups do not divide 64 channels.
try:
    conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, groups=3) # 分组卷积
except ValueError as error:
    print("    ValueError:", error)
conv1 = nn.Conv2d(in_channels=3, out_channels=66, kernel_size=3, groups=3) # 分组卷积
show("   out_channels=66", conv1)

conv1 = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3, bias=True)
show("7. bias: 默认情况下, bias=True 是常见的设置", conv1)
