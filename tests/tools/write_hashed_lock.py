"""Write requirements.hashed.lock and requirements.cuda.hashed.lock: the versions of requirements.lock, with sha256.

The hashes are those of every wheel and source archive that the package index has of a version, as `uv` collects them
(``make hashes`` installs it). torch is built twice under one version: the index has the CUDA build for Linux, whose
libraries stand in a file of their own, and the build without CUDA that pip takes on this machine is added to its hashes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.utils import canonicalize_name

from quantlab.core.files import sha256_file, write_text

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK, HASHED, CUDA = (ROOT / f"requirements{kind}lock" for kind in (".", ".hashed.", ".cuda.hashed."))
HEADER = "# The versions of requirements.lock with the sha256 of every file of them. Written by `make hashes`, not by hand.\n"
CUDA_HEADER = "# What the CUDA build of torch needs beside requirements.hashed.lock on Linux. Written by `make hashes`, not by hand.\n"


def compiled(source: Path, *options: str) -> dict[str, list[str]]:
    """Lines of every package that uv resolves `source` to, by name: the pinned version, and its hashes."""
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        str(source),
        "--generate-hashes",
        "--no-annotate",
        "--no-header",
    ]
    done = subprocess.run([*command, "--python-version", "3.11", *options], check=True, capture_output=True, text=True)
    packages: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        if not line.startswith(" "):
            name = line.split("==")[0]
            packages[name] = []
        packages[name].append(line)
    return packages


def with_build_of_this_machine(lines: list[str]) -> list[str]:
    """The lines of torch, with the build that pip takes here among the hashes."""
    with tempfile.TemporaryDirectory() as folder:
        pinned = lines[0].removesuffix("\\").strip().split(" ;")[0]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder, pinned]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).iterdir()
        own = f"--hash=sha256:{sha256_file(wheel)}"
    hashes = sorted({own, *(line.strip().removesuffix("\\").strip() for line in lines[1:])})
    return [lines[0], *(f"    {one} \\" for one in hashes[:-1]), f"    {hashes[-1]}"]


def main() -> None:
    """Write both locks beside requirements.lock."""
    base = compiled(LOCK, "--no-deps", "--universal")
    torch = base["torch"] = with_build_of_this_machine(base["torch"])
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "torch.in"
        wanted.write_text(torch[0].removesuffix("\\").strip() + "\n")
        cuda = compiled(wanted, "--python-platform", "x86_64-manylinux_2_28", "--constraints", str(LOCK))
    beside = {name: lines for name, lines in cuda.items() if canonicalize_name(name) not in base}
    for path, header, packages in ((HASHED, HEADER, base), (CUDA, CUDA_HEADER, beside)):
        write_text(path, header + "\n".join(line for lines in packages.values() for line in lines) + "\n")
        sys.stdout.write(f"{path.name}: {len(packages)} packages\n")


if __name__ == "__main__":
    main()
