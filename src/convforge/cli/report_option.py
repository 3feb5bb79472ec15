"""How a report is to be printed: the options that all commands have that print one."""

from __future__ import annotations

import argparse

from convforge.explain.report import Reported

FORMATS = ("text", "markdown", "json", "html")


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Declares --format and --language."""
    parser.add_argument(
        "--format",
        default="text",
        choices=FORMATS,
        metavar="WORD",
        help="text, markdown, json or html (text)",
    )
    parser.add_argument("--language", choices=("en", "zh"), metavar="WORD", help="en or zh (the system's)")


def print_report(report: Reported, options: argparse.Namespace) -> None:
    """Prints a report as the options say."""
    match options.format:
        case "json":
            print(report.json())
        case "markdown":
            print(report.markdown(options.language), end="")
        case "html":
            print(report.html(options.language))
        case _:
            print(report.text(options.language))
