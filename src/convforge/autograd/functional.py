"""Every function of Tensors in the form the package offers: Tensors or plain arrays in, the same kind out."""

from __future__ import annotations

from . import (
    arithmetic as _arithmetic,
    casting as _casting,
    division as _division,
    extrema as _extrema,
    gathering as _gathering,
    index_writing as _index_writing,
    indexing as _indexing,
    interop as _interop,
    joining as _joining,
    linalg as _linalg,
    nan_reduction as _nan_reduction,
    pointwise as _pointwise,
    reduction as _reduction,
    scan as _scan,
    selection as _selection,
    shape as _shape,
    softmax as _softmax,
)
from .arrays import array_api

add = array_api(_arithmetic.add)
sub = array_api(_arithmetic.sub)
rsub = array_api(_arithmetic.rsub)
mul = array_api(_arithmetic.mul)
div = array_api(_division.div)
floor_divide = array_api(_division.floor_divide)
remainder = array_api(_division.remainder)
fmod = array_api(_division.fmod)
neg = array_api(_arithmetic.neg)
positive = array_api(_arithmetic.positive)
pow = array_api(_arithmetic.pow)
addcmul = array_api(_arithmetic.addcmul)
addcdiv = array_api(_arithmetic.addcdiv)
lerp = array_api(_arithmetic.lerp)
square = array_api(_arithmetic.square)

max = array_api(_extrema.max)
min = array_api(_extrema.min)
amax = array_api(_extrema.amax)
amin = array_api(_extrema.amin)
aminmax = array_api(_extrema.aminmax)
argmax = array_api(_extrema.argmax)
argmin = array_api(_extrema.argmin)
argsort = array_api(_extrema.argsort)
sort = array_api(_extrema.sort)
topk = array_api(_extrema.topk)
median = array_api(_extrema.median)

select = array_api(_indexing.select)
narrow = array_api(_indexing.narrow)
index_select = array_api(_gathering.index_select)
gather = array_api(_gathering.gather)
scatter = array_api(_gathering.scatter)
scatter_add = array_api(_gathering.scatter_add)
index_add = array_api(_gathering.index_add)
index_put = array_api(_index_writing.index_put)
index_fill = array_api(_index_writing.index_fill)
index_copy = array_api(_index_writing.index_copy)
nansum = array_api(_nan_reduction.nansum)
nanmean = array_api(_nan_reduction.nanmean)
masked_select = array_api(_gathering.masked_select)
take_along_dim = array_api(_gathering.take_along_dim)

cat = array_api(_joining.cat)
stack = array_api(_joining.stack)
split = array_api(_joining.split)
chunk = array_api(_joining.chunk)
tensor_split = array_api(_joining.tensor_split)
unbind = array_api(_joining.unbind)
tile = array_api(_joining.tile)
repeat_interleave = array_api(_joining.repeat_interleave)
flip = array_api(_joining.flip)
roll = array_api(_joining.roll)
tril = array_api(_joining.tril)
triu = array_api(_joining.triu)
diagonal = array_api(_joining.diagonal)
diag = array_api(_joining.diag)
meshgrid = array_api(_joining.meshgrid)

matmul = array_api(_linalg.matmul)
mm = array_api(_linalg.mm)
bmm = array_api(_linalg.bmm)
mv = array_api(_linalg.mv)
dot = array_api(_linalg.dot)
outer = array_api(_linalg.outer)
addmm = array_api(_linalg.addmm)
baddbmm = array_api(_linalg.baddbmm)
einsum = array_api(_linalg.einsum)

