"""``job=new name=NAME kind=strategy|feature|signal``: write a working template with its test, and say what to type.

The template is the guide's own text (``docs/write-a-strategy.md``, ``docs/add-a-feature.md``, ``docs/write-a-signal.md``) under the
user's name: one source, which the tests of the guides follow literally.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from quantlab.core.errors import ConfigError, InstallationError
from quantlab.core.files import require_writable, write_text
from quantlab.jobs.new.guide import Guide, guides_folder
from quantlab.jobs.new.template import check_kind, check_name, template
from quantlab.jobs.output.console import stdout_console


def run(cfg: DictConfig) -> None:
    """Write the files and print the commands.

    Raises
    ------
    ConfigError
        If the name or the kind is none, or one of the files is there already; nothing is written then.
    InstallationError
        If the folder cannot be written.
    """
    kind = check_kind(cfg.job.kind)
    folder = Path(str(cfg.job.name if cfg.job.folder is None else cfg.job.folder))
    written = template(kind, check_name(cfg.job.name, kind))
    write_files(written, folder.resolve())
    console = stdout_console()
    for path in written.files:
        console.print(f"wrote {folder / path}", soft_wrap=True)
    console.print("\nType next:")
    for line in next_lines(written, folder):
        console.print(f"  {line}", soft_wrap=True)
    console.print(f"\nThe guide: {guides_folder() / kind.guide}", soft_wrap=True)


def write_files(written: Guide, folder: Path) -> None:
    """Write all files into a folder, or none.

    Parameters
    ----------
    written : Guide
    folder : Path
        Made if it is not there.

    Raises
    ------
    ConfigError
        Naming a file that is there already.
    InstallationError
        If the folder cannot be written.
    """
    there = [folder / path for path in written.files if os.path.lexists(folder / path)]
    if there:
        raise ConfigError(
            f"a place for {there[0].name}",
            found=f"{there[0]}, which is there already",
            fix="choose another name, or job.folder=ANOTHER",
        )
    require_writable("job.folder", folder)
    for path, text in written.files.items():
        try:
            write_text(folder / path, text)
        except OSError as error:
            raise InstallationError(
                f"{folder / path} to be writable", found=str(error), fix="set job.folder to another place"
            ) from error


def next_lines(written: Guide, folder: Path) -> Iterator[str]:
    """Command lines that test and run the template, in this Python.

    Parameters
    ----------
    written : Guide
    folder : Path
        As it was asked for.
    """
    python = shlex.quote(sys.executable)
    yield f"cd {shlex.quote(str(folder))}"
    if importlib.util.find_spec("pytest") is None:
        yield f"{python} -m pip install pytest"
    for line in written.commands:
        yield f"{python}{line.removeprefix('python')}"
