"""A layer as an ONNX model of one node, for the runtimes that read ONNX."""

from __future__ import annotations

import numpy as np

from benchmarks.layer_table import Layer

OPSET = 17  # the newest that every runtime measured here reads


def onnx_model(layer: Layer, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> bytes:
    """Serialized model: input `x`, output `y`, weight and bias as initializers of the dtype of `x`.

    Arguments are NumPy arrays of one dtype (float32, float64, float16 or bfloat16).
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    kind = {
        "float32": TensorProto.FLOAT,
        "float64": TensorProto.DOUBLE,
        "float16": TensorProto.FLOAT16,
        "bfloat16": TensorProto.BFLOAT16,
    }[x.dtype.name]
    attributes = {
        "kernel_shape": layer.kernel,
        "strides": layer.stride,
        "pads": layer.padding * 2,
        "dilations": layer.dilation,
        "group": layer.groups,
    }
    if layer.transposed:
        attributes["output_padding"] = layer.output_padding
    node = helper.make_node(
        "ConvTranspose" if layer.transposed else "Conv", ["x", "weight", "bias"], ["y"], **attributes
    )
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, layer.output_shape(x.shape[0]))],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    checker.check_model(model)
    return model.SerializeToString()
