"""Photographs in the page: chosen, dropped, convolved, refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.page import (
    until,
)

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path_factory.mktemp("photo") / "photograph.png"
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    image.fromarray(pixels).save(path)
    return path


def shown_size(page: Any, name: str) -> list[int]:
    until(page, "id => document.querySelector(`[data-testid=${id}]`)?.complete", arg=f"photo-{name}")
    return page.get_by_test_id(f"photo-{name}").evaluate("image => [image.naturalHeight, image.naturalWidth]")


def test_a_photograph_is_convolved(open_page: Any, photograph: Path) -> None:
    page = open_page({"view": "photo"})
    page.get_by_test_id("photo-file").set_input_files(photograph)
    page.get_by_test_id("photo-after").wait_for()
    assert (shown_size(page, "before"), shown_size(page, "after")) == ([30, 40], [30, 40])
    source = page.get_by_test_id("photo-after").get_attribute("src")
    page.get_by_test_id("photo-kernel-select").select_option("laplacian")
    until(page, "was => document.querySelector('[data-testid=photo-after]')?.src !== was", arg=source)
    until(page, "document.querySelector('[data-testid=kernel-cell-1-1]')?.value === '-4'")
    page.get_by_test_id("stride-field").fill("2")
    until(page, "document.querySelector('[data-testid=photo-after-size]')?.textContent === '15 × 20'")
    page.get_by_test_id("photo-side-select").select_option("5")
    page.get_by_test_id("kernel-cell-4-4").wait_for()
    page.get_by_test_id("kernel-cell-0-0").fill("9")
    page.get_by_test_id("kernel-cell-0-0").press("Enter")
    until(page, "document.querySelector('[data-testid=photo-kernel-select]')?.value === 'drawn'")
    assert "kernel=drawn" in page.url
    assert "grid=9," in page.url
    page.get_by_test_id("kernel-cell-0-0").fill("nine")
    page.get_by_test_id("kernel-cell-0-0").press("Enter")
    page.get_by_test_id("photo-error").get_by_text("kernel value (='nine') must be a number").wait_for()
    assert page.get_by_test_id("photo-after").is_visible()
    page.get_by_test_id("photo-own").check()
    page.get_by_test_id("photo-error").get_by_text("use 3").wait_for(state="detached")
    page.get_by_test_id("in_channels-field").fill("3")
    page.get_by_text("Conv2d(3, 1, 3, stride=2, padding=1)", exact=True).wait_for()


def test_a_photograph_is_dropped(open_page: Any, photograph: Path) -> None:
    page = open_page({"view": "photo"})
    drop = page.get_by_test_id("drop")
    drop.wait_for()
    data = page.evaluate_handle(
        "bytes => { const data = new DataTransfer();"
        "data.items.add(new File([new Uint8Array(bytes)], 'p.png')); return data; }",
        list(photograph.read_bytes()),
    )
    drop.dispatch_event("dragover", {"dataTransfer": data})
    assert drop.evaluate("zone => zone.classList.contains('over')")
    drop.dispatch_event("drop", {"dataTransfer": data})
    page.get_by_test_id("photo-after").wait_for()
    page.get_by_test_id("photo-sample").click()
    until(page, "document.querySelector('[data-testid=photo-before-size]').textContent === '240 × 320'")


def test_a_broken_photograph_is_refused_with_the_reason(
    open_page: Any, photograph: Path, tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    page = open_page({"view": "photo"})
    choose, error = page.get_by_test_id("photo-file"), page.get_by_test_id("photo-error")

    def refused(name: str, content: bytes, words: str) -> None:
        choose.set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
        error.get_by_text(words).wait_for()

    refused("text.png", b"not an image", "not an image of a known kind")
    refused("cut.png", photograph.read_bytes()[:900], "damaged or cut short")
    refused("empty.png", b"", "is empty")
    file = io.BytesIO()
    image.new("1", (5000, 4000)).save(file, "PNG")
    refused("wide.png", file.getvalue(), "20.0 megapixels, more than 16")
    large = tmp_path / "large.png"
    large.write_bytes(b"x" * (20 * 2**20 + 1))
    choose.set_input_files(large)
    error.get_by_text("20.0 MB, more than 20 MB").wait_for()
    choose.set_input_files(photograph)
    page.get_by_test_id("photo-after").wait_for()
    assert error.inner_text() == ""
