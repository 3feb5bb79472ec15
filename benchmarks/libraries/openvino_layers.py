"""OpenVINO's CPU plugin for one low-latency request, in float32: its default is bf16 where AMX is."""

from __future__ import annotations

import numpy as np

from benchmarks.arrays import Arrays
from benchmarks.layer_table import Layer
from benchmarks.libraries import Prepared, UnsupportedError
from benchmarks.libraries.onnx_model import onnx_model
from benchmarks.settings import Settings


def start(_: Settings) -> None:
    import openvino  # noqa: F401


def versions() -> dict[str, str]:
    import openvino

    return {"openvino": openvino.__version__}


def variants(layer: Layer, arrays: Arrays, settings: Settings) -> dict[str, Prepared]:
    import openvino

    if settings.dtype != "float32":
        raise UnsupportedError(f"measured in float32 only, not {settings.dtype}")
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(onnx_model(layer, arrays.x, arrays.weight, arrays.bias)),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": settings.threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        },
    )
    request = compiled.create_infer_request()
    source = openvino.Tensor(arrays.x, shared_memory=True)
    request.set_input_tensor(source)

    def call() -> None:
        request.infer()

    def result(_: object) -> np.ndarray:
        return request.get_output_tensor().data.astype(np.float64)

    return {"openvino": Prepared(call, result, keep=(arrays, source))}
