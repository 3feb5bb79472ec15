"""Apply a convolution layer to photographs and draw before and after.

  convforge apply --demo
  convforge apply photo.jpg --layer "Conv2d(3, 1, 3)" --kernel sobel
  convforge apply photos/ --layer "ConvTranspose2d(3, 1, 3, stride=2)" --seed 2 --out results/
  convforge apply photo.jpg --layer "Conv2d(3, 64, 7, 2, 3, bias=False)" --kernel resnet.safetensors:conv1

The photograph becomes numbers from 0 (black) to 1 (white), shape (1, channels, height, width), with as many
channels as the layer takes: 1 grey, 3 RGB, 4 RGBA. It is turned upright by its EXIF tag; transparency that
the layer has no channel for is laid over white.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convforge.cli import picture
from convforge.cli.convolve import DEFAULT_INIT, INITS, Applied, ReadyLayer, apply_layer, build_layer
from convforge.cli.failure import CliError, readable
from convforge.cli.filters import NAMES
from convforge.cli.layer_option import read_layer
from convforge.cli.output_file import RAW, choose_outputs, write_whole
from convforge.cli.photograph import (
    MEGAPIXELS,
    Photograph,
    check_channels,
    demo_photograph,
    find_photographs,
    load_photograph,
    need_pillow,
)
from convforge.explain.spelling import LayerText

DEMO_INIT = "xavier_normal"
LAYER = "Conv2d(3, 1, 3)"
SEED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge apply`."""
    parser.add_argument("photographs", nargs="*", metavar="PHOTO", help="image files, or folders of them")
    parser.add_argument(
        "--demo",
        action="store_true",
        help=f"use a photograph that comes with matplotlib, and --init {DEMO_INIT}",
    )
    parser.add_argument(
        "--layer",
        default=LAYER,
        metavar="TEXT",
        help=f'as in PyTorch: "{LAYER}" (the default), a transposed or lazy one',
    )
    parser.add_argument(
        "--kernel",
        metavar="NAME|FILE",
        help=f"one of {', '.join(NAMES)}; or a .npy, .npz or .safetensors file (FILE:KEY: one entry)",
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, help=f"of the drawn weights, as torch.manual_seed ({SEED})"
    )
    parser.add_argument(
        "--init", choices=INITS, metavar="NAME", help=f"how weights are drawn: {', '.join(INITS)}"
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="a picture (.png, .jpg, .pdf, .svg, …), .npy for the raw numbers, or a folder (out/)",
    )
    parser.add_argument("--result-only", action="store_true", help="write the result alone, at its own size")
    parser.add_argument(
        "--megapixels",
        type=float,
        default=MEGAPIXELS,
        metavar="N",
        help=f"largest photograph read ({MEGAPIXELS:g})",
    )


def run(options: argparse.Namespace) -> int:
    """Applies the layer to every photograph.

    Returns 0, or 2 where some of several photographs failed; each of them has a line on stderr.
    """
    need_pillow()
    picture.need_matplotlib()
    if options.demo:
        options.photographs.append(str(demo_photograph()))
    if not options.photographs:
        raise CliError("apply: no photograph: name one, or a folder of them, or use --demo")
    if not -(2**63) <= options.seed < 2**64:
        raise CliError(f"--seed {options.seed}: outside 64 bits: use a number from 0 to {2**64 - 1}")
    if not 0 < options.megapixels < math.inf:
        raise CliError(f"--megapixels {options.megapixels}: must be a number above 0: use {MEGAPIXELS:g}")
    layer = read_layer(options.layer)
    photographs = find_photographs(options.photographs)
    outputs = choose_outputs(photographs, options.out)
    init = options.init or (DEMO_INIT if options.demo else DEFAULT_INIT)
    work = Work(layer, init, options)
    if len(photographs) == 1:
        [photograph], [output] = photographs, outputs
        applied = work.one(photograph, output)
        print(work.explain(applied))
        print(f"wrote        {readable(output)}")
        return 0
    return work.several(photographs, outputs)


