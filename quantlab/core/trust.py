"""Classes that an artifact may name: an artifact is data, and a class that it names is code.

A bundle, a registered member and a finished run say of which classes they are made. Whoever made the files chose these
names, so each is held against what quantlab registers for its place, and beyond that against the classes that
the user allows by name in *his* configuration (:class:`Trust`). No module is imported before its name was allowed.
"""

from __future__ import annotations

import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.core.errors import ArtifactError, ConfigError

#: Python's own modules: whatever of them an artifact names is a call, and no part of a strategy.
_NEVER = frozenset(sys.stdlib_module_names)


@dataclass(frozen=True)
class Trust:
    """Names that a user allows artifacts to name, beside quantlab's own classes.

    Parameters
    ----------
    names : sequence of str
        ``module.Class`` of classes of the user's own, e.g. ``my_strategies.DipBuyer``.
    never_below : sequence of str or Path
        Folders of artifacts: no module that lies in one of them, or below, is ever imported.

    Raises
    ------
    ConfigError
        If a name is not a dotted path.
    """

    names: Sequence[str] = ()
    never_below: Sequence[str | Path] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.names, list | tuple) or not all(_is_dotted(name) for name in self.names):
            raise ConfigError(
                "trust as a list of module.Class names",
                found=repr(self.names),
                fix="write e.g. trust=[my_strategies.DipBuyer]",
            )
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "never_below", tuple(Path(folder).resolve() for folder in self.never_below))

    def find(self, name: str, place: str, artifact: Path) -> Any:
        """Import what `name` names, if the user allows it.

        Parameters
        ----------
        name : str
            ``module.Class``, as the artifact says it.
        place : str
            Where the artifact says it, for the message.
        artifact : Path
            Its folder.

        Raises
        ------
        ArtifactError
            If the user does not allow the name, its module lies among artifacts, or there is nothing of that name.
        """
        if name.partition(".")[0] in _NEVER:
            raise ArtifactError(
                f"a class of a user's own for {place} in {artifact.name}",
                found=f"{name!r}, which no strategy is made of",
                fix="do not use these files: they were made to run code",
            )
        if name not in self.names:
            raise ArtifactError(
                f"a class of quantlab's own for {place} in {artifact.name}, or one that you allow",
                found=repr(name),
                fix=f"if you know its code and want it to run, add {self.line(name)} to the command; "
                "otherwise do not use these files",
            )
        _require_module_outside(name.partition(".")[0], name, (artifact.resolve(), *self.never_below))
        try:
            found = pkgutil.resolve_name(name)  # a class inside a class, too
        except (ImportError, AttributeError) as error:
            raise ArtifactError(
                f"the class {name} for {place}", found=str(error), fix="install its module, or run from its folder"
            ) from error
        # A package may send its submodules anywhere.
        module = sys.modules.get(getattr(found, "__module__", ""))
        _require_file_outside(getattr(module, "__file__", None), name, (artifact, *self.never_below))
        return found

    def find_class(self, name: str, place: str, artifact: Path) -> type[Any]:
        """Import the class that `name` names; errors as :meth:`find`, and for what is no class."""
        found = self.find(name, place, artifact)
        if not isinstance(found, type):
            raise ArtifactError(
                f"a class for {place} in {artifact.name}",
                found=f"{name}, a {type(found).__name__}",
                fix="name a class; a function is never called on behalf of an artifact",
            )
        return found

    def line(self, name: str) -> str:
        """Return the option that allows `name` beside what is allowed already."""
        return f"'trust=[{','.join((*self.names, name))}]'" if _is_dotted(name) else "nothing: it is no class's name"


def _is_dotted(name: object) -> bool:
    parts = name.split(".") if isinstance(name, str) else []
    # Letters of other scripts look like Latin ones: a name must be what it looks like.
    return len(parts) > 1 and all(part.isidentifier() and part.isascii() for part in parts)


def _require_module_outside(top: str, name: str, folders: tuple[str | Path, ...]) -> None:
    """Refuse a top-level module among artifacts, before it is imported."""
    loaded = sys.modules.get(top)
    if loaded is not None and getattr(loaded, "__spec__", None) is None:
        raise ArtifactError(
            f"{name} in a module of its own", found=f"the module {top}", fix="put the class into a file and import it"
        )
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError) as error:
        raise ArtifactError(
            f"the module of {name}", found=str(error), fix="install it, or run from its folder"
        ) from error
    if spec is None:
        raise ArtifactError(f"the module of {name}", found=f"no module {top}", fix="install it, or run from its folder")
    for place in (spec.origin, *(spec.submodule_search_locations or ())):
        _require_file_outside(place, name, folders)


def _require_file_outside(place: str | None, name: str, folders: tuple[str | Path, ...]) -> None:
    if place is None:
        return
    file = Path(place).resolve()
    for folder in folders:
        if file.is_relative_to(Path(folder).resolve()):
            raise ArtifactError(
                f"{name} in a module outside the folders of runs and models",
                found=f"{file}, which came with files that are only data",
                fix="move the module out of there after you have read it, or do not use these files",
            )
