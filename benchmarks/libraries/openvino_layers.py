"""OpenVINO's CPU plugin for one low-latency request, in float32; in its default, bf16, beside `medium`."""

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


def columns(settings: Settings) -> list[str]:
    """With its default beside float32 where that is compared, and is bf16 on this processor."""
    import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    with_default = settings.precision == "medium" and settings.isa == "native" and "BF16" in capabilities
    return ["openvino", "openvino-bf16"] if with_default else ["openvino"]


def variants(layer: Layer, arrays: Arrays, settings: Settings) -> dict[str, Prepared]:
    import openvino

    if settings.product != "output":
        raise UnsupportedError("computes no gradients")
    if settings.dtype != "float32":
        raise UnsupportedError(f"measured in float32 only, not {settings.dtype}")
    core = openvino.Core()
    model = core.read_model(onnx_model(layer, arrays.x, arrays.weight, arrays.bias))

    def build(name: str) -> Prepared:
        precision = {} if name == "openvino-bf16" else {"INFERENCE_PRECISION_HINT": "f32"}
        how = {
            "INFERENCE_NUM_THREADS": settings.threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        request = core.compile_model(model, "CPU", how | precision).create_infer_request()
        source = openvino.Tensor(arrays.x, shared_memory=True)
        request.set_input_tensor(source)

        def call() -> None:
            request.infer()

        def result(_: object) -> tuple[np.ndarray, ...]:
            return (request.get_output_tensor().data.astype(np.float64),)

        return Prepared(call, result, keep=(arrays, source))

    return {name: build(name) for name in columns(settings)}
