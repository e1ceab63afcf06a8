"""Verdicts in a notebook: in words, and as a small card."""

from __future__ import annotations

from quantlab.evaluation.report.html import Html, join, tag
from quantlab.evaluation.verdict.rule import Verdict


def label_synthetic(text: str, synthetic: bool) -> str:
    """Append "(synthetic market)" where the market is one."""
    return f"{text} (synthetic market)" if synthetic else text


def verdict_text(verdict: Verdict, synthetic: bool) -> str:
    """Return the verdict and its explanation."""
    return label_synthetic(f"{verdict.verdict}. {verdict.words}", synthetic)


def verdict_card(verdict: Verdict, synthetic: bool, *lines: str) -> Html:
    """Return the verdict as HTML, with its explanation and more lines below."""
    badge = [tag("p", "Synthetic market", style="opacity:.7;margin:0")] if synthetic else []
    word = tag("p", verdict.verdict, style="font-size:1.4em;font-weight:650;margin:0")
    lines_below = [tag("p", line, style="margin:.3em 0 0;max-width:80ch") for line in (verdict.words, *lines)]
    return tag("div", join([*badge, word, *lines_below]), style="border-left:5px solid;padding:.2em 0 .2em 1em")
