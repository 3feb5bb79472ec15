"""Moving elements between channels and space: nothing is computed, only rearranged."""

from __future__ import annotations

from convforge.autograd.arrays import array_api
from convforge.autograd.naming import named
from convforge.autograd.tensor import Tensor

__all__ = ["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


def _check_rank(function: str, input: Tensor, least: int) -> None:
    if input.ndim < least:
        raise RuntimeError(
            f"{function} expects input to have at least {least} dimensions, but got input with {input.ndim} "
            f"dimension(s)"
        )


@array_api
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C · r², H, W) -> (*, C, H · r, W · r): each r × r block takes its elements from r² channels.

    Raises RuntimeError where r² does not divide the channels or r is not positive.
    Source: Shi et al., Real-Time Single Image and Video Super-Resolution, 2016.
    """
    _check_rank("pixel_shuffle", input, 3)
    r = upscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
            f"upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    n = len(lead)
    blocks = input.reshape([*lead, channels // (r * r), r, r, height, width])
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    shuffled = blocks.permute(order).reshape([*lead, channels // (r * r), height * r, width * r])
    return named(shuffled, "PixelShuffleBackward0")


@array_api
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H · r, W · r) -> (*, C · r², H, W): the inverse of `pixel_shuffle`.

    Raises RuntimeError where r does not divide height and width or is not positive.
    """
    _check_rank("pixel_unshuffle", input, 3)
    r = downscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    for name, size, axis in (("height", height, -2), ("width", width, -1)):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({axis})={size} is not divisible by {r}"
            )
    n = len(lead)
    blocks = input.reshape([*lead, channels, height // r, r, width // r, r])
    order = [*range(n), n, n + 2, n + 4, n + 1, n + 3]
    unshuffled = blocks.permute(order).reshape([*lead, channels * r * r, height // r, width // r])
    return named(unshuffled, "PixelUnshuffleBackward0")


@array_api
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, *) with its channels dealt out: channel k of group g becomes channel k · groups + g.

    Raises RuntimeError where groups does not divide the channels or is not positive.
    Source: Zhang et al., ShuffleNet, 2017.
    """
    _check_rank("channel_shuffle", input, 3)
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    batch, channels, *space = input.shape
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups."
        )
    split = input.reshape([batch, groups, channels // groups, *space])
    return named(split.transpose(1, 2).reshape(input.shape), "ChannelShuffleBackward0")
