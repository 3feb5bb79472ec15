"""`python -m benchmarks explorer`: how soon the explorer's page is painted, and how soon a dragged slider is.

Needs Playwright (in the test extras) and Debian's `chromium`. The first paint is the browser's own figure,
each in a browser that has just started. A slider's time runs from its event to the end of the frame that
shows the new drawing, the wait for that frame included, at an input of 16x16; the handler is the page's own
part of it. The first four steps warm the browser's compilers up and are not counted.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import threading
from typing import Any

from convforge.web import Explorer

BROWSER = "chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
SIZE = {"width": 1280, "height": 900}

WARM_UP = 4

# Each slider goes to and fro between two values.
SLIDERS = {
    "input_size": (15, 16),
    "in_channels": (1, 2),
    "out_channels": (1, 2),
    "kernel_size": (3, 4),
    "stride": (1, 2),
    "padding": (1, 2),
    "dilation": (1, 2),
    "output_padding": (0, 1),
}
# A transposed layer of stride 2 draws 33x33 outputs, and its own view 3500 cells in all.
DRAWINGS = (
    ("conv2d", "trace", 1),
    ("convtranspose2d", "trace", 2),
    ("convtranspose2d", "transposed", 2),
)

FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
BUSY = "document.querySelector('main').getAttribute('aria-busy') !== 'false'"
DRAG = """async ([name, values]) => {
  const slider = document.getElementById(`${name}-slider`);
  const [handled, painted] = [[], []];
  for (const value of values) {
    slider.value = value;
    const start = performance.now();
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    handled.push(performance.now() - start);
    // What is posted from an animation frame comes after its layout and paint.
    await new Promise((resolve) => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = resolve;
      channel.port2.postMessage(0);
    }));
    painted.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  return [handled, painted];
}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--browsers", type=int, default=5, help="browsers started for the first paint (5)")
    parser.add_argument("--drags", type=int, default=20, help="steps of each slider (20)")


def run(options: argparse.Namespace) -> int:
    """Prints both tables; exit status 2 where there is no browser."""
    browser = shutil.which(BROWSER)
    if browser is None:
        print("no browser: install Debian's package chromium", file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    with Explorer() as server, sync_playwright() as playwright:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()

        def launched() -> Any:
            return playwright.chromium.launch(executable_path=browser, args=list(ARGUMENTS))

        paints = sorted(first_paint(launched(), server.url) for _ in range(options.browsers))
        print(f"first paint  {statistics.median(paints):.0f} ms ({paints[0]:.0f} to {paints[-1]:.0f})\n")
        print(f"{'slider at 16x16':<42}{'handler':>10}{'painted':>10}{'longest':>10}")
        started = launched()
        for kind, view, stride in DRAWINGS:
            for name, between in SLIDERS.items():
                if name == "output_padding" and kind == "conv2d":
                    continue
                address = f"{server.url}#kind={kind}&view={view}&stride={stride}&input_size=16&kernel_size=3"
                values = (between * (options.drags + WARM_UP))[: options.drags + WARM_UP]
                handled, painted = drag(started, address, name, values)
                times = statistics.median(handled), statistics.median(painted), max(painted)
                print(f"{f'{kind}, {view}: {name}':<42}" + "".join(f"{time:>7.0f} ms" for time in times))
        started.close()
        server.shutdown()
    return 0


def first_paint(browser: Any, url: str) -> float:
    page = opened(browser, url)
    found = page.evaluate(FIRST_PAINT)
    browser.close()
    return float(found)


def drag(browser: Any, address: str, name: str, values: tuple[int, ...]) -> tuple[list[float], list[float]]:
    page = opened(browser, address)
    handled, painted = page.evaluate(DRAG, [name, values])
    page.close()
    return handled[WARM_UP:], painted[WARM_UP:]


def opened(browser: Any, address: str) -> Any:
    page = browser.new_page(viewport=SIZE)
    page.goto(address)
    while page.evaluate(BUSY):
        page.wait_for_timeout(15)
    return page
