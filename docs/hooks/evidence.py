"""The evidence under each principle, computed while the site is built.

A line `@evidence two-3x3` of a page becomes the principle, a layer or stack that breaks it, what `advise`
finds in it with its numbers, the fix and its effect. Counts are computed on the spot. Times are measured by
`python docs/hooks/measure_times.py`, which writes them with their machine to `evidence_times.json`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from cases import CASES, Case
from mkdocs.exceptions import PluginError

from convforge.explain import Finding, Language, Words, advise, compare, principles

TIMES = Path(__file__).with_name("evidence_times.json")
LINE = re.compile(r"^@evidence ([\w-]+)$", re.MULTILINE)
MACHINE = re.compile(r"^@evidence-machine$", re.MULTILINE)

EXAMPLE = Words("**Example.** {layers} on an input of {size}.", "**例子**：{layers}，输入 {size}。")
FOUND = Words("**Found.** {what}", "**发现**：{what}")
INSTEAD = Words("**Instead.** {layers}", "**改为**：{layers}")
EFFECT = Words("**Effect.** {effect}.", "**效果**：{effect}。")
INPUT = Words("an input of {size}", "尺寸为 {size} 的输入")
COUNTED = Words(
    "**Counted.** multiplications {before:,} → {after:,}, {share:.1%} of them.",
    "**计数**：乘法 {before:,} → {after:,}，为原来的 {share:.1%}。",
)
TIMED = Words(
    "**Measured** on the machine named above: {before:.3g} ms → {after:.3g} ms, {share:.0%} of the time.",
    "**实测**（机器见上文）：{before:.3g} ms → {after:.3g} ms，用时为原来的 {share:.0%}。",
)
MACHINE_TEXT = Words(
    "Times: {processor}, {features}, threads: {threads}, float32, batch 1, measured on {date} with "
    "convforge {version}: medians of interleaved rounds. Measure again, on your machine, with `python "
    "docs/hooks/measure_times.py`.",
    "用时的测量条件：{processor}，{features}，{threads} 个线程，float32，批大小 1，{date} 用 "
    "convforge {version} 测得，取交替多轮的中位数。在自己的机器上重新测量："
    "`python docs/hooks/measure_times.py`。",
)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Evidence in the place of the lines that ask for it."""
    language: Language = "zh" if config.theme["language"] == "zh" else "en"
    told: list[str] = []

    def shown(found: re.Match[str]) -> str:
        if found[1] not in CASES:
            raise PluginError(f"{page.file.src_uri}: no principle is called {found[1]}")
        told.append(found[1])
        return evidence(found[1], language)

    markdown = LINE.sub(shown, markdown)
    if told and (missing := {each.rule for each in principles()} - set(told)):
        raise PluginError(f"{page.file.src_uri} does not speak of {sorted(missing)}")
    return MACHINE.sub(lambda _: machine(language), markdown)


def evidence(rule: str, language: Language) -> str:
    """The principle and its example as Markdown."""
    case = CASES[rule]
    texts = {each.rule: each.text for each in principles(language)}
    size = "×".join(map(str, case.input_size))
    lines = [EXAMPLE(language, layers=_codes(case.texts), size=size)]
    finding = finding_of(rule, case)
    if finding is None:
        lines.append(INSTEAD(language, layers=_codes(case.instead)))
        compared = compare(case.make(), list(case.instead), case.input_size, measure=False)
        products, fewer = compared.a.multiply_adds, compared.b.multiply_adds
        lines.append(COUNTED(language, before=products, after=fewer, share=fewer / products))
    else:
        lines.append(FOUND(language, what=finding.what(language)))
        fix = finding.fix
        assert fix is not None
        if fix.layers:
            lines.append(INSTEAD(language, layers=_codes(fix.texts)))
        elif fix.input_size:
            sized = "×".join(map(str, fix.input_size))
            lines.append(INSTEAD(language, layers=INPUT(language, size=sized)))
        lines.append(EFFECT(language, effect=fix.effect(language).rstrip(".。")))
    times = json.loads(TIMES.read_text("utf-8"))["milliseconds"].get(rule)
    if times is not None:
        before, after = times
        lines.append(TIMED(language, before=before, after=after, share=after / before))
    return "\n".join([f"> {texts[rule]}", "", *(f"- {line}" for line in lines)])


def finding_of(rule: str, case: Case) -> Finding | None:
    """What `advise` says of the case; None for the rule that the clock decides, which is measured instead."""
    found = advise(case.make(), case.input_size, small_device=case.small_device).findings
    findings = [each for each in found if each.rule == rule]
    if not findings and not case.instead:
        raise PluginError(f"{rule} finds nothing in its example, {case.texts}")
    return findings[0] if findings else None


def machine(language: Language) -> str:
    """What the times were measured on."""
    facts = dict(json.loads(TIMES.read_text("utf-8"))["machine"])
    facts["features"] = ", ".join(f"`{each}`" for each in facts["features"])
    return MACHINE_TEXT(language, **facts)


def _codes(texts: tuple[str, ...]) -> str:
    counted: list[tuple[str, int]] = []
    for text in texts:
        if counted and counted[-1][0] == text:
            counted[-1] = (text, counted[-1][1] + 1)
        else:
            counted.append((text, 1))
    return ", ".join(f"{count} × `{text}`" if count > 1 else f"`{text}`" for text, count in counted)
