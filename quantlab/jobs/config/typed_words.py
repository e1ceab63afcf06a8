"""Words on the command line that are no options: answered before a configuration is composed, with the line to type.

A user who has not read the help writes ``help``, ``baseline``, ``--experiment baseline`` or ``seed = 3``. Each of these
means something, and the answer says how it is written here. Nothing is guessed: the line is shown, not run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import yaml

import quantlab
from quantlab.jobs.config.folder import config_folder, groups
from quantlab.jobs.config.help import help_text
from quantlab.jobs.config.hints import nearest
from quantlab.jobs.config.job_page import job_page

PROGRAM = "python -m quantlab"
#: Hydra's own flags, and those of them that a value follows.
_FLAGS = ("--hydra-help", "--resolve", "--run", "-r", "--multirun", "-m", "--shell-completion", "-sc")
_VALUED = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun", "--info", "-i",
)  # fmt: skip
_HELP, _VERSION = ("-h", "--help", "help"), ("-V", "--version", "version")
#: What ``--cfg`` and ``--info`` can show.
_SHOWN = ("job", "hydra", "all")
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
#: Groups whose options are words that people type alone, the commonest first.
_COMMONEST = ("job", "experiment", "data", "debug")
#: Share of letters that a flag has in common with its slip, at least.
_NEAR_FLAG = 0.8
_NAME = re.compile(r"[A-Za-z_][\w./@-]*")
#: Values of which a sweep takes several: a comma outside brackets and quotes, or a function of Hydra's.
_NESTED = re.compile(r"\[[^\[\]]*\]|\{[^{}]*\}|'[^']*'|\"[^\"]*\"")
_MANY = re.compile(r",|\b(?:choice|range|interval|glob|sort|shuffle)\(")


@dataclass(frozen=True)
class Answer:
    """An answer in place of a run.

    Parameters
    ----------
    text : str
    code : int
        Exit code: 0 answers a question, 2 is a refusal.
    """

    text: str
    code: int


def answer_words(arguments: Sequence[str]) -> Answer | None:
    """Answer help, version and words that are no options; None for a line that can be composed.

    Parameters
    ----------
    arguments : sequence of str
        Of the command line, without the program's name.
    """
    if set(_VERSION) & set(arguments[:1]):
        return Answer(f"quantlab {quantlab.__version__}\n", 0)
    if set(_HELP) & set(arguments):
        return _help([word for word in arguments if word not in _HELP])
    line = _Line(list(arguments))
    line.read()
    if line.slips:
        return _refusal(line.slips[0], line.corrected if line.certain else [])
    return _doubled(arguments) or _nothing_to_sweep(arguments)


def is_multirun(arguments: Sequence[str]) -> bool:
    """True if a command line asks for a sweep of Hydra's."""
    return bool({"-m", "--multirun"} & set(arguments))


def _help(words: Sequence[str]) -> Answer:
    """The page of the job that is named beside the question, else the whole page."""
    jobs = groups()["job"]
    named = [word.removeprefix("job=") for word in words if word.startswith("job=") or word in jobs]
    if not named:
        return Answer(help_text(), 0)
    if named[0] in jobs:
        chosen = {name: option for name, _, option in (word.partition("=") for word in words)}
        return Answer(job_page(named[0], chosen), 0)
    close = nearest(named[0], jobs)
    fix = f"Did you mean job={close} --help?" if close else f"Jobs are {', '.join(jobs)}."
    return Answer(f"quantlab: expected the name of a job; found job={named[0]}. {fix}\n", 2)


