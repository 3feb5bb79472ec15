"""Every function of Tensors in the form the package offers: Tensors or plain arrays in, the same kind out."""

from __future__ import annotations

from . import (
    arithmetic,
    casting,
    extrema,
    indexing,
    interop,
    joining,
    linalg,
    pointwise,
    reduction,
    scan,
    selection,
    shape,
    softmax,
)
from .arrays import array_api


add = array_api(arithmetic.add)
sub = array_api(arithmetic.sub)
rsub = array_api(arithmetic.rsub)
mul = array_api(arithmetic.mul)
div = array_api(arithmetic.div)
floor_divide = array_api(arithmetic.floor_divide)
remainder = array_api(arithmetic.remainder)
fmod = array_api(arithmetic.fmod)
neg = array_api(arithmetic.neg)
positive = array_api(arithmetic.positive)
pow = array_api(arithmetic.pow)
addcmul = array_api(arithmetic.addcmul)
addcdiv = array_api(arithmetic.addcdiv)
lerp = array_api(arithmetic.lerp)
square = array_api(arithmetic.square)

max = array_api(extrema.max)
min = array_api(extrema.min)
amax = array_api(extrema.amax)
amin = array_api(extrema.amin)
aminmax = array_api(extrema.aminmax)
argmax = array_api(extrema.argmax)
argmin = array_api(extrema.argmin)
argsort = array_api(extrema.argsort)
sort = array_api(extrema.sort)
topk = array_api(extrema.topk)
median = array_api(extrema.median)

select = array_api(indexing.select)
narrow = array_api(indexing.narrow)
index_select = array_api(indexing.index_select)
gather = array_api(indexing.gather)
scatter = array_api(indexing.scatter)
scatter_add = array_api(indexing.scatter_add)
index_add = array_api(indexing.index_add)
masked_select = array_api(indexing.masked_select)
take_along_dim = array_api(indexing.take_along_dim)

cat = array_api(joining.cat)
stack = array_api(joining.stack)
split = array_api(joining.split)
chunk = array_api(joining.chunk)
tensor_split = array_api(joining.tensor_split)
unbind = array_api(joining.unbind)
tile = array_api(joining.tile)
repeat_interleave = array_api(joining.repeat_interleave)
flip = array_api(joining.flip)
roll = array_api(joining.roll)
tril = array_api(joining.tril)
triu = array_api(joining.triu)
diagonal = array_api(joining.diagonal)
diag = array_api(joining.diag)
meshgrid = array_api(joining.meshgrid)

matmul = array_api(linalg.matmul)
mm = array_api(linalg.mm)
bmm = array_api(linalg.bmm)
mv = array_api(linalg.mv)
dot = array_api(linalg.dot)
outer = array_api(linalg.outer)
addmm = array_api(linalg.addmm)
baddbmm = array_api(linalg.baddbmm)
einsum = array_api(linalg.einsum)

sqrt = array_api(pointwise.sqrt)
rsqrt = array_api(pointwise.rsqrt)
exp = array_api(pointwise.exp)
exp2 = array_api(pointwise.exp2)
expm1 = array_api(pointwise.expm1)
log = array_api(pointwise.log)
log2 = array_api(pointwise.log2)
log10 = array_api(pointwise.log10)
log1p = array_api(pointwise.log1p)
sin = array_api(pointwise.sin)
cos = array_api(pointwise.cos)
tan = array_api(pointwise.tan)
asin = array_api(pointwise.asin)
acos = array_api(pointwise.acos)
atan = array_api(pointwise.atan)
sinh = array_api(pointwise.sinh)
cosh = array_api(pointwise.cosh)
tanh = array_api(pointwise.tanh)
sigmoid = array_api(pointwise.sigmoid)
reciprocal = array_api(pointwise.reciprocal)
relu = array_api(pointwise.relu)
abs = array_api(pointwise.abs)
sign = array_api(pointwise.sign)
sgn = array_api(pointwise.sgn)
floor = array_api(pointwise.floor)
ceil = array_api(pointwise.ceil)
trunc = array_api(pointwise.trunc)
round = array_api(pointwise.round)
frac = array_api(pointwise.frac)
isnan = array_api(pointwise.isnan)
isinf = array_api(pointwise.isinf)
isfinite = array_api(pointwise.isfinite)
nan_to_num = array_api(pointwise.nan_to_num)
conj = array_api(pointwise.conj)
real = array_api(pointwise.real)
imag = array_api(pointwise.imag)
angle = array_api(pointwise.angle)
erf = array_api(pointwise.erf)

sum = array_api(reduction.sum)
mean = array_api(reduction.mean)
prod = array_api(reduction.prod)
var = array_api(reduction.var)
std = array_api(reduction.std)
var_mean = array_api(reduction.var_mean)
std_mean = array_api(reduction.std_mean)
all = array_api(reduction.all)
any = array_api(reduction.any)
count_nonzero = array_api(reduction.count_nonzero)
norm = array_api(reduction.norm)

cumsum = array_api(scan.cumsum)
cumprod = array_api(scan.cumprod)

eq = array_api(selection.eq)
ne = array_api(selection.ne)
lt = array_api(selection.lt)
le = array_api(selection.le)
gt = array_api(selection.gt)
ge = array_api(selection.ge)
bitwise_and = array_api(selection.bitwise_and)
bitwise_or = array_api(selection.bitwise_or)
bitwise_xor = array_api(selection.bitwise_xor)
bitwise_not = array_api(selection.bitwise_not)
logical_not = array_api(selection.logical_not)
logical_and = array_api(selection.logical_and)
logical_or = array_api(selection.logical_or)
logical_xor = array_api(selection.logical_xor)
equal = array_api(selection.equal)
isclose = array_api(selection.isclose)
allclose = array_api(selection.allclose)
where = array_api(selection.where)
maximum = array_api(selection.maximum)
minimum = array_api(selection.minimum)
clamp = array_api(selection.clamp)
masked_fill = array_api(selection.masked_fill)
nonzero = array_api(selection.nonzero)

reshape = array_api(shape.reshape)
flatten = array_api(shape.flatten)
unflatten = array_api(shape.unflatten)
ravel = array_api(shape.ravel)
permute = array_api(shape.permute)
transpose = array_api(shape.transpose)
t = array_api(shape.t)
movedim = array_api(shape.movedim)
unsqueeze = array_api(shape.unsqueeze)
squeeze = array_api(shape.squeeze)
broadcast_to = array_api(shape.broadcast_to)
broadcast_tensors = array_api(shape.broadcast_tensors)

softmax = array_api(softmax.softmax)
log_softmax = array_api(softmax.log_softmax)
logsumexp = array_api(softmax.logsumexp)

clone = array_api(casting.clone)

numel = array_api(interop.numel)
is_floating_point = array_api(interop.is_floating_point)
is_complex = array_api(interop.is_complex)

# PyTorch's other names.
concat = cat
concatenate = cat
clip = clamp
absolute = abs
moveaxis = movedim
swapaxes = transpose
true_divide = div
multiply = mul
subtract = sub
divide = div
negative = neg
