"""A photograph, convolved by the real library with a kernel that was chosen or drawn, as a PNG.

The photograph is checked by its header before anything is unpacked: a small file can hold a picture that
fills the memory. One is worked on at a time, so that a page in a loop cannot take the whole machine.
"""

from __future__ import annotations

import base64
import io
import json
import math
import time
import warnings
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import numpy.typing as npt

from convforge.errors import ConvforgeError, ConvTypeError, ConvValueError, one_line, reason
from convforge.explain.formula import size_formula
from convforge.problem import ConvLayer, ConvSpec
from convforge.web.asked import BadRequestError, layer_asked, member, numbers_asked, one_at_a_time, refusal_of

PATH = "/api/apply"
MEGAPIXELS = 16.0
LARGEST_KERNEL = 31
LARGEST_OUTPUT = 1 << 26
LARGEST_WORK = 1 << 36
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
SHOWS = ("image", "signed", "magnitude", "any")
Array = npt.NDArray[np.float32]


def answer(query: str, body: bytes) -> dict[str, Any]:
    """The photograph behind the layer, and how it was made.

    query: question=… as JSON: `layer` as everywhere, rank 2. `grids`: one kernel, or two whose results join
        as √(x² + y²); without it weights are drawn with numbers.seed, as PyTorch draws them. `shows`: how
        numbers become a picture; `channel`: which output channel, where there are not three to be colours.
    body: the image file.

    -> png (base64), size, layer, formula, kernel, milliseconds, low, high
    """
    questions = parse_qs(query).get("question", [])
    try:
        question = json.loads(questions[0]) if len(questions) == 1 else None
    except (ValueError, RecursionError):
        question = None
    if not isinstance(question, dict):
        raise BadRequestError("the query must be question=… with a JSON object")
    try:
        with one_at_a_time:
            return applied(question, body)
    except ConvforgeError as error:
        return refusal_of(error).as_json()


def applied(question: dict[str, Any], body: bytes) -> dict[str, Any]:
    """The answer. Raises ConvforgeError where the library refuses layer or photograph."""
    layer = layer_asked(question)
    if layer.rank != 2:
        raise ConvValueError(f"rank (={layer.rank}): a photograph has height and width: choose a 2-d layer")
    if layer.in_channels not in (1, 3, 4):
        raise ConvValueError(
            f"in_channels (={layer.in_channels}) must be 1 (grey), 3 (RGB) or 4 (RGBA) for a photograph: "
            "use 3"
        )
    shows = question.get("shows", "any")
    if shows not in SHOWS:
        raise BadRequestError(f"shows must be one of {', '.join(SHOWS)}")
    grids = grids_asked(question, layer)
    seed = numbers_asked(question).seed
    pixels = photograph(body, layer.in_channels)
    spec = layer.spec((pixels.shape[1], pixels.shape[2]))
    check_work(spec)
    output, milliseconds = convolved(layer, spec, pixels, grids, seed)
    channel = question.get("channel", 0)
    if isinstance(channel, bool) or not isinstance(channel, int) or not 0 <= channel < layer.out_channels:
        raise BadRequestError("channel must be one of the layer's outputs")
    shown = output if layer.out_channels == 3 and grids else output[channel : channel + 1]
    return {
        "png": base64.b64encode(png(shown, shows)).decode(),
        "input_size": list(spec.input_size),
        "output_size": list(spec.output_size),
        "layer": layer.text,
        "formula": size_formula(spec, layer.stride, layer.dilation),
        "kernel": described(spec),
        "milliseconds": milliseconds,
        "low": float(shown.min()),
        "high": float(shown.max()),
    }


def grids_asked(question: dict[str, Any], layer: ConvLayer) -> list[Array]:
    """One or two kernels of the layer's kernel_size, or none where weights are to be drawn."""
    if "grids" not in question:
        return []
    grids = member(question, "grids", list, "a list of one or two kernels")
    if len(grids) not in (1, 2):
        raise BadRequestError("grids must be a list of one or two kernels")
    made: list[Array] = []
    for grid in grids:
        if not isinstance(grid, list) or not all(isinstance(row, list) for row in grid):
            raise BadRequestError("a kernel must be a list of rows")
        for value in (value for row in grid for value in row):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConvTypeError(f"kernel value (={value!r}) must be a number: use 0")
            if not abs(value) <= 1e6:
                raise ConvValueError(f"kernel value (={value}) must be from -1e6 to 1e6: use a smaller one")
        if (len(grid), *{len(row) for row in grid}) != layer.kernel_size:
            raise ConvValueError(
                f"kernel_size (={layer.kernel_size}) must be the drawn kernel's, "
                f"{len(grid)} rows of {', '.join(str(len(row)) for row in grid)}: use the same"
            )
        made.append(np.array(grid, np.float32))
    return made


