"""Note 4, "Conv2d 的记录与理解": strides and dilation, groups on a photograph, conv1d by hand. Only the import lines differ."""

# 1. Demo
import convforge as torch
import convforge.nn as nn

# With square kernels and equal stride
m = nn.Conv2d(16, 33, 3, stride=2)
input = torch.randn(20, 16, 50, 100)
print("square kernels and equal stride:", m(input).shape)
# non-square kernels and unequal stride and with padding
m = nn.Conv2d(16, 33, (3, 5), stride=(2, 1), padding=(4, 2))
print("non-square kernels, unequal stride, padding:", m(input).shape)
# non-square kernels and unequal stride and with padding and dilation
m = nn.Conv2d(16, 33, (3, 5), stride=(2, 1), padding=(4, 2), dilation=(3, 1))
output = m(input)
print("the same with dilation:", output.shape)

# 2.1 groups 参数示例 demo
import numpy as np
from tools import cv2
from tools import pyplot as plt

import convforge as torch
import convforge.nn as nn

torch.manual_seed(0)  # the note has no seed: with one, its numbers can be compared

img = cv2.imread('test.jpg')
img_224 = cv2.resize(img, (224, 224), cv2.INTER_LINEAR)
img_224 = cv2.cvtColor(img_224, cv2.COLOR_BGR2RGB)

img_tensor = torch.from_numpy(np.moveaxis(img_224 / (255. if img_224.dtype == np.uint8 else 1), -1, 0).astype(np.float32))
inputs = torch.unsqueeze(img_tensor, 0)

conv = nn.Conv2d(in_channels=3, out_channels=6, kernel_size=7, stride=2, padding=3, groups=3, bias=False)
nn.init.xavier_uniform_(conv.weight.data, gain=nn.init.calculate_gain('relu'))
print(conv.weight.data.size())
print(conv.weight.data)

output=conv(inputs)
print(output)

for k in range(6):
    plt.subplot(2, 3, k + 1).imshow(output[0, k].detach().numpy(), cmap='gray')
plt.show()

# 3.1 以 conv1d 举例说明卷积过程的计算
import convforge as torch
import convforge.nn as nn
import convforge.nn.functional as F
from convforge.autograd import Variable


print("conv1d sample")

a=range(16)
x = Variable(torch.Tensor(a))
x=x.view(1,1,16)
print("x variable:", x)

b=torch.ones(3)
b[0]=0.1
b[1]=0.2
b[2]=0.3
weights = Variable(b) #torch.randn(1,1,2,2)) #out_channel*in_channel*H*W
weights=weights.view(1,1,3)
print ("weights:",weights)

y=F.conv1d(x, weights, padding=0)
print ("y:",y)

# 它是怎么计算的: the note's two equations, and the same for every other window.
for window in range(14):
    terms = [(int(x[0, 0, window + k]), round(float(weights[0, 0, k]), 1)) for k in range(3)]
    total = sum(pixel * weight for pixel, weight in terms)
    print("+".join(f"{pixel}x{weight}" for pixel, weight in terms) + f"={round(total, 1)}")
    assert abs(total - float(y[0, 0, window])) < 1e-5
