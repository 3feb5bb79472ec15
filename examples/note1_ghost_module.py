"""Note 1, "nn.Conv2d()函数详解": the Ghost module, printed. Only the import lines differ from the note's."""

import convforge as torch
import convforge.nn as nn
class GhostModule(nn.Module):
    def __init__(self, in_channels,out_channels,s=2, kernel_size=1,stride=1, use_relu=True):
        super(GhostModule, self).__init__()
        intrinsic_channels = out_channels//s
        ghost_channels = intrinsic_channels * (s - 1)

        self.primary_conv = nn.Sequential(
            nn.Conv2d(in_channels=in_channels, out_channels=intrinsic_channels, kernel_size=kernel_size, stride=stride,
                          padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(intrinsic_channels), # 对数据进行归一化处理
            nn.ReLU(inplace=True) if use_relu else nn.Sequential() #
        )

        self.cheap_op = DW_Conv3x3BNReLU(in_channels=intrinsic_channels, out_channels=ghost_channels, stride=stride,groups=intrinsic_channels)

    def forward(self, x):
        y = self.primary_conv(x)
        z = self.cheap_op(y)
        out = torch.cat([y, z], dim=1)
        return out
def DW_Conv3x3BNReLU(in_channels,out_channels,stride,groups=1):
    return nn.Sequential(
            nn.Conv2d(in_channels=in_channels, out_channels=out_channels, kernel_size=3, stride=stride, padding=1,groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(inplace=True)
        )

model = GhostModule(3,16)
print(model)


# The note stops at the printed structure; here the module also runs.
print(model(torch.randn(1, 3, 32, 32)).shape)

# The note's arithmetic on padding, O = (I - K + 2P) / S + 1, and its example: padding=1 makes 32 x 32 into 34 x 34.
print(nn.ZeroPad2d(1)(torch.zeros(1, 3, 32, 32)).shape)
print(nn.Conv2d(3, 8, kernel_size=(3, 5), padding=1)(torch.zeros(1, 3, 32, 32)).shape)
