"""Every page is followed: its commands in order in one folder, as they are printed, each to the ending that is told."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_endings import OF_MAKE, Ending, ending_of
from page_commands import PageCommand, commands_of, pages
from page_workspace import (
    Servers,
    Workspace,
    local_exchanges,
    write_freqtrade,
    write_page_files,
    write_shared_data,
)

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [path.relative_to(REPOSITORY).as_posix() for path in pages(REPOSITORY)]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small data, and a cache for all pages."""
    folder = tmp_path_factory.mktemp("shared")
    write_shared_data(folder)
    return folder


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with local_exchanges() as found:
        yield found


@pytest.fixture
def workspace(shared: Path, servers: Servers, tmp_path: Path) -> Workspace:
    (tmp_path / "work").mkdir()
    return Workspace(tmp_path / "work", shared, servers)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed(page: str, workspace: Workspace) -> None:
    path = REPOSITORY / page
    write_page_files(path.read_text(encoding="utf-8"), workspace.folder)
    write_freqtrade(workspace.folder / "user_data" / "data" / "binance" / "futures")
    commands = {command.text: command for command in commands_of(path, REPOSITORY)}  # each once
    wrong = [difference(workspace, command, ending_of(page, text)) for text, command in commands.items()]
    if any(wrong):
        pytest.fail("\n\n".join(filter(None, wrong)), pytrace=False)


@pytest.mark.parametrize("text", OF_MAKE)
def test_what_make_runs_ends_as_it_should(text: str, workspace: Workspace) -> None:
    if wrong := difference(workspace, PageCommand("Makefile", 0, text), OF_MAKE[text]):
        pytest.fail(wrong, pytrace=False)


def difference(workspace: Workspace, command: PageCommand, ending: Ending | None) -> str:
    """Run a command; return how it ended otherwise than it should, empty where it did not."""
    assert ending is not None, command
    if ending.instead:
        require_that_it_exists(command, workspace)
        return ""
    found = workspace.run(command, ending)
    printed = " ".join((found.stdout + found.stderr).split())
    problems = [
        f"exit code {found.returncode}, expected {ending.code}" if found.returncode != ending.code else "",
        "" if re.search(ending.says, printed) else f"not said: {ending.says}",
        "" if not ending.leaves or list(workspace.folder.glob(ending.leaves)) else f"not left: {ending.leaves}",
    ]
    if not any(problems):
        return ""
    where = f"{command.page}:{command.line} {command.text}"
    return "\n".join([where, str(found.args), *filter(None, problems), found.stdout[-2000:], found.stderr[-2000:]])


def require_that_it_exists(command: PageCommand, workspace: Workspace) -> None:
    """Ask a script for its options, and pytest for the tests that it would run."""
    words = command.words
    if words[:3] == ["python", "-m", "pytest"]:
        asked = [sys.executable, *words[1:], "--collect-only", "-q"]
    elif (
        words[0] == "python"
        and command.overrides is None
        and "argparse" in (REPOSITORY / words[1]).read_text(encoding="utf-8")
    ):
        asked = [sys.executable, words[1], "--help"]
    else:
        return
    of_page = (workspace.folder / words[-1]).is_file()  # a test that the page itself shows
    found = subprocess.run(
        asked, cwd=workspace.folder if of_page else REPOSITORY, capture_output=True, text=True, check=False, timeout=600
    )
    assert found.returncode == 0, found.stdout + found.stderr
    for option in (word for word in words if word.startswith("--")):
        assert option in found.stdout
