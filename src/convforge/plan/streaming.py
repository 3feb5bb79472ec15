"""Which outputs are written past the caches (kernels/streaming.py)."""

from __future__ import annotations

from math import prod

from convforge.memory import LINE_BYTES
from convforge.plan.request import OutputRequest
from convforge.target import Target

# Outputs of so many bytes, and of this share of the last-level cache, will not be found there again, or cost
# more to get there than to be read anew. 1x1, 128 -> 512 channels at 28x28 on two cores of Zen 4 (32 MB): an
# image takes 527 us by ordinary stores and 463 past the caches; with a 1x1 layer that reads it behind, a
# batch of one image (1.6 MB) 765 and 789 us, of four (6.4 MB) 894 and 781, of sixteen 787 and 765.
_LEAST_BYTES, _SHARE = 8 << 20, 1 / 4
# To put rows together first takes a tenth of a depthwise layer's time, and pays where memory is all that
# counts: 144 channels at 56x56 in batches of 32 (58 MB) 3.2 -> 2.3 ms, of 64 6.8 -> 4.8, of 16 1.0 -> 1.1.
_RUN_SHARE = 1.0
# Shorter runs have few whole lines; longer ones do not stay near until they are whole.
_RUN_LINES, _RUN_BYTES = 4, 64 << 10


def streams(request: OutputRequest, target: Target, length: int, axis: int) -> bool:
    """Whether whole lines of a request's output go past the caches: those of tiles of `length` neighbours.

    axis: of the output; along it, too, a tile has outputs. Where these do not begin on lines if the tile's
    first do, no tile is of whole lines.
    """
    size = request.spec.dtype.itemsize
    whole = length * size % LINE_BYTES == 0 and request.y_strides[axis] % LINE_BYTES == 0
    return whole and _are_gone(request, target, _SHARE)


def streams_runs(request: OutputRequest, target: Target, length: int) -> bool:
    """Whether outputs that lie one behind the other are put together near, `length` at a time, and then go
    past the caches.
    """
    run_bytes = length * request.spec.dtype.itemsize
    fits = _RUN_LINES * LINE_BYTES <= run_bytes <= _RUN_BYTES
    return fits and _are_gone(request, target, _RUN_SHARE)


def _are_gone(request: OutputRequest, target: Target, share: float) -> bool:
    """Whether outputs will have left a near last level of this share of their size. Not behind a mesh: there
    it was not measured.
    """
    output_bytes = prod(request.spec.output_shape) * request.spec.dtype.itemsize
    large = output_bytes >= max(_LEAST_BYTES, share * target.l3_bytes)
    return large and target.is_x86 and not target.l3_is_far
