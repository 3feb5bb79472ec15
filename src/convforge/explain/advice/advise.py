"""`advise`: every rule over a layer, a stack or a model, and the report of what they found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convforge.explain.advice import (
    channels,
    dilations,
    fields,
    groupings,
    kernels,
    norms,
    paddings,
    strides,
    transposed,
)
from convforge.explain.advice.finding import SEVERITIES, Finding, Severity
from convforge.explain.advice.reading import subject_of
from convforge.explain.advice.rule import Rule
from convforge.explain.chain import in_a_row
from convforge.explain.plain import as_plain
from convforge.explain.report import Reported, Section
from convforge.explain.sentence import Sentence
from convforge.explain.words import Language, Words, language_of

# In the order in which the notes take up the parameters.
FAMILIES = (channels, kernels, strides, paddings, dilations, fields, groupings, norms, transposed)
RULES: dict[str, Rule] = {rule.id: rule for family in FAMILIES for rule in family.RULES}


@dataclass(frozen=True, slots=True)
class Principle:
    """How a good choice is made, in a language, and the id of the rule that watches over it."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Advice(Reported):
    """What the rules found, the gravest first, then in the order of the layers.

    what: the layer, the stack, or the model's class. layers: how many were looked at.
    unmeasured: rules that only the clock can decide, where it was not asked.
    stopped: why the model could be followed only in part; what came later was not looked at.
    """

    what: str
    input_size: tuple[int, ...]
    layers: int
    findings: tuple[Finding, ...]
    unmeasured: tuple[str, ...]
    stopped: Sentence | None
    language: Language | None

    def title(self, language: Language) -> str:
        """What was looked at, and how much was found."""
        return TITLE(language, what=self.what, n=self.layers, findings=len(self.findings))

    def sections(self, language: Language) -> list[Section]:
        """One section a finding; the first of each rule says its principle."""
        told: set[str] = set()
        found: list[Section] = []
        for finding in self.findings:
            found.append(_section(finding, language, first=finding.rule not in told))
            told.add(finding.rule)
        if not self.findings:
            found.append(Section(lines=(NOTHING(language),)))
        if self.unmeasured:
            names = ", ".join(self.unmeasured)
            found.append(Section(lines=(UNMEASURED(language, rules=names),)))
        if self.stopped is not None:
            found.append(Section(lines=(STOPPED(language, why=self.stopped(language)),)))
        return found

    def to_dict(self) -> dict[str, Any]:
        """All of it; sentences in both languages, layers in PyTorch's spelling."""
        return as_plain(self)


TITLE = Words(
    "Advice on {what} (layers: {n}, findings: {findings})", "对 {what} 的建议（{n} 层，{findings} 条）"
)
NOTHING = Words("No rule has anything to say.", "所有规则均无意见。")
UNMEASURED = Words(
    "Not decided without measuring (measure=True, --measure): {rules}.",
    "需要实测才能判断（measure=True 或 --measure）：{rules}。",
)
STOPPED = Words(
    "The model was followed in part only, and layers behind were not looked at: {why}.",
    "只跟踪了模型的一部分，其后的层没有检查：{why}。",
)
NAMES: dict[Severity, Words] = {
    "error": Words("error", "错误"),
    "warning": Words("warning", "警告"),
    "advice": Words("advice", "建议"),
    "info": Words("note", "提示"),
}
AT = Words("at {where}", "位置 {where}")
INSTEAD = Words("instead: {layers}", "改为：{layers}")
EFFECT = Words("effect: {effect}", "效果：{effect}")
INPUT = Words("input: {size}", "输入：{size}")
WHY = Words("principle: {principle}", "原则：{principle}")
DRAW = Words("drawing: {name}", "图示：{name}")
MEASURED = Words(
    "measured here: {before:.3g} ms → {after:.3g} ms ({share:.0%}), {threads} threads",
    "本机实测：{before:.3g} ms → {after:.3g} ms（{share:.0%}），{threads} 线程",
)
SLOWER_HERE = Words(
    "so here it costs time: weigh that against what else it changes",
    "因此在本机会更慢：请与其他变化一并权衡",
)
# A share of the time from which on a fix is said to be slower; less is noise.
SLOWER = 1.03
NOT_MEASURED = Words("time: not measured", "用时：未测量")


def advise(
    model_or_layer: Any,
    input_size: Any,
    *,
    measure: bool = False,
    small_device: bool = False,
    batch: int = 1,
    language: str | None = None,
) -> Advice:
    """What the principles of choosing parameters say about a layer, a stack of layers or a model.

    model_or_layer: a layer (module, spelling, value), several spellings with commas between them, a list, or
        a Module whose layers are found by tracing it; nothing in it changes.
    input_size: spatial (224, 224), or with channels (3, 224, 224): then the first layer must take them.
    measure: time real calls wherever a rule speaks of speed. small_device: also what small devices ask for.

        print(advise("Conv2d(64, 64, 5, padding=2)", (56, 56)))

    Raises what a call with such an input would raise, but for channels that do not fit: that is a finding.
    """
    subject, what, stopped = subject_of(
        model_or_layer, input_size, batch=batch, measure=measure, small_device=small_device
    )
    # A module that is called twice on the same sizes has its findings once.
    every = {
        (finding.rule, finding.where, finding.what): finding
        for rule in RULES.values()
        for finding in rule.check(subject)
    }
    findings = list(every.values())
    order = {site.path: number for number, site in enumerate(subject.sites)}
    findings.sort(key=lambda f: (SEVERITIES.index(f.severity), order.get(f.where[0], 0)))
    unmeasured = () if measure else _undecided(subject.sites)
    return Advice(
        what,
        subject.input_size,
        len(subject.sites),
        tuple(findings),
        unmeasured,
        stopped,
        language_of(language),
    )


def _undecided(sites: Any) -> tuple[str, ...]:
    grouped = any(site.layer.groups > 1 for site in sites)
    return tuple(rule.id for rule in RULES.values() if rule.needs_measuring and grouped)


def principles(language: str | None = None) -> list[Principle]:
    """Every principle, in the order of the notes; each has the rule that watches over it."""
    spoken = language_of(language)
    return [Principle(rule.id, rule.principle(spoken)) for rule in RULES.values()]


def _section(finding: Finding, language: Language, *, first: bool) -> Section:
    where = ", ".join(path for path in finding.where if path)
    layers = in_a_row(finding.layers)
    bracket = f" [{finding.rule}]"
    heading = f"{NAMES[finding.severity](language)}{bracket} {layers}"
    lines = [AT(language, where=where)] if where else []
    lines.append(finding.what(language))
    if finding.fix is not None:
        if finding.fix.layers:
            lines.append(INSTEAD(language, layers=in_a_row(finding.fix.texts)))
        lines.append(EFFECT(language, effect=finding.fix.effect(language)))
    if finding.timing is not None:
        timing = finding.timing
        share = timing.after_ms / timing.before_ms
        lines.append(
            MEASURED(
                language,
                before=timing.before_ms,
                after=timing.after_ms,
                share=share,
                threads=timing.threads,
            )
        )
        if share > SLOWER:
            lines.append(SLOWER_HERE(language))
    elif RULES[finding.rule].speaks_of_speed:
        lines.append(NOT_MEASURED(language))
    if first:
        lines.append(WHY(language, principle=RULES[finding.rule].principle(language)))
    lines.append(DRAW(language, name=finding.drawing.name))
    return Section(heading, tuple(lines))