def photograph(body: bytes, channels: int) -> Array:
    """(channels, height, width), 0 black and 1 white, of an image file.

    Raises ConvValueError for a file that is empty, no image, cut, or above MEGAPIXELS by its header.
    """
    from convforge.draw.photograph import image_pixels, need_pillow

    image_module = need_pillow()
    from PIL import ImageOps

    if not body:
        raise ConvValueError("the photograph is empty: choose another file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with image_module.open(io.BytesIO(body), formats=FORMATS) as image:
                megapixels = image.width * image.height / 1e6
                if megapixels > MEGAPIXELS:
                    raise ConvValueError(
                        f"the photograph has {megapixels:.1f} megapixels, more than {MEGAPIXELS:g}: shrink it"
                    )
                image.load()
                upright = ImageOps.exif_transpose(image)
    except ConvforgeError:
        raise
    except (image_module.UnidentifiedImageError, image_module.DecompressionBombError):
        raise ConvValueError(
            f"the file is not an image of a known kind ({', '.join(FORMATS)}): save it as PNG or JPEG"
        ) from None
    except Exception as error:  # a decoder raises whatever it likes on a damaged file
        raise ConvValueError(
            f"the photograph is damaged or cut short ({one_line(reason(error))}): choose another"
        ) from None
    pixels, _ = image_pixels(upright, "the photograph", channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def check_work(spec: ConvSpec) -> None:
    """Refuses what would take minutes or fill the memory. Raises ConvValueError."""
    if math.prod(spec.output_shape) > LARGEST_OUTPUT or 0 in spec.output_shape:
        raise ConvValueError(
            f"stride makes an output of {list(spec.output_shape[1:])}, and 1 to {LARGEST_OUTPUT} numbers can "
            "be shown: use another stride, less padding or fewer channels"
        )
    windows = math.prod(spec.input_shape if spec.transposed else spec.output_shape)
    others = (spec.out_channels if spec.transposed else spec.in_channels) // spec.groups
    work = windows * others * math.prod(spec.kernel_size)
    if work > LARGEST_WORK or max(spec.kernel_size) > LARGEST_KERNEL:
        raise ConvValueError(
            f"kernel_size (={spec.kernel_size}) makes {work} multiplications: use at most {LARGEST_WORK}, "
            f"and a kernel of at most {LARGEST_KERNEL}"
        )


def convolved(
    layer: ConvLayer, spec: ConvSpec, pixels: Array, grids: list[Array], seed: int
) -> tuple[Array, float]:
    """(out_channels, height, width) by the real layer, and the milliseconds of its second call."""
    from convforge.autograd.grad_mode import no_grad
    from convforge.autograd.tensor import from_data

    modules = [module_of(layer, weight_of(grid, spec), seed) for grid in grids] or [
        module_of(layer, None, seed)
    ]
    answers: list[Array] = []
    seconds = 0.0
    with no_grad():
        x = from_data(pixels[None])
        for module in modules:
            module(x)  # forges the kernel, which is not what is asked
            start = time.perf_counter()
            answers.append(module(x).numpy()[0])
            seconds += time.perf_counter() - start
    return answers[0] if len(answers) == 1 else np.hypot(*answers), 1e3 * seconds


def weight_of(grid: Array, spec: ConvSpec) -> Array:
    """The weight that applies one kernel to every colour."""
    from convforge.draw.filters import spread

    return spread(grid, spec.weight_shape, groups=spec.groups, transposed=spec.transposed)


def module_of(layer: ConvLayer, weight: Array | None, seed: int) -> Any:
    """The layer as a module of the library, its weights drawn as PyTorch draws them where none are given."""
    from convforge.autograd.grad_mode import no_grad
    from convforge.autograd.random import manual_seed
    from convforge.autograd.tensor import from_data
    from convforge.nn import conv

    manual_seed(seed)
    arguments: dict[str, Any] = {"output_padding": layer.output_padding} if layer.transposed else {}
    module = getattr(conv, layer.name)(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias,
        padding_mode=layer.padding_mode,
        **arguments,
    )
    if weight is not None:
        with no_grad():
            module.weight.copy_(from_data(weight))
            if module.bias is not None:
                module.bias.zero_()
    return module


def png(output: Array, shows: str) -> bytes:
    """The numbers as a picture: grey or RGB.

    shows: "image" 0…1 as they are, "signed" zero in the middle, "magnitude" zero is black, "any" lowest to
        highest.
    """
    from PIL import Image

    if shows == "signed":
        output = 0.5 + output / (2 * (float(np.abs(output).max()) or 1))
    elif shows == "magnitude":
        output = output / (float(np.abs(output).max()) or 1)
    elif shows == "any":
        low, high = float(output.min()), float(output.max())
        output = (output - low) / (high - low or 1)
    levels = np.rint(np.clip(output, 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    # Level 1: a photograph of 16 megapixels in a second, and it goes no further than this machine.
    Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0)).save(
        file, "PNG", compress_level=1
    )
    return file.getvalue()


def described(spec: ConvSpec) -> str:
    """The kernel that the planner takes, in words."""
    from convforge import plan

    return plan.describe(spec)
