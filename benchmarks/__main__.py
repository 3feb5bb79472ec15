"""`python -m benchmarks layers | backward | numbers | scaling | small | startup | memory | explorer`."""

from __future__ import annotations

import argparse
import sys

from benchmarks import backward, explorer, layers_command, memory, numbers, scaling, small, startup

COMMANDS = {
    "layers": (layers_command, "time every layer of the table against the peers"),
    "backward": (backward, "time the gradients of input and weight against PyTorch"),
    "numbers": (numbers, "make every run behind the goals, and compare the means with them"),
    "scaling": (scaling, "time an image over batches, a pixel over sizes; count compiles over lengths"),
    "small": (small, "time the smallest call against PyTorch"),
    "startup": (startup, "time the import, the first call, and the first call from the disk cache"),
    "memory": (memory, "print the workspace that the plan of each layer asks for"),
    "explorer": (explorer, "time the explorer's first paint, and its sliders"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
