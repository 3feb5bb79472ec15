"""Advise on a layer, a stack or a model: every rule of choosing parameters, with evidence and a fix.

  convforge advise "Conv2d(64, 64, 5, padding=2)" --input 64x56x56
  convforge advise "Conv2d(8, 8, 3, dilation=2), Conv2d(8, 8, 3, dilation=2)" --input 8x64x64 --language zh
  convforge advise mynet:build --input 3x224x224 --measure
  convforge advise --principles

A stack is layers with commas between them, a model MODULE:NAME; its code is followed by shape. Only with
--measure is anything run.
"""

from __future__ import annotations

import argparse
import json

from convforge.cli.failure import CliError, readable, reason
from convforge.cli.model_option import read_shape
from convforge.cli.report_option import add_report_options, print_report
from convforge.cli.stack_option import read_stack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `convforge advise`."""
    parser.add_argument("what", nargs="?", metavar="LAYER|MODEL", help='"Conv2d(3, 8, 3)", or MODULE:NAME')
    parser.add_argument("--input", metavar="CxHxW", help="channels and sizes of one input: 3x224x224")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="inputs of a call (1)")
    parser.add_argument("--measure", action="store_true", help="time what a rule says about speed")
    parser.add_argument("--small-device", action="store_true", help="also what small devices ask for")
    parser.add_argument("--principles", action="store_true", help="list the principles and stop")
    add_report_options(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the findings, or the principles."""
    from convforge.explain.advice import advise

    if options.principles:
        print(_principles(options.format, options.language))
        return 0
    if options.what is None or options.input is None:
        raise CliError('advise: say on what: advise "Conv2d(3, 64, 3)" --input 3x224x224, or --principles')
    batch, *size = shape = read_shape(options.input, options.batch)
    what = read_stack(options.what, shape, "advise")
    try:
        found = advise(
            what,
            tuple(size),
            batch=batch,
            measure=options.measure,
            small_device=options.small_device,
            language=options.language,
        )
    except Exception as error:  # whatever the user's own code raises
        place = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        raise CliError(
            f"advise: {readable(options.what)} on {readable(options.input)}: {reason(error)}{place}"
        ) from None
    print_report(found, options)
    return 0


def _principles(form: str, language: str | None) -> str:
    from convforge.explain.advice import principles

    listed = principles(language)
    if form == "json":
        return json.dumps({each.rule: each.text for each in listed}, ensure_ascii=False, indent=2)
    if form == "html":
        return "<ul>" + "".join(f"<li><code>{each.rule}</code> {each.text}</li>" for each in listed) + "</ul>"
    mark = "`" if form == "markdown" else ""
    return "\n".join(f"- {mark}{each.rule}{mark}: {each.text}" for each in listed)
