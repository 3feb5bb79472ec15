"""ONNX Runtime's CPU provider, input and output bound once so that nothing is copied per call."""

from __future__ import annotations

import numpy as np

from benchmarks.arrays import Arrays
from benchmarks.layer_table import Layer
from benchmarks.libraries import Prepared, UnsupportedError
from benchmarks.libraries.onnx_model import onnx_model
from benchmarks.settings import Settings


def start(_: Settings) -> None:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)


def versions() -> dict[str, str]:
    import onnx
    import onnxruntime

    return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}


def columns(_: Settings) -> list[str]:
    return ["onnxruntime"]


def variants(layer: Layer, arrays: Arrays, settings: Settings) -> dict[str, Prepared]:
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as MissingKernelError

    if settings.product != "output":
        raise UnsupportedError("computes no gradients")
    if settings.dtype not in {"float32", "float64", "float16"}:
        raise UnsupportedError(f"{settings.dtype} arrays cannot be bound from NumPy")
    x, weight, bias = (array.astype(settings.dtype) for array in (arrays.x, arrays.weight, arrays.bias))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            onnx_model(layer, x, weight, bias), options, providers=["CPUExecutionProvider"]
        )
    except MissingKernelError as error:
        raise UnsupportedError(f"no {settings.dtype} kernel: {error}") from error
    binding = session.io_binding()
    source = onnxruntime.OrtValue.ortvalue_from_numpy(x)
    target = onnxruntime.OrtValue.ortvalue_from_shape_and_type(layer.output_shape(x.shape[0]), x.dtype, "cpu")
    binding.bind_ortvalue_input("x", source)
    binding.bind_ortvalue_output("y", target)

    def call() -> None:
        session.run_with_iobinding(binding)

    def result(_: object) -> tuple[np.ndarray, ...]:
        return (target.numpy().astype(np.float64),)

    return {"onnxruntime": Prepared(call, result, keep=(x, source))}
