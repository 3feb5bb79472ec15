"""Note 2, "nn网络层-卷积层": a photograph through Conv2d and ConvTranspose2d, with the note's seeds 2, 1 and 3.

The note edits its seed and its flags between runs; here they are arguments. Otherwise only the import lines and the photograph's path differ.
"""

import os
os.environ["KMP_DUPLICATE_LIB_OK"]="TRUE"
import convforge.nn as nn
from PIL import Image
from tools import transforms
from tools import pyplot as plt
from tools.common_tools import transform_invert, set_seed
from tools.photograph import photograph


def lesson(seed, transposed):
    set_seed(seed)  # 设置随机种子

    # ================================= load img ==================================
    path_img = photograph("lena.png")
    img = Image.open(path_img).convert('RGB')  # 0~255

    # convert to tensor
    img_transform = transforms.Compose([transforms.ToTensor()])
    img_tensor = img_transform(img)
    img_tensor.unsqueeze_(dim=0)    # C*H*W to B*C*H*W

    # ================================= create convolution layer ==================================

    # ================ 2d
    flag = not transposed
    if flag:
        conv_layer = nn.Conv2d(3, 1, 3)   # input:(i, o, size) weights:(o, i , h, w)
        nn.init.xavier_normal_(conv_layer.weight.data)

        # calculation
        img_conv = conv_layer(img_tensor)

    # ================ transposed
    flag = transposed
    if flag:
        conv_layer = nn.ConvTranspose2d(3, 1, 3, stride=2)   # input:(i, o, size)
        nn.init.xavier_normal_(conv_layer.weight.data)

        # calculation
        img_conv = conv_layer(img_tensor)


    # ================================= visualization ==================================
    print("卷积前尺寸:{}\n卷积后尺寸:{}".format(img_tensor.shape, img_conv.shape))
    img_conv = transform_invert(img_conv[0, 0:1, ...], img_transform)
    img_raw = transform_invert(img_tensor.squeeze(), img_transform)
    plt.subplot(122).imshow(img_conv, cmap='gray')
    plt.subplot(121).imshow(img_raw)
    plt.show()


print("随机种子为2时:")
lesson(2, transposed=False)
print("随机种子为1时:")
lesson(1, transposed=False)
print("随机种子为3时:")
lesson(3, transposed=False)
print("nn.ConvTranspose2d:")
lesson(2, transposed=True)
