"""A guide's example under another name: its files, and the commands that run them."""

from __future__ import annotations

import builtins
import importlib.util
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from quantlab.core.errors import ConfigError
from quantlab.features.catalogue import NAMES
from quantlab.jobs.config.folder import groups
from quantlab.jobs.config.hints import did_you_mean
from quantlab.jobs.new.guide import Guide, read_guide

#: Beside the guide's files: without it pytest would take the settings of whatever project the folder lies in.
PYTEST_INI = "[pytest]\npythonpath = .\n"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


@dataclass(frozen=True)
class Kind:
    """One kind of template: where its text is, and what the example's names become.

    Parameters
    ----------
    guide : str
        File name of the guide.
    module : str
        The example's module.
    group : str
        Group of the configuration that its yaml belongs to.
    names : dict of str to callable
        The example's names, and what each becomes for the user's name.
    """

    guide: str
    module: str
    group: str
    names: dict[str, Callable[[str], str]]

    @property
    def wanted(self) -> Callable[[str], bool]:
        """Tell whether a path of the guide belongs to the template."""
        return lambda path: path in (f"{self.module}.py", f"test_{self.module}.py") or path.startswith("my_conf/")


KINDS: dict[str, Kind] = {
    "strategy": Kind(
        "write-a-strategy.md", "my_strategy", "trading/policy", {"dip": str, "my_strategy": str, "BuyTheDip": _camel}
    ),
    "feature": Kind(
        "add-a-feature.md",
        "my_features",
        "features",
        {
            "mine": str,
            "my_features": str,
            "close_in_range": str,
            "close_in_range_12": str,
            "CLOSE_IN_RANGE_12": str.upper,
            "test_close_in_range": "test_{}".format,
        },
    ),
    "signal": Kind(
        "write-a-signal.md",
        "my_signal",
        "trading/signal",
        {
            "money": str,
            "my_signal": str,
            "FollowMoney": _camel,
            "FollowMoneyStream": lambda name: f"{_camel(name)}Stream",
        },
    ),
}


def template(kind: Kind, name: str) -> Guide:
    """Files and commands of a guide's example under the user's name.

    Parameters
    ----------
    kind : Kind
    name : str
        Checked by :func:`check_name`.
    """
    guide = read_guide(kind.guide)
    words = {**kind.names, f"test_{kind.module}": "test_{}".format}
    pattern = re.compile(rf"\b(?:{'|'.join(sorted(words, key=len, reverse=True))})\b")

    def renamed(text: str) -> str:
        return pattern.sub(lambda match: words[match[0]](name), text)

    files = {renamed(path): renamed(text) for path, text in guide.files.items() if kind.wanted(path)}
    tested, ours = f"test_{kind.module}.py", "file://my_conf"
    files["pytest.ini"] = PYTEST_INI
    return Guide(files, tuple(renamed(line) for line in guide.commands if tested in line or ours in line))


def check_kind(kind: object) -> Kind:
    """Return the kind of that name; ConfigError if there is none."""
    if kind is None or str(kind) not in KINDS:
        hint = "" if kind is None else did_you_mean(str(kind), KINDS)
        raise ConfigError(
            f"kind={', '.join(KINDS)}",
            found="none" if kind is None else repr(kind),
            fix=hint or "add kind=strategy, kind=feature or kind=signal",
        )
    return KINDS[str(kind)]


def check_name(name: object, kind: Kind) -> str:
    """Return a name that a module, a class and an option can bear, and that hides nothing.

    Parameters
    ----------
    name : object
    kind : Kind

    Raises
    ------
    ConfigError
        If it is none, or Python, an installed package, quantlab or the group's options have it already.
    """
    text = "" if name is None else str(name)
    expected = "name= of lower-case letters, digits and underscores, which begins with a letter"
    if not _NAME.fullmatch(text):
        raise ConfigError(expected, found="none" if name is None else repr(name), fix="add name=NAME, e.g. name=my_dip")
    if keyword.iskeyword(text) or keyword.issoftkeyword(text) or hasattr(builtins, text):
        raise ConfigError("a name that Python does not use itself", found=text, fix="choose another name")
    if text in groups()[kind.group] or (kind.group == "features" and text in NAMES):
        raise ConfigError(
            f"a name that no {PurePosixPath(kind.group).name.rstrip('s')} of quantlab's own has",
            found=text,
            fix="choose another name",
        )
    spec = importlib.util.find_spec(text)
    if spec is not None and spec.origin is not None:  # without an origin it is a folder, which nothing imports
        raise ConfigError(
            "a name that hides no module", found=f"{text}, which is {spec.origin}", fix="choose another name"
        )
    return text
