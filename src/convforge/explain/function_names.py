"""Functions of tensors by what they do to shapes, under PyTorch's names; methods and operators too."""

from __future__ import annotations


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ELEMENTWISE = _names("""
    add sub rsub mul div pow maximum minimum where lerp addcmul addcdiv fmod remainder floor_divide
    eq ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor
    bitwise_not isclose isnan isinf isfinite masked_fill clamp clamp_min clamp_max neg abs square sqrt rsqrt
    exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh sigmoid tanh erf reciprocal
    sign sgn floor ceil trunc round frac nan_to_num clone
    subtract multiply divide true_divide negative absolute clip
    __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __floordiv__ __rfloordiv__
    __mod__ __rmod__ __pow__ __rpow__ __and__ __rand__ __or__ __ror__ __xor__ __rxor__ __neg__ __pos__ __abs__
    __invert__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__
""")
"""Of tensors that broadcast."""

COMPARISONS = frozenset(_names("""
    eq ne lt le gt ge logical_and logical_or logical_xor logical_not isclose isnan isinf isfinite
    __eq__ __ne__ __lt__ __le__ __gt__ __ge__
"""))  # fmt: skip
"""Those of them that give bools."""

OF_FIRST = _names("""
    relu relu6 hardtanh leaky_relu prelu elu celu selu gelu silu mish softplus softsign tanhshrink softshrink
    hardshrink hardsigmoid hardswish logsigmoid threshold batch_norm instance_norm layer_norm group_norm
    rms_norm local_response_norm normalize dropout dropout1d dropout2d dropout3d alpha_dropout
    feature_alpha_dropout softmax log_softmax softmin gumbel_softmax cumsum cumprod
""")
"""Whose result has the shape of the first argument."""

DROPOUTS = frozenset(_names("dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout"))
ALONG = frozenset(_names("softmax log_softmax softmin gumbel_softmax cumsum cumprod normalize"))
"""Of those, the ones of which every element sees all along a dimension."""

SAME = _names("contiguous detach detach_ cpu requires_grad_ positive data")
"""Which give what they got."""

KEEPS_RESULT = frozenset(_names("""
    relu relu6 hardtanh leaky_relu sigmoid tanh exp exp2 sqrt rsqrt reciprocal softmax log_softmax softmin
    __rtruediv__ celu elu selu
"""))  # fmt: skip
"""Whose backward reads the result."""

KEEPS_OPERANDS = frozenset(_names("""
    mul div pow lerp addcmul addcdiv multiply divide __mul__ __rmul__ __truediv__ __pow__ maximum minimum abs
    square log log2 log10 log1p sin cos tan gelu silu mish softplus softsign hardswish hardsigmoid logsigmoid
    prelu batch_norm instance_norm layer_norm group_norm rms_norm local_response_norm normalize clamp erf
"""))  # fmt: skip
"""Whose backward reads the operands. That of any other function reads neither."""

PRODUCTS = frozenset(_names("mul div multiply divide __mul__ __rmul__ __truediv__ lerp"))
"""Of those, the ones that read nothing where the other operand is a number."""

REDUCTIONS = _names("""
    sum mean prod var std amax amin logsumexp all any norm nansum nanmean argmax argmin count_nonzero
""")

VALUES = _names("""
    item tolist numpy __bool__ __float__ __int__ __index__ __complex__ __array__ nonzero masked_select equal
    allclose __contains__ __dlpack__ __dlpack_device__ data_ptr storage_offset __deepcopy__ __array_wrap__
    stride
""")
"""Which cannot answer without values."""

RESHAPES = _names("reshape flatten unflatten ravel view view_as reshape_as")
COPIES = _names("repeat tile repeat_interleave flip roll index_select channel_shuffle tril triu")

VIEWS = _names("""
    reshape flatten unflatten ravel permute transpose t movedim moveaxis swapaxes swapdims unsqueeze squeeze
    expand broadcast_to select narrow __getitem__ split chunk tensor_split unbind diagonal T mT H repeat tile
    repeat_interleave flip roll index_select channel_shuffle tril triu
""")
"""Which only move elements."""
