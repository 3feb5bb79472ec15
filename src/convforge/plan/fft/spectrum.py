"""The family of long kernels: products of spectra (kernels/fft/spectrum.py), by NumPy's fast Fourier
transform.

For 32 taps and more at stride 1: 128 taps cost a direct kernel 128 multiply-adds, and this one about 4 and
the transforms. Its error is that of transforms, below that of a chain of so many fp32 multiply-adds.
"""

from __future__ import annotations

from ctypes import c_double, c_float
from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import HEADER_BYTES, fill
from convforge.kernels.fft.contract import SPECTRUM_PARAMETERS, SpectrumKernel
from convforge.plan.arrays import array_at
from convforge.plan.fft.blocks import best_blocks, image_cycles, spectrum_tile
from convforge.plan.fft.pieces import Piece, padded, pieces
from convforge.plan.fft.weights import FftWeights, is_even, magnitude
from convforge.plan.job import Job
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import aligned
from convforge.problem.gather import gather_of
from convforge.runtime import address_of
from convforge.runtime.side_by_side import side_by_side
from convforge.target import Target

Array = NDArray[Any]

NAME = "fft"

# Fewer taps are not considered: 32 of 64 channels ran three times faster than the direct kernel, fewer were
# not measured, and most layers need not be planned for this family.
_FEWEST_TAPS = 32
# Spectra that a thread's share of a call holds at most, and input that is transformed at a time.
_HELD_BYTES, _SLICE_BYTES = 12 << 20, 1 << 18


def why_illegal(request: OutputRequest, target: Target) -> str | None:
    """The reason why this family cannot serve a request, or None."""
    spec = request.spec
    if request.plain:
        return "the input or the weights hold values that a transform would spread over all outputs"
    if spec.dtype.name not in ("float32", "float64"):
        return f"there is no transform of {spec.dtype.name}"
    if request.activation != "none":
        return "its way out computes no activation"
    if any(step != 1 for step in spec.stride):
        return f"with stride {max(spec.stride)} most of what a transform computes is thrown away"
    gather = gather_of(spec)
    if gather.kernel_taps < _FEWEST_TAPS:
        return f"{gather.kernel_taps} taps are soon computed one by one; {_FEWEST_TAPS} are not"
    if best_blocks(gather, ELEMENTS[spec.dtype.name], target) is None:
        return "the spectra of one block take more memory than a thread may use"
    return None


def cost_cycles(request: OutputRequest, target: Target) -> float:
    """Cycles of one core that the request should take."""
    gather, element = gather_of(request.spec), ELEMENTS[request.spec.dtype.name]
    blocks = best_blocks(gather, element, target)
    assert blocks is not None
    return gather.batch * image_cycles(gather, blocks, element, target)


def plan(request: OutputRequest, target: Target, threads: int) -> FftPlan:
    """Schedule a request and prepare all that its kernel reads."""
    return FftPlan(request, target, threads)


