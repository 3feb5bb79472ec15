"""Normalisation layers: batch and instance norm, which can track statistics."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from convforge.autograd.tensor import from_data
from convforge.nn import functional as F, init
from convforge.nn.factory import empty
from convforge.nn.lazy import LazyModuleMixin
from convforge.nn.module import Module
from convforge.nn.parameter import Parameter, UninitializedBuffer, UninitializedParameter
from convforge.nn.row_norm import GroupNorm, LayerNorm, LocalResponseNorm, RMSNorm

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LocalResponseNorm",
    "RMSNorm",
]


class _TrackedNorm(Module):
    """Base of batch and instance norm: weight and bias if affine, running statistics if tracked."""

    # 2: num_batches_tracked joined the state.
    _version = 2
    _dimensions: ClassVar[tuple[int, ...]]
    weight: Any
    bias: Any
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats

        def vector() -> Any:
            return empty(num_features, device=device, dtype=dtype)

        self.register_parameter("weight", Parameter(vector()) if affine else None)
        self.register_parameter("bias", Parameter(vector()) if affine and bias else None)
        self.register_buffer("running_mean", vector() if track_running_stats else None)
        self.register_buffer("running_var", vector() if track_running_stats else None)
        count = from_data(np.array(0, dtype=np.int64)) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget what was tracked: mean 0, variance 1, no batches."""
        if self.track_running_stats:
            for buffer, value in (
                (self.running_mean, 0),
                (self.running_var, 1),
                (self.num_batches_tracked, 0),
            ):
                buffer._data[...] = value
                buffer._vbox[0] += 1

    def reset_parameters(self) -> None:
        """Set weight to 1, bias to 0, and forget what was tracked."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def extra_repr(self) -> str:
        """Arguments, as they are printed."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _check_dimensions(self, input: Any) -> None:
        """Raise ValueError where the input has another number of dimensions than the layer takes."""
        if input.ndim not in self._dimensions:
            wanted = " or ".join(f"{number}D" for number in self._dimensions)
            raise ValueError(f"expected {wanted} input (got {input.ndim}D input)")

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        version = local_metadata.get("version")
        if (version is None or version < 2) and self.track_running_stats:
            key = prefix + "num_batches_tracked"
            if key not in state_dict:
                state_dict[key] = self.num_batches_tracked
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class _BatchNorm(_TrackedNorm):
    """Base of the batch norms."""

    def forward(self, input: Any) -> Any:
        """Normalise: (N, C, *). Training uses the batch's statistics, evaluation the tracked ones if any."""
        self._check_dimensions(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked._data[...] += 1
            self.num_batches_tracked._vbox[0] += 1
            if self.momentum is None:  # the plain mean of all batches so far
                momentum = 1.0 / float(self.num_batches_tracked._data)
        by_batch = self.training or (self.running_mean is None and self.running_var is None)
        tracked = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight,
            self.bias,
            by_batch,
            momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Batch norm of vectors (N, C) or signals (N, C, L): each channel to mean 0, variance 1, then affine.

    num_features: C; momentum: share of the new batch in the tracked statistics, None for a plain mean

    Source: Ioffe & Szegedy, Batch Normalization, 2015.
    """

    _dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm of images (N, C, H, W); see `BatchNorm1d`."""

    _dimensions = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch norm of volumes (N, C, D, H, W); see `BatchNorm1d`."""

    _dimensions = (5,)


class _LazyBatchNorm(LazyModuleMixin, _BatchNorm):
    """A batch norm that takes num_features from its first input."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        # Nothing of size 0 is made only to be replaced.
        super().__init__(0, eps, momentum, False, False, bias=False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = from_data(np.array(0, dtype=np.int64))

    def reset_parameters(self) -> None:
        """As `BatchNorm1d`'s, once the sizes are known."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Any) -> None:
        """Take num_features from the input."""
        if self.has_uninitialized_params():
            self.num_features = input.shape[1]
            for each in (self.weight, self.bias) if self.affine else ():
                if each is not None:
                    each.materialize((self.num_features,))
            if self.track_running_stats:
                self.running_mean.materialize((self.num_features,))
                self.running_var.materialize((self.num_features,))
            self.reset_parameters()


class LazyBatchNorm1d(_LazyBatchNorm):
    """A `BatchNorm1d` that takes num_features from its first input."""

    cls_to_become = BatchNorm1d
    _dimensions = (2, 3)


class LazyBatchNorm2d(_LazyBatchNorm):
    """A `BatchNorm2d` that takes num_features from its first input."""

    cls_to_become = BatchNorm2d
    _dimensions = (4,)


class LazyBatchNorm3d(_LazyBatchNorm):
    """A `BatchNorm3d` that takes num_features from its first input."""

    cls_to_become = BatchNorm3d
    _dimensions = (5,)


class _InstanceNorm(_TrackedNorm):
    """Base of the instance norms: each channel of each sample alone."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Any) -> Any:
        """Normalise: (N, C, *), or (C, *) without a batch. Raises ValueError where C is not num_features."""
        self._check_dimensions(input)
        unbatched = input.ndim == self._dimensions[0]
        channels = input.shape[0 if unbatched else 1]
        if self.affine and channels != self.num_features:
            raise ValueError(
                f"expected input's size at dim={0 if unbatched else 1} to match num_features "
                f"({self.num_features}), but got: {channels}."
            )
        result = F.instance_norm(
            input[None] if unbatched else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )
        return result[0] if unbatched else result


class InstanceNorm1d(_InstanceNorm):
    """Instance norm of signals (N, C, L) or (C, L)."""

    _dimensions = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance norm of images (N, C, H, W) or (C, H, W)."""

    _dimensions = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance norm of volumes (N, C, D, H, W) or (C, D, H, W)."""

    _dimensions = (4, 5)