class Work:
    """One layer on one photograph after another: it is built once, a lazy one with the first photograph."""

    def __init__(self, layer: LayerText, init: str, options: argparse.Namespace) -> None:
        self.layer = layer
        self.init = init
        self.options = options
        self.ready: ReadyLayer | None = None
        self.photograph: Photograph | None = None
        if not layer.is_lazy:
            self.ready = self.build(3)

    def build(self, channels: int) -> ReadyLayer:
        """The layer; `channels` matters to a lazy one only."""
        options = self.options
        ready = build_layer(self.layer, channels, kernel=options.kernel, init=self.init, seed=options.seed)
        check_channels(ready.in_channels)
        return ready

    def one(self, path: Path, output: Path) -> Applied:
        """Reads, applies, writes. Raises CliError."""
        channels = self.ready.in_channels if self.ready else None
        photograph = load_photograph(path, channels, self.options.megapixels)
        if self.ready is None:
            self.ready = self.build(photograph.pixels.shape[2])
        applied = apply_layer(self.ready, photograph.pixels, readable(path))
        self.photograph = photograph
        write_whole(output, self.writer(photograph, applied, output))
        return applied

    def several(self, photographs: list[Path], outputs: list[Path]) -> int:
        """All of them under a progress bar; a photograph that fails does not stop the others."""
        failed = 0
        told = False
        for path, output in progress(list(zip(photographs, outputs, strict=True))):
            try:
                applied = self.one(path, output)
            except CliError as error:
                say(f"convforge: {error}", sys.stderr)
                failed += 1
                continue
            if self.ready is not None and not told:
                say(f"layer        {self.ready.text}\nweights      {self.ready.weights_from}", sys.stdout)
                told = True
            before, after = size_text(applied.spec.input_shape), size_text(applied.spec.output_shape)
            say(
                f"{readable(path)}: {before} -> {after}, {milliseconds(applied.best_s)}: {readable(output)}",
                sys.stdout,
            )
        done = len(photographs) - failed
        print(f"{done} of {len(photographs)} photographs done")
        return 2 if failed else 0

    def explain(self, applied: Applied) -> str:
        """The lines printed for a single photograph."""
        assert self.ready is not None
        assert self.photograph is not None
        words, *axes = applied.formula
        lines = [
            f"photograph   {readable(self.photograph.path.name)} ({self.photograph.mode})",
            f"layer        {self.ready.text}",
            f"weights      {self.ready.weights_from}",
            f"size before  {size_text(applied.spec.input_shape)}",
            f"size after   {size_text(applied.spec.output_shape)}",
            f"formula      {words}",
            *(f"             {axis}" for axis in axes),
            f"kernel       {applied.kernel}",
            f"time         {milliseconds(applied.best_s)} (first call {milliseconds(applied.first_s)})",
        ]
        return "\n".join(lines)

    def writer(self, photograph: Photograph, applied: Applied, output: Path) -> Any:
        """The function that writes the result into an open file, by the output's suffix."""
        assert self.ready is not None
        ready = self.ready
        suffix = output.suffix.lower().lstrip(".")
        if output.suffix.lower() == RAW:
            return lambda file: np.save(file, applied.output)
        if self.options.result_only and suffix not in ("pdf", "svg"):
            image = need_pillow().fromarray(picture.to_image(applied.output[0], ready.shows))
            kind = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
            return lambda file: image.save(file, format=kind)
        words, *axes = applied.formula
        name = shorten(readable(photograph.path.name))
        scene = picture.Scene(
            title=ready.text,
            before=photograph.pixels,
            before_caption=f"{name}   {size_text(applied.spec.input_shape)}",
            after=applied.output[0],
            after_caption=size_text(applied.spec.output_shape),
            kernels=ready.kernels(),
            shows=ready.shows,
            notes=(
                f"weights   {ready.weights_from}",
                f"size   {words}",
                f"          {'        '.join(axes)}",
                f"kernel   {applied.kernel}   {milliseconds(applied.best_s)}",
            ),
        )
        return lambda file: picture.draw(scene, file, suffix)


def shorten(name: str, longest: int = 32) -> str:
    """A file name that fits over a picture: its beginning and its end."""
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-longest // 2 :]}"


def size_text(shape: tuple[int, ...]) -> str:
    """`torch.Size([1, 3, 512, 512])`, as PyTorch prints it."""
    from convforge.autograd.size import Size

    return repr(Size(shape))


def milliseconds(seconds: float) -> str:
    """`1.23 ms`."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds * 1e3:.0f} ms"


def progress(items: list[tuple[Path, Path]]) -> Iterator[tuple[Path, Path]]:
    """The items under a progress bar on stderr, if that is a terminal."""
    try:
        from tqdm import tqdm
    except ImportError:
        raise CliError("several photographs need tqdm: pip install 'convforge[image]'") from None
    yield from tqdm(items, unit="photo", disable=None, file=sys.stderr)


def say(text: str, stream: Any) -> None:
    """Prints a line without tearing the progress bar."""
    from tqdm import tqdm

    tqdm.write(text, file=stream)