@dataclass
class _Line:
    """A command line, word by word, and the same line as it should have been typed.

    Parameters
    ----------
    words : list of str
        Still to be read.
    corrected : list of str
    slips : list of str
        Words that are no options, as they were found.
    certain : bool
        False once a word has no meaning that can be told.
    """

    words: list[str]
    corrected: list[str] = field(default_factory=list)
    slips: list[str] = field(default_factory=list)
    certain: bool = True

    def read(self) -> None:
        """Read every word."""
        while self.words:
            word = self.words.pop(0)
            if word in _FLAGS or word.split("=")[0] in _VALUED:
                self._flag(word)
            elif word.startswith("-"):
                self._unknown_flag(word)
            elif "=" not in word[1:]:
                self._word(word)
            elif word.endswith("=") and self.words and not self._is_option(self.words[0]):
                self._slip(f"{word} {self.words[0]}", f"{word}{self.words.pop(0)}")
            else:
                self.corrected.append(word)

    def _flag(self, word: str) -> None:
        """Take one of Hydra's flags, with its value."""
        self.corrected.append(word)
        name, sign, value = word.partition("=")
        if name in _VALUED and not sign and self.words and not self._is_option(self.words[0]):
            value = self.words.pop(0)
            self.corrected.append(value)
        known = _SHOWN if name in ("--cfg", "-c") else _INFO if name in ("--info", "-i") and value else (value,)
        if value not in known:
            self._slip(f"{name} {value}".strip(), "", sure=False)

    def _unknown_flag(self, word: str) -> None:
        """``--seed 3`` and ``--job=backtest`` are options of another house; ``--multirn`` is a slip."""
        name, sign, value = word.lstrip("-").partition("=")
        option = self._known(name.replace("-", "_"))
        flag = nearest(word, (*_FLAGS, *_VALUED, *_HELP[:2], *_VERSION[:2]), _NEAR_FLAG) if len(word) > 2 else None
        follows = not sign and bool(self.words) and not self._is_option(self.words[0])
        value, found = (self.words.pop(0), f"{word} {{}}") if follows and (option or not flag) else (value, word)
        if option is not None and value:
            self._slip(found.format(value), f"{option}={value}")
        elif flag is not None:
            self._slip(found.format(value), flag)
        else:
            self._slip(found.format(value), "", sure=False)

    def _known(self, name: str) -> str | None:
        """The option that a name means: itself, something inside a section, or the nearest one."""
        inside = any(name.startswith(known.split("/", maxsplit=1)[0] + ".") for known in self._names)
        if name in self._names or inside:
            return name
        return nearest(name, self._names) if len(name) > 2 else None

    def _word(self, word: str) -> None:
        """Take a word without a value: a name whose value follows, an option without its group, or a slip."""
        following = self.words[0] if self.words else ""
        if word.startswith("~") and following != "=":
            self.corrected.append(word)
        elif following.startswith("=") and _NAME.fullmatch(word.lstrip("+~")):
            sign = self.words.pop(0)
            value = sign[1:] or (self.words.pop(0) if self.words else "")
            self._slip(f"{word} {sign[:1]} {value}".rstrip(), f"{word}={value}", sure=bool(value))
        elif word in self._names and following and not self._is_option(following):
            self._slip(f"{word} {following}", f"{word}={self.words.pop(0)}")
        elif (group := self._group_of(word)) is not None:
            self._slip(word, f"{group}={word}")
        elif ":" in word and word.partition(":")[0] in self._names:
            name, _, value = word.partition(":")
            self._slip(word, f"{name}={value}")
        else:
            self._near(word)

    def _near(self, word: str) -> None:
        """A word of no meaning: the nearest option, if there is one."""
        options = groups()
        commonest = {option: group for group in _COMMONEST for option in options[group]}
        close = nearest(word, commonest)
        if close is not None:
            self._slip(word, f"{commonest[close]}={close}")
        else:
            self._slip(word, "", sure=False)

    def _slip(self, found: str, corrected: str, *, sure: bool = True) -> None:
        self.slips.append(found)
        self.corrected.append(corrected)
        self.certain &= sure

    def _is_option(self, word: str) -> bool:
        return "=" in word or word.startswith(("-", "~", "+"))

    @cached_property
    def _names(self) -> frozenset[str]:
        """Names that a value can follow: groups, and keys of the configuration's top."""
        top = yaml.safe_load((config_folder() / "config.yaml").read_bytes())
        plain = [f"{key}.{name}" for key, node in top.items() if isinstance(node, dict) for name in node]
        return frozenset((*groups(), *plain, *(key for key in top if key not in ("defaults", "hydra"))))

    def _group_of(self, word: str) -> str | None:
        """The group that alone has an option of this name; of several the commonest."""
        found = [group for group, options in groups().items() if word in options]
        commonest = [group for group in _COMMONEST if group in found]
        return commonest[0] if commonest else found[0] if len(found) == 1 else None


def _refusal(found: str, corrected: Sequence[str]) -> Answer:
    fix = f"Type {_typed(corrected)}" if corrected else f"{PROGRAM} --help lists the options"
    return Answer(f"quantlab: expected options as name=value; found {found}. {fix}.\n", 2)


def _typed(words: Sequence[str]) -> str:
    """A line as it is typed: what a shell would read otherwise stands in quotes."""
    return shlex.join([*PROGRAM.split(), *words])


def _doubled(arguments: Sequence[str]) -> Answer | None:
    """Refuse an option with two values: which of them is meant cannot be told."""
    seen: dict[str, str] = {}
    for word in arguments:
        name = word.lstrip("+").partition("=")[0]
        if "=" in word and name in seen:
            found = f"{seen[name]} and {word}"
            return Answer(f"quantlab: expected {name} once; found {found}. Leave one of them out.\n", 2)
        seen[name] = word
    return None


def _nothing_to_sweep(arguments: Sequence[str]) -> Answer | None:
    """Refuse a sweep without anything to choose from; one option with one value may be a script's."""
    options = [word for word in arguments if "=" in word and word.partition("=")[0] not in groups()]
    chosen = [word.partition("=")[2] for word in arguments]
    if not is_multirun(arguments) or options or any(_MANY.search(_NESTED.sub("", value)) for value in chosen):
        return None
    return Answer(
        "quantlab: expected beside -m an option with several values; found none. "
        f"Leave -m out, or give one, e.g. {PROGRAM} -m seed=1,2,3.\n",
        2,
    )
