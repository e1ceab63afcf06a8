"""The commit that a record in ``experiments/`` belongs to."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def code_commit() -> str:
    """Return the short hash of the checked-out commit.

    Raises
    ------
    SystemExit
        If tracked files outside ``experiments/`` differ from it: then no commit holds the code of the record.
    """
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!experiments")
    if changed:
        raise SystemExit(f"expected code as it was committed; found changes:\n{changed}\nCommit them, then run again.")
    return _git("rev-parse", "--short=7", "HEAD")


def belongs_to(commit: str) -> str:
    """Return the sentence with which a record's page names its commit."""
    return f"Belongs to commit `{commit}`: files, classes and options may have other names since."


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
