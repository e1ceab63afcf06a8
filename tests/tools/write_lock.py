"""Write requirements.lock: the exact versions of everything that quantlab[dev] needs, as installed here.

Run it (``make lock``) in an environment whose tests have just passed. There are no hashes in the lock,
because torch is built differently for each accelerator under one version; ``make hashes`` writes a lock that has them.
"""

from __future__ import annotations

import importlib.metadata
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent
HEADER = """\
# Exact versions, tested together; pip reads this file. Written by `make lock`, not by hand.
# torch is pinned without a build label: any build of that version (CPU or CUDA) fits.
"""
LINUX_ONLY = {"nvidia-nccl-cu12": "platform_system == 'Linux' and platform_machine == 'x86_64'"}


def closure(roots: list[Requirement]) -> dict[str, str]:
    """Name -> version of `roots` and, transitively, of what they require on this platform."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(root, extra) for root in roots for extra in ("", *root.extras)]
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        distribution = importlib.metadata.distribution(name)
        found[name] = distribution.version.split("+")[0]
        for text in distribution.requires or []:
            child = Requirement(text)
            if child.marker is None or child.marker.evaluate({"extra": extra}):
                todo += [(child, e) for e in ("", *child.extras)]
    return found


def main() -> None:
    """Write the lock beside pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    texts = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["dev"]
    texts += project["build-system"]["requires"]
    found = closure([Requirement(text) for text in texts])
    lines = [
        f"{name}=={version}" + (f" ; {LINUX_ONLY[name]}" if name in LINUX_ONLY else "")
        for name, version in sorted(found.items())
    ]
    (ROOT / "requirements.lock").write_text(HEADER + "\n".join(lines) + "\n")
    sys.stdout.write(f"requirements.lock: {len(lines)} packages\n")


if __name__ == "__main__":
    main()
