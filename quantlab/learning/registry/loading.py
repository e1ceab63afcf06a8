"""Loading what was stored: first in a process that may die.

A native loader does not raise on every damaged file: it can end its process. So files that were never
loaded with these libraries are loaded by a child first, which must also repeat the golden predictions.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from quantlab.core.errors import ArtifactError, InstallationError, QuantlabError
from quantlab.core.ports import FittedModel
from quantlab.core.trust import Trust
from quantlab.learning.artifacts.member_facts import MemberFacts
from quantlab.learning.ensemble.members import load_member
from quantlab.learning.registry.manifest import MODEL_FOLDER

_FIX = "leave it out of service and register the member again"
_BEGAN, _OK = b"began", b"good"
#: Seconds that a child has to end after it sent nothing in time.
_NO_ANSWER_GRACE_S = 1.0


def load_verified(manifest: MemberFacts, folder: Path, trust: Trust) -> FittedModel:
    """The member of a folder whose hashes were verified and whose loader is known to survive it.

    Raises
    ------
    QuantlabError
        If it is refused, or does not repeat its golden predictions.
    """
    model = load_member(manifest.class_path, folder / MODEL_FOLDER, trust)
    manifest.golden(folder).require(manifest.version, model)
    return model


def prove(manifest: MemberFacts, folder: Path, timeout_s: float, trust: Trust) -> None:
    """Load a version in a child process and hold it against its golden predictions there.

    Raises
    ------
    ArtifactError
        If the child refuses it, raises, or dies.
    InstallationError
        If no child can be started, it ends before it has begun (a script without a main guard), or it is not done within `timeout_s`: a slow machine is not a bad member.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile() as child_output:
        child = context.Process(
            target=_load_in_child, args=(manifest, folder, trust, theirs, child_output.name), daemon=True
        )
        try:
            child.start()
        except OSError as error:
            raise InstallationError(
                "a second process to load a model in", found=str(error), fix="free some memory"
            ) from error
        theirs.close()
        with ours:
            began = _receive(ours, timeout_s)
            verdict = _receive(ours, timeout_s) if began else began
        # A child that has answered may be long in unloading its libraries on a busy machine: no fault of the version.
        ending = _end(child, timeout_s if verdict else _NO_ANSWER_GRACE_S)
        output_lines = child_output.read().decode(errors="replace").strip().splitlines()
    if verdict and verdict != _OK:
        expected, found, fix = json.loads(verdict)
        raise ArtifactError(f"{manifest.version} to load: {expected}", found=found, fix=fix)
    if began == b"":
        raise InstallationError(
            f"a second process that loads {manifest.version}",
            found="one that ended before it began" + (f" ({output_lines[-1][:200]})" if output_lines else ""),
            fix="in a script of your own, put the call below `if __name__ == '__main__':`; the version stays as it is",
        )
    if verdict is None or ending is None:
        raise InstallationError(
            f"{manifest.version} to be loaded within {timeout_s:g} s",
            found="a process that was not done; the version stays as it is",
            fix="try again when the machine is less busy, or raise learning.registry.load_timeout_s",
        )
    if ending or not verdict:
        how = (ending or "one that sent nothing") + (f" ({output_lines[-1][:200]})" if output_lines else "")
        raise ArtifactError(f"{manifest.version} to load in a process of its own", found=how, fix=_FIX)


def _receive(ours: Connection, timeout_s: float) -> bytes | None:
    """Bytes that the child sent next; none if it died before, None if it was not in time."""
    try:
        return ours.recv_bytes() if ours.poll(timeout_s) else None
    except EOFError:
        return b""


def _end(child: SpawnProcess, grace_s: float) -> str | None:
    """End the child and describe a bad end in words; empty if it ended well, None if it had to be stopped."""
    child.join(timeout=grace_s)
    if child.is_alive():
        child.kill()
        child.join()
        return None
    code = child.exitcode or 0
    return (
        f"a loader that died of signal {-code}" if code < 0 else f"a loader that failed (exit {code})" if code else ""
    )


def _load_in_child(manifest: MemberFacts, folder: Path, trust: Trust, theirs: Connection, child_output: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # its death is expected: no memory dumps
    os.dup2(os.open(child_output, os.O_WRONLY | os.O_APPEND), 2)  # and its last words are the parent's to report
    os.dup2(2, 1)
    theirs.send_bytes(_BEGAN)
    try:
        load_verified(manifest, folder, trust)
        theirs.send_bytes(_OK)
    except QuantlabError as error:
        theirs.send_bytes(json.dumps([error.expected, error.found, error.fix]).encode())
