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


def streams(request: OutputRequest, target: Target, length: int, axis: int) -> bool:
    """Whether whole lines of a request's output go past the caches: those of tiles of `length` neighbours.

    axis: of the output; along it, too, a tile has outputs. Where these do not begin on lines if the tile's
    first do, no tile is of whole lines. Not behind a mesh: there it was not measured.
    """
    size = request.spec.dtype.itemsize
    output_bytes = prod(request.spec.output_shape) * size
    return (
        output_bytes >= max(_LEAST_BYTES, _SHARE * target.l3_bytes)
        and length * size % LINE_BYTES == 0
        and request.y_strides[axis] % LINE_BYTES == 0
        and target.is_x86
        and not target.l3_is_far
    )