class FftPlan:
    """How one convolution is computed for inputs of one shape and one set of strides."""

    def __init__(self, request: OutputRequest, target: Target, threads: int) -> None:
        spec = self._spec = request.spec
        element = ELEMENTS[spec.dtype.name]
        self.threads = threads
        self.gather = gather = gather_of(spec)
        blocks = best_blocks(gather, element, target)
        assert blocks is not None
        self.blocks = blocks
        self._strides = [
            (*strides[:2], *[0] * (3 - spec.rank), *strides[2:])
            for strides in (request.x_strides, request.y_strides)
        ]
        lanes = target.vector_bytes // element.compute_bytes
        self._row = blocks.row(element.compute_bytes)
        channels = gather.groups * (gather.in_channels + gather.out_channels)
        block_bytes = channels * self._row * element.compute_bytes
        self._pieces = list(pieces(gather.batch, blocks.counts, max(1, threads * _HELD_BYTES // block_bytes)))
        most = max(piece.blocks for piece in self._pieces)
        mr, nb = spectrum_tile(gather, blocks.count, target)
        self.kernel = SpectrumKernel(element, lanes, mr, nb, target.fused)
        self._job = Job(self.kernel, target)
        self.weights = FftWeights(gather, element, lanes, mr, blocks, spec.transposed, spec.rank)
        # Pieces of the frequencies, so that every thread has some: whole lines of the cache each.
        line = max(1, 64 // target.vector_bytes)
        wanted = -(-4 * threads // gather.groups) if threads > 1 else 1
        share = -(-self.weights.vectors // wanted)
        self._task_vectors = -(-share // line) * line
        self._cuts = -(-self.weights.vectors // self._task_vectors)
        self.tasks = gather.groups * self._cuts
        # A tile that ends beyond the last block reads behind the last row.
        packed = (gather.in_channels * most + nb) * lanes * element.compute_bytes
        self._scratch_bytes = aligned(HEADER_BYTES + packed)
        self.workspace_bytes = self._scratch_bytes + most * block_bytes // threads + _SLICE_BYTES

    def __call__(self, x: int, packed_weights: int, packed_bias: int, y: int) -> bool:
        """Compute the output at y: addresses of arrays that the caller keeps alive; a bias of 0 is none.

        False where the weights or the input are to be served by another family.
        """
        spec, gather = self._spec, self.gather
        front = c_float if spec.dtype.itemsize == 4 else c_double
        if not isfinite(front.from_address(packed_weights).value):
            return False
        ones = (1,) * (3 - spec.rank)
        shape_in = (spec.batch, spec.in_channels, *ones, *spec.input_size)
        shape_out = (spec.batch, spec.out_channels, *ones, *spec.output_size)
        source = array_at(x, shape_in, self._strides[0], spec.dtype)
        target = array_at(y, shape_out, self._strides[1], spec.dtype)
        bias = (
            array_at(packed_bias, (spec.out_channels,), (spec.dtype.itemsize,), spec.dtype)
            if packed_bias
            else None
        )
        most = max(piece.blocks for piece in self._pieces)
        values = np.empty((spec.in_channels, most, self._row), spec.dtype)
        values[..., 2 * self.blocks.frequencies :] = 0
        sums = np.empty((spec.out_channels, most, self._row), spec.dtype)
        for piece in self._pieces:
            if not self._transform(source, piece, values):
                return False
            parameters = fill(
                SPECTRUM_PARAMETERS,
                {
                    "channels": gather.in_channels,
                    "out_channels": gather.out_channels,
                    "out_tiles": self.weights.out_tiles,
                    "blocks": piece.blocks,
                    "vectors": self.weights.vectors,
                    "task_vectors": self._task_vectors,
                    "cuts": self._cuts,
                    "row": self._row,
                    "x_channel": most * self._row,
                    "y_channel": most * self._row,
                },
            )
            self._job.run(
                self.tasks,
                self.threads,
                self._scratch_bytes,
                address_of(parameters),
                address_of(values),
                packed_weights,
                0,
                address_of(sums),
            )
            self._restore(sums, piece, bias, target)
        return True

    def describe(self) -> str:
        """Kernel, vectors, blocks, tasks, memory: one line."""
        bits = 8 * self.kernel.lanes * self.kernel.element.compute_bytes
        lengths = "x".join(str(n) for n in self.blocks.lengths if n > 1)
        return (
            f"{self.kernel.name} ({bits}-bit vectors), blocks of {lengths}, {self.tasks} tasks on "
            f"{self.threads} threads, input packed, {self.workspace_bytes / 1e6:.2f} MB a thread"
        )

    def _transform(self, source: Array, piece: Piece, values: Array) -> bool:
        """The spectra of a piece's blocks; whether none holds values that would be spread."""
        lengths, steps = self.blocks.lengths, self.blocks.outputs
        images = source[piece.first : piece.stop].swapaxes(0, 1)
        places = [
            np.arange(first * step, (first + number - 1) * step + length)
            for (first, number), step, length in zip(piece.ranges, steps, lengths)
        ]
        spectra = self._spectra(values, piece)
        size = images.shape[1] * prod(map(len, places)) * source.itemsize
        step = max(1, _SLICE_BYTES // size)
        even: list[bool] = []

        def work(first: int, stop: int) -> None:
            for start in range(first, stop, step):
                rows = slice(start, min(start + step, stop))
                block = padded(images[rows], places, self.gather.axes)
                even.append(is_even(magnitude(block)))
                if not even[-1]:
                    return
                windows = sliding_window_view(block, lengths, axis=(2, 3, 4))
                blocks = windows[:, :, :: steps[0], :: steps[1], :: steps[2]]
                np.fft.rfft(blocks, out=spectra[rows])
                for axis in (-2, -3):
                    if lengths[axis] > 1:
                        np.fft.fft(spectra[rows], axis=axis, out=spectra[rows])

        side_by_side(work, len(images), self.threads)
        return all(even)

    def _restore(self, sums: Array, piece: Piece, bias: Array | None, target: Array) -> None:
        """The outputs of a piece's blocks, from their spectra."""
        lengths, outputs = self.blocks.lengths, self.blocks.outputs
        spectra = self._spectra(sums, piece)
        edges = [
            (first * step, min((first + number) * step, size))
            for (first, number), step, size in zip(piece.ranges, outputs, target.shape[2:])
        ]
        place = tuple(slice(start, stop) for start, stop in edges)
        size = piece.blocks * prod(lengths) * sums.itemsize
        step = max(1, _SLICE_BYTES // size)

        def work(first: int, stop: int) -> None:
            for start in range(first, stop, step):
                rows = slice(start, min(start + step, stop))
                some = spectra[rows]
                for axis in (-3, -2):
                    if lengths[axis] > 1:
                        np.fft.ifft(some, axis=axis, out=some)
                real: Any = np.fft.irfft(some, lengths[2])
                kept = real[..., : outputs[0], : outputs[1], : outputs[2]]
                if bias is not None:
                    kept = kept + bias[rows].reshape(-1, *(1,) * 7)
                # channel, image, three of blocks, three of outputs -> image, channel, depth, height, width
                lines = kept.transpose(1, 0, 2, 5, 3, 6, 4, 7)
                joined = lines.reshape(*lines.shape[:2], *(n * m for (_, n), m in zip(piece.ranges, outputs)))
                inside = tuple(slice(stop - start) for start, stop in edges)
                target[piece.first : piece.stop, rows, *place] = joined[:, :, *inside]

        side_by_side(work, len(spectra), self.threads)

    def _spectra(self, rows: Array, piece: Piece) -> Array:
        """Rows of numbers in two parts as channel, image, three of blocks, three of frequencies."""
        number = np.dtype(np.complex64 if rows.itemsize == 4 else np.complex128)
        spectra: Any = rows.view(number)[:, : piece.blocks, : self.blocks.frequencies]
        counts = [n for _, n in piece.ranges]
        return spectra.reshape(len(rows), piece.stop - piece.first, *counts, *self.blocks.spectrum)
