"""Write requirements.hashed.lock and the two locks of torch beside it: the versions of requirements.lock, with sha256.

The hashes are those of every wheel and source archive that the package index has of a version, as `uv` collects them
(``make hashes`` installs it). torch has two builds under one version, and pip takes whichever it is allowed to:

- ``requirements.torch-cpu.hashed.lock``: the builds without CUDA. For Linux that is the one that pip takes on this machine, which the
  plain index does not have; for other systems the index's.
- ``requirements.torch-cuda.hashed.lock``: the index's builds for Linux, and the libraries that they need.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name

from quantlab.core.files import sha256_file, write_text

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = ROOT / "requirements.lock"
WRITTEN = "Written by `make hashes`, not by hand."
TITLES = {
    "": "The versions of requirements.lock, torch aside, with the sha256 of every file of them.",
    "torch-cpu.": "torch without CUDA, beside requirements.hashed.lock.",
    "torch-cuda.": "torch with CUDA for Linux, and its libraries, beside requirements.hashed.lock.",
}


class Package(NamedTuple):
    """One pinned version and its files: name of the file -> sha256."""

    pinned: str
    marker: str | None
    files: Mapping[str, str]


def resolved(source: Path, *options: str) -> dict[str, Package]:
    """Every package that `uv` resolves `source` to, by name."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "pylock.toml"
        command = [sys.executable, "-m", "uv", "pip", "compile", str(source), "--quiet", "--python-version", "3.11"]
        subprocess.run([*command, "--format", "pylock.toml", "-o", str(target), *options], check=True)
        packages = tomllib.loads(target.read_text())["packages"]
    return {canonicalize_name(one["name"]): _package(one) for one in packages}


def _package(found: Mapping[str, Any]) -> Package:
    archives = [*found.get("wheels", ()), *([found["sdist"]] if "sdist" in found else ())]
    files = {str(one["url"]).rpartition("/")[2]: str(one["hashes"]["sha256"]) for one in archives}
    return Package(f"{found['name']}=={found['version']}", found.get("marker"), files)


def build_here(pinned: str) -> dict[str, str]:
    """The build of torch that pip takes on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder, pinned]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).iterdir()
        if "+cpu" not in wheel.name:
            raise SystemExit(
                f"expected a build of {pinned} without CUDA; found {wheel.name}. Let pip find one, and try again."
            )
        return {wheel.name: sha256_file(wheel)}


def torch_locks(torch: Package, base: Iterable[str]) -> dict[str, list[Package]]:
    """Both locks of torch: its builds, and what the one with CUDA needs beside the packages of `base`."""
    cuda = {name: sha256 for name, sha256 in torch.files.items() if "linux" in name}
    others = {name: sha256 for name, sha256 in torch.files.items() if name not in cuda}
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "torch.in"
        wanted.write_text(torch.pinned + "\n")
        linux = resolved(wanted, "--python-platform", "x86_64-manylinux_2_28", "--constraints", str(LOCK))
    libraries = [package for name, package in linux.items() if name not in base]
    return {
        "torch-cpu.": [torch._replace(files={**build_here(torch.pinned), **others})],
        "torch-cuda.": [torch._replace(files=cuda), *libraries],
    }


def text_of(packages: Iterable[Package]) -> str:
    """Packages as pip reads them."""
    lines = []
    for package in packages:
        marker = "" if package.marker is None else f" ; {package.marker}"
        lines.append(
            " \\\n    ".join([package.pinned + marker, *(f"--hash=sha256:{x}" for x in sorted(package.files.values()))])
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the three locks beside requirements.lock."""
    base = resolved(LOCK, "--no-deps", "--universal")
    locks = {"": [package for name, package in base.items() if name != "torch"], **torch_locks(base["torch"], base)}
    for kind, packages in locks.items():
        path = ROOT / f"requirements.{kind}hashed.lock"
        write_text(path, f"# {TITLES[kind]} {WRITTEN}\n{text_of(packages)}")
        sys.stdout.write(f"{path.name}: {len(packages)} packages\n")


if __name__ == "__main__":
    main()
