"""An animated SVG shows every frame in its time, and the last one where motion is not wanted."""

from __future__ import annotations

import re
from functools import cache
from itertools import accumulate

import pytest
from hypothesis import given, strategies as st

from convforge.draw.animated_svg import merge
from convforge.draw.animation import Animation
from convforge.draw.animations import ANIMATIONS, animation
from convforge.draw.svg import element
from support.animated import parts_of, read_animated
from support.drawn import SVG

LETTERS = st.lists(st.sampled_from("abcdef"), max_size=8)
SMALL = {
    "sliding": {"layer": "Conv2d(1, 1, 2, padding=1)", "input_size": 2},
    "transposed": {"layer": "ConvTranspose2d(2, 1, 2, stride=2)", "input_size": 2},
    "dilation": {"dilations": (1, 2, 3)},
    "groups": {"layer": "Conv1d(4, 6, 3)"},
}


def fresh(name: str, language: str = "en") -> Animation:
    return animation(name, **SMALL[name], language=language)


made = cache(fresh)


@given(st.lists(LETTERS, min_size=1, max_size=6))
def test_every_frame_is_found_in_what_was_merged(frames):
    bodies = [[element(letter) for letter in frame] for frame in frames]
    merged = merge(bodies)
    for number, body in enumerate(bodies):
        assert [part for part, shown in merged if number in shown] == body
    assert all(shown for _, shown in merged)


def test_what_stands_still_is_written_once():
    bodies = [[element("a"), element(letter), element("z")] for letter in "bcd"]
    merged = merge(bodies)
    assert len(merged) == 5
    assert [part.tag for part, shown in merged if len(shown) == 3] == ["a", "z"]


@pytest.mark.parametrize("name", SMALL)
def test_each_frame_is_shown_in_its_time(name):
    moving = made(name, "zh")
    read = read_animated(moving.svg)
    assert read.seconds == pytest.approx(sum(moving.seconds), abs=0.01)
    ends = list(accumulate(moving.seconds))
    for frame, end, seconds in zip(moving.frames, ends, moving.seconds, strict=True):
        for share in (0.05, 0.5, 0.95):
            assert read.shown(end - seconds * share) == parts_of(frame.svg)
    # At rest, and around again.
    assert read.shown(None) == parts_of(moving.frames[-1].svg)
    assert read.shown(ends[-1] + 0.01) == parts_of(moving.frames[0].svg)


@pytest.mark.parametrize("name", SMALL)
def test_it_stands_where_motion_is_not_wanted(name):
    read = read_animated(made(name).svg)
    own = read.root.attrib["class"].split()[-1]
    assert f"@media print,(prefers-reduced-motion:reduce){{.{own} .{own}-f{{animation:none}}}}" in read.style
    assert f".{own}:hover .{own}-f{{animation-play-state:paused}}" in read.style


@pytest.mark.parametrize("name", SMALL)
def test_it_stands_alone(name):
    moving = made(name)
    read = read_animated(moving.svg)
    assert read.root.attrib["role"] == "img"
    assert read.root.find(f"{SVG}title").text == moving.title
    assert "http" not in moving.svg.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in moving.svg
    # Every class of what is painted has a rule.
    used = {
        node.attrib["class"] for part in list(read.root) for node in part.iter() if "class" in node.attrib
    }
    for name_of_class in used:
        last = name_of_class.split()[-1]
        assert re.search(rf"\.{re.escape(last)}[ {{]", read.style), name_of_class


@pytest.mark.parametrize("name", SMALL)
def test_sharing_makes_it_small(name):
    moving = made(name)
    assert len(moving.svg) < 0.8 * sum(len(frame.svg) for frame in moving.frames)


@pytest.mark.parametrize("name", SMALL)
def test_the_same_animation_is_the_same_bytes(name):
    assert fresh(name).svg == made(name).svg
    assert made(name).svg != made(name, "zh").svg


def test_two_animations_in_one_page_do_not_meet():
    first, second = (read_animated(made(name).svg) for name in ("sliding", "groups"))
    assert not set(first.steps) & set(second.steps)


def test_every_animation_is_known():
    assert set(SMALL) | {"scan"} == set(ANIMATIONS)
    with pytest.raises(ValueError, match="did you mean sliding"):
        animation("slide")
