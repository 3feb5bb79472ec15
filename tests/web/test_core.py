"""The page's own arithmetic (static/core.js) against Python's, over thousands of configurations.

Both are asked the same: which configurations there are at all, sizes, contacts, formula, numbers, outputs;
and of transposed layers that the three ways to see them have one result.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest

from convforge.web import Explorer, api

pytestmark = pytest.mark.xdist_group("browser")

BATCHES, BATCH = 10, 300

ASK = """async (questions) => {
  const core = await import("/core.js");
  return questions.map(({ layer, input_size, numbers }) => {
    const kinds = { seed: numbers.seed, input: numbers.input, weight: numbers.weight };
    const model = core.modelOf(layer, input_size, kinds);
    if (!model) return null;
    const { spec, axes } = model;
    const output = [];
    for (let out = 0; out < spec.out_channels; out++) {
      output.push(...core.outputChannel(spec, axes, model.numbers, out));
    }
    return {
      input_size: spec.input_size,
      output_size: spec.output_size,
      kernel_size: spec.kernel_size,
      padding: spec.padding,
      padding_mode: spec.padding_mode,
      formula: core.formulaOf(spec),
      sources: axes.map((axis) => axis.sources),
      unread: axes.map((axis) => axis.unread),
      contacts: axes.map((axis) => axis.contacts.map((met) => met.map((c) => [c.tap, c.position, c.source]))),
      numbers: { ...model.numbers, output },
    };
  });
}"""

WAYS = """async (questions) => {
  const [core, ways] = await Promise.all([import("/core.js"), import("/ways.js")]);
  return questions.map(({ layer, input_size, numbers }) => {
    const { spec, axes, numbers: arrays } = core.modelOf(layer, input_size, numbers);
    const inside = core.positions(spec.input_size).length;
    const taps = core.positions(spec.kernel_size).length;
    const found = [];
    for (let out = 0; out < spec.out_channels; out++) {
      const sums = [0, 1, 2].map(() => new Array(core.positions(spec.output_size).length).fill(0));
      const [first, stop] = core.channelsRead(spec, out);
      for (let channel = first; channel < stop; channel++) {
        const x = arrays.input.slice(channel * inside, (channel + 1) * inside);
        const start = core.weightStart(spec, out, channel);
        const kernel = arrays.weight.slice(start, start + taps);
        const results = [
          ways.folded(spec, axes, ways.scattered(spec, x, kernel)),
          ways.folded(spec, axes, ways.gathered(spec, ways.spread(spec, x), kernel)),
          ways.multiplied(ways.matrixOf(spec, axes, arrays, out, channel), x),
        ];
        results.forEach((values, way) => values.forEach((value, i) => (sums[way][i] += value)));
      }
      found.push(sums.map((values) => values.map((value) => value + (arrays.bias ? arrays.bias[out] : 0))));
    }
    return found;
  });
}"""


def question(dice: random.Random) -> dict[str, Any]:
    """A layer of one of the six kinds and an input; every other one is refused, for every kind of reason."""
    rank = dice.choice((1, 1, 2, 2, 2, 3))
    transposed = dice.random() < 0.4
    side = {1: 12, 2: 6, 3: 4}[rank]

    def each(low: int, high: int) -> Any:
        if dice.random() < 0.6:
            return dice.randint(low, high)
        return [dice.randint(low, high) for _ in range(rank if dice.random() < 0.985 else rank + 1)]

    groups = dice.choice((1, 1, 1, 2, 3))
    padding: Any = each(0, 3)
    if dice.random() < 0.15:
        padding = [[dice.randint(0, 2), dice.randint(0, 3)] for _ in range(rank)]
    elif dice.random() < 0.15:
        padding = dice.choice(("same", "same", "same", "valid", "causal", "full"))
    layer = {
        "rank": rank,
        "transposed": transposed,
        "in_channels": groups * dice.randint(1, 2) if dice.random() < 0.93 else dice.randint(0, 3),
        "out_channels": groups * dice.randint(1, 2) if dice.random() < 0.93 else dice.randint(0, 3),
        "kernel_size": each(1, 3),
        "stride": each(1, 3),
        "padding": padding,
        "dilation": each(1, 3),
        "groups": groups,
        "bias": dice.random() < 0.7,
        "padding_mode": dice.choice(("zeros", "zeros", "reflect", "replicate", "circular")),
    }
    if transposed:
        layer["output_padding"] = dice.choice((0, 0, each(0, 2)))
    elif dice.random() < 0.03:
        layer["output_padding"] = each(0, 1)
    if dice.random() < 0.06:
        name = dice.choice(
            [name for name in layer if name not in ("rank", "transposed", "bias", "padding_mode")]
        )
        layer[name] = dice.choice((0, -1, 1.5, "x", [], [[1]], 10**7, True, None))
    size = [dice.randint(2, side) for _ in range(rank)]
    if dice.random() < 0.02:
        size[0] = dice.choice((0, 64, 65, -1))
    numbers = {
        "seed": 2**31 if dice.random() < 0.02 else dice.choice((0, 1, dice.randrange(2**31), 2**31 - 1)),
        "input": dice.choice(("random", "random", "counting", "ones", "impulse")),
        "weight": dice.choice(("random", "random", "counting", "ones", "impulse")),
    }
    return {"layer": layer, "input_size": size, "numbers": numbers}


@pytest.fixture(scope="module")
def page(browser: Any, explorer: Explorer) -> Iterator[Any]:
    opened = browser.new_page()
    opened.goto(f"{explorer.url}icon.svg")
    yield opened
    opened.close()


@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_pages_arithmetic_is_pythons(page: Any, batch: int) -> None:
    dice = random.Random(batch)
    questions = [question(dice) for _ in range(BATCH)]
    answers = page.evaluate(ASK, questions)
    refused = 0
    for asked, ours in zip(questions, answers, strict=True):
        theirs = json.loads(json.dumps(api.answer("/api/trace", asked)))
        said = json.dumps(asked)
        if "error" in theirs:
            refused += 1
            assert ours is None, f"{said}: {theirs['error']}"
            continue
        assert ours is not None, said
        for name in ("input_size", "output_size", "kernel_size", "padding", "padding_mode"):
            assert ours[name] == theirs["spec"][name], said
        assert ours["formula"] == theirs["formula"], said
        for name in ("sources", "unread", "contacts"):
            assert ours[name] == [axis[name] for axis in theirs["axes"]], said
        assert ours["numbers"] == theirs["numbers"], said
    assert BATCH // 6 < refused < BATCH // 2  # both kinds of answer are compared


def test_three_ways_to_see_a_transposed_layer_are_the_layer(page: Any) -> None:
    dice = random.Random(99)
    questions: list[dict[str, Any]] = []
    answers: list[Any] = []
    while len(questions) < 80:
        asked = question(dice)
        answer = api.answer("/api/trace", asked)
        if asked["layer"]["transposed"] and "error" not in answer:
            questions.append(asked)
            answers.append(answer)
    for asked, answer, ways in zip(questions, answers, page.evaluate(WAYS, questions), strict=True):
        for way in range(3):
            flat = [value for channel in ways for value in channel[way]]
            assert flat == answer["numbers"]["output"], f"{asked}, way {way}"


def test_texts_become_the_values_that_pytorch_takes(page: Any) -> None:
    spelled = {
        "3": 3,
        " 3 ": 3,
        "-1": -1,
        "3, 5": [3, 5],
        "(3, 5)": [3, 5],
        "(3,)": [3],
        "[3, 5]": [3, 5],
        "(1, 2), (0, 1)": [[1, 2], [0, 1]],
        "((1, 2), (0, 1))": [[1, 2], [0, 1]],
        "same": "same",
        "'same'": "same",
        "": "",
        "1.5": 1.5,
        "3,,5": "3,,5",
        "99999999999999999999": "99999999999999999999",
        "x": "x",
    }
    script = """async (texts) => {
      const { parseValue, spell } = await import("/state.js");
      return texts.map((text) => [parseValue(text), spell(parseValue(text))]);
    }"""
    for (text, value), (parsed, again) in zip(
        spelled.items(), page.evaluate(script, list(spelled)), strict=True
    ):
        assert parsed == value, text
        # What is spelled again is one value for all axes where they agree.
        first = value[0] if isinstance(value, list) and len(set(map(str, value))) == 1 else value
        assert page.evaluate(script, [again])[0][0] == first, text


def test_every_text_is_there_in_both_languages(page: Any) -> None:
    words = page.evaluate("async () => (await import('/words.js')).allWords()")
    assert len(words) > 100
    for name, (english, chinese) in words.items():
        assert english, name
        assert chinese, name
        blanks = [sorted(set(re.findall(r"\{(\w+)\}", text))) for text in (english, chinese)]
        assert blanks[0] == blanks[1], name
