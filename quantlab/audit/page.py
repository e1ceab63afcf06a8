"""A report for the terminal and as a page."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from quantlab.audit.findings import AuditReport


def audit_table(report: AuditReport) -> Table:
    """One line per check."""
    table = Table(title="audit: leaks found" if report.leaks else "audit: no leak found")
    for name in ("stage", "check", "compared", "result"):
        table.add_column(name, justify="right" if name == "compared" else "left", overflow="fold")
    for check in report.checks:
        result = Text("passed") if check.passed else Text("leak", style="red")
        table.add_row(check.stage, check.name, f"{check.compared:,}", result)
    return table


def audit_page(experiment: str, report: AuditReport) -> str:
    """Markdown: what was found, what passed, what was not looked at."""
    lines = [f"# Audit of {experiment}: {'a leak was found' if report.leaks else 'no leak was found'}", ""]
    if report.findings:
        lines += ["| stage | column | where | evidence |", "|---|---|---|---|"]
        lines += [f"| {f.stage} | {f.column} | {f.where} | {f.evidence} |" for f in report.findings]
        lines += ["", "The first is the likely cause; later ones may be its consequences.", ""]
    lines += ["| stage | check | compared | result |", "|---|---|--:|---|"]
    lines += [f"| {c.stage} | {c.name} | {c.compared:,} | {'passed' if c.passed else 'leak'} |" for c in report.checks]
    if report.powers:
        lines += ["", "| stage | looked at | random rows | finds with 99 % a leak in |", "|---|---|--:|--:|"]
        lines += [f"| {p.stage} | {p.looked_at} | {p.rows:,} | {p.finds_99:.1%} of its rows |" for p in report.powers]
    if report.diagnostics:
        lines += ["", "| diagnostic | value |", "|---|--:|"]
        shown = {name: "undefined" if v is None else f"{v:.4f}" for name, v in report.diagnostics.items()}
        lines += [f"| {name} | {value} |" for name, value in shown.items()]
    if report.notes:
        lines += ["", *(f"- {note}" for note in report.notes)]
    return "\n".join(lines) + "\n"