sqrt = array_api(_pointwise.sqrt)
rsqrt = array_api(_pointwise.rsqrt)
exp = array_api(_pointwise.exp)
exp2 = array_api(_pointwise.exp2)
expm1 = array_api(_pointwise.expm1)
log = array_api(_pointwise.log)
log2 = array_api(_pointwise.log2)
log10 = array_api(_pointwise.log10)
log1p = array_api(_pointwise.log1p)
sin = array_api(_pointwise.sin)
cos = array_api(_pointwise.cos)
tan = array_api(_pointwise.tan)
asin = array_api(_pointwise.asin)
acos = array_api(_pointwise.acos)
atan = array_api(_pointwise.atan)
sinh = array_api(_pointwise.sinh)
cosh = array_api(_pointwise.cosh)
tanh = array_api(_pointwise.tanh)
sigmoid = array_api(_pointwise.sigmoid)
reciprocal = array_api(_pointwise.reciprocal)
relu = array_api(_pointwise.relu)
abs = array_api(_pointwise.abs)
sign = array_api(_pointwise.sign)
sgn = array_api(_pointwise.sgn)
floor = array_api(_pointwise.floor)
ceil = array_api(_pointwise.ceil)
trunc = array_api(_pointwise.trunc)
round = array_api(_pointwise.round)
frac = array_api(_pointwise.frac)
isnan = array_api(_pointwise.isnan)
isinf = array_api(_pointwise.isinf)
isfinite = array_api(_pointwise.isfinite)
nan_to_num = array_api(_pointwise.nan_to_num)
conj = array_api(_pointwise.conj)
real = array_api(_pointwise.real)
imag = array_api(_pointwise.imag)
angle = array_api(_pointwise.angle)
erf = array_api(_pointwise.erf)

sum = array_api(_reduction.sum)
mean = array_api(_reduction.mean)
prod = array_api(_reduction.prod)
var = array_api(_reduction.var)
std = array_api(_reduction.std)
var_mean = array_api(_reduction.var_mean)
std_mean = array_api(_reduction.std_mean)
all = array_api(_reduction.all)
any = array_api(_reduction.any)
count_nonzero = array_api(_reduction.count_nonzero)
norm = array_api(_reduction.norm)

cumsum = array_api(_scan.cumsum)
cumprod = array_api(_scan.cumprod)

eq = array_api(_selection.eq)
ne = array_api(_selection.ne)
lt = array_api(_selection.lt)
le = array_api(_selection.le)
gt = array_api(_selection.gt)
ge = array_api(_selection.ge)
bitwise_and = array_api(_selection.bitwise_and)
bitwise_or = array_api(_selection.bitwise_or)
bitwise_xor = array_api(_selection.bitwise_xor)
bitwise_not = array_api(_selection.bitwise_not)
logical_not = array_api(_selection.logical_not)
logical_and = array_api(_selection.logical_and)
logical_or = array_api(_selection.logical_or)
logical_xor = array_api(_selection.logical_xor)
equal = array_api(_selection.equal)
isclose = array_api(_selection.isclose)
allclose = array_api(_selection.allclose)
where = array_api(_selection.where)
maximum = array_api(_selection.maximum)
minimum = array_api(_selection.minimum)
clamp = array_api(_selection.clamp)
masked_fill = array_api(_selection.masked_fill)
nonzero = array_api(_selection.nonzero)

reshape = array_api(_shape.reshape)
flatten = array_api(_shape.flatten)
unflatten = array_api(_shape.unflatten)
ravel = array_api(_shape.ravel)
permute = array_api(_shape.permute)
transpose = array_api(_shape.transpose)
t = array_api(_shape.t)
movedim = array_api(_shape.movedim)
unsqueeze = array_api(_shape.unsqueeze)
squeeze = array_api(_shape.squeeze)
broadcast_to = array_api(_shape.broadcast_to)
broadcast_tensors = array_api(_shape.broadcast_tensors)

softmax = array_api(_softmax.softmax)
log_softmax = array_api(_softmax.log_softmax)
logsumexp = array_api(_softmax.logsumexp)

clone = array_api(_casting.clone)

numel = array_api(_interop.numel)
is_floating_point = array_api(_interop.is_floating_point)
is_complex = array_api(_interop.is_complex)

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
