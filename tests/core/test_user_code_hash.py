"""A strategy's own code is part of what it is: its step, and whatever that takes from other files."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from quantlab.core.errors import ConfigError
from quantlab.core.user_code_hash import user_code_hash
from quantlab.trading import BuyAndHold, EnsembleThreshold, FixedFraction, FromSignals, RiskPerTrade

STRATEGY = """
from dataclasses import dataclass
import numpy as np
import sizes
from helper import FACTOR, wanted
from quantlab.trading import compiled_step

def go(params, memory, market, account, intents):
    if account.units[0] == 0.0:
        intents.target[0] = wanted(market.close[0]) * FACTOR * sizes.SCALE
        intents.stop_distance[0] = np.inf
        intents.take_distance[0] = np.inf

@dataclass(frozen=True)
class Go:
    step = property(lambda self: compiled_step(go))
    def params(self):
        return np.zeros(1)
    def begin(self, n_symbols):
        return np.zeros((1, n_symbols))
"""
HELPER = """
from numba import njit
FACTOR = 1.0
@njit
def deeper(close):
    return 0.05
@njit
def wanted(close):
    return deeper(close)
"""
RUN = """
import numpy as np
from strategy import Go
from quantlab.backtest.scan import Scan
from quantlab.core.market import Bars, Instrument
from quantlab.trading import Costs, FixedFraction, Limits, Strategy, signal_of

class Nothing:
    fingerprint = "nothing"
n = 3
bars = Bars(np.full((n, 1, 5), 100.0), np.arange(n) * 300_000, 300_000, np.zeros((n, 1), np.uint8), ("A",),
            (Instrument(0.0, 0.0, 0.0, 0.03, 0.0, 0.0),))
limits = Limits(None, False, None, None, None, None, 1.0)
strategy = Strategy(Nothing(), Go(), FixedFraction(0.1), limits, Costs(0.0, None, 0.0))
run = Scan(10_000.0).run(bars, signal_of(side=np.zeros((n, 1), np.int8)), strategy)
print(round(float(run.orders["size"][0] * 100.0), 6), strategy.fingerprint)
"""


def run(folder: Path) -> tuple[float, str]:
    """Notional of the first fill, and the fingerprint, in a process of its own."""
    command = [sys.executable, "run.py"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    notional, fingerprint = done.stdout.split()
    return float(notional), fingerprint


def test_an_edit_in_any_of_the_users_files_is_another_strategy_and_other_machine_code(tmp_path: Path) -> None:
    """numba's own cache sees the step's file alone: without the digest the old helper would go on trading."""
    files = {"strategy.py": STRATEGY, "helper.py": HELPER, "sizes.py": "SCALE = 1.0\n", "run.py": RUN}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    first = run(tmp_path)
    assert first[0] == 500.0
    assert run(tmp_path) == first
    seen, expected = {first[1]}, 500.0
    edits = [
        ("helper.py", "return 0.05", "return 0.08", 1.6),  # a helper of a helper
        ("helper.py", "FACTOR = 1.0", "FACTOR = 0.5", 0.5),  # a value from another file
        ("sizes.py", "SCALE = 1.0", "SCALE = 2.0", 2.0),  # a module's
        ("strategy.py", "* FACTOR", "* FACTOR * 0.1", 0.1),
    ]
    for name, old, new, factor in edits:
        (tmp_path / name).write_text((tmp_path / name).read_text().replace(old, new))
        notional, fingerprint = run(tmp_path)
        expected *= factor
        assert notional == pytest.approx(expected), (name, old)
        assert fingerprint not in seen, (name, old)
        seen.add(fingerprint)


def test_the_place_of_a_file_does_not_matter(tmp_path: Path) -> None:
    prints = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        for name, text in {
            "strategy.py": STRATEGY,
            "helper.py": HELPER,
            "sizes.py": "SCALE = 1.0\n",
            "run.py": RUN,
        }.items():
            (tmp_path / place / name).write_text(text)
        prints.append(run(tmp_path / place))
    assert prints[0] == prints[1]


def test_what_ships_has_no_code_of_its_own() -> None:
    """Its fingerprint says what it is with its package's version: an edit of a comment there changes no strategy."""
    for policy in (BuyAndHold(), EnsembleThreshold(1.2, 2.0, 12, False), FromSignals(False)):
        assert user_code_hash(policy.step) == user_code_hash(type(policy).params) == ""
    for sizer in (FixedFraction(0.1), RiskPerTrade(0.01, 0.1)):
        assert user_code_hash(sizer.size) == user_code_hash(type(sizer).params) == ""


def test_a_function_without_a_file_counts_by_its_code() -> None:
    def made(text: str, **known: object) -> str:
        space: dict[str, object] = {"__name__": "__main__", **known}
        exec(compile(text, "<cell>", "exec"), space)  # noqa: S102 - as a notebook does
        return user_code_hash(space["f"])

    one = made("def f(x):\n    return x + K\n", K=1.0)
    assert one == made("\n\ndef f(x):\n    return x + K\n", K=1.0)
    others = [
        made("def f(x):\n    return x + K\n", K=2.0),
        made("def f(x):\n    return x - K\n", K=1.0),
        made("def f(x):\n    return (lambda y: y + K + 1)(x)\n", K=1.0),
    ]
    assert len({one, *others, ""}) == 5


def loaded(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> str:
    """`user_code_hash` of ``main.go`` in a folder with these files, imported afresh."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    for name in files:
        sys.modules.pop(name, None)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    return user_code_hash(importlib.import_module("main").go)


def test_what_a_named_module_takes_from_another_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = "import helper\n\ndef go(x):\n    return helper.wanted(x) * helper.inner.SCALE\n"
    helper = "import inner\nfrom deep import wanted\n"
    inner, deep = "SCALE = 1.0\n", "def wanted(x):\n    return x\n"
    files = {"main": main, "helper": helper, "inner": inner, "deep": deep}
    first = loaded(tmp_path, monkeypatch, **files)
    assert loaded(tmp_path, monkeypatch, **files) == first
    assert loaded(tmp_path, monkeypatch, **(files | {"deep": deep.replace("return x", "return x + 1")})) != first
    assert loaded(tmp_path, monkeypatch, **(files | {"inner": "SCALE = 2.0\n"})) != first
    assert loaded(tmp_path, monkeypatch, **(files | {"inner": "import inner\n" + inner})) != first


def test_a_tuple_counts_by_its_members_and_not_by_where_they_lie_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = "from deep import one\nBOTH = (one, 2.0, (3, 'a'))\n\ndef go(x):\n    return BOTH[0](x)\n"
    deep = "def one(x):\n    return x\n"
    first = loaded(tmp_path, monkeypatch, main=main, deep=deep)
    assert loaded(tmp_path, monkeypatch, main=main, deep=deep) == first
    assert loaded(tmp_path, monkeypatch, main=main, deep=deep.replace("return x", "return -x")) != first


@pytest.mark.parametrize(
    "kept",
    [
        "KEPT = {'a': one, 'b': 2.0}",
        "KEPT = {'deep': [{'deeper': (one,)}]}",
        "KEPT = [one, 2.0]",
        "KEPT = {one, 2.0}",
        "KEPT = frozenset({one})",
        "import functools\nKEPT = functools.partial(print, one, end='')",
        "import functools\nKEPT = functools.partial(one)",
        "import functools\nKEPT = functools.partial(print, key=one)",
        "def KEPT(x, f=one):\n    return f(x)",
        "def KEPT(x, *, f=one):\n    return f(x)",
        "KEPT = lambda x, f=one: f(x)",
        "class KEPT:\n    def do(self):\n        return one(1)",
        "class KEPT:\n    do = staticmethod(one)",
        "class KEPT:\n    do = property(one)",
        "class Kind:\n    def __init__(self):\n        self.f = [one]\nKEPT = Kind()",
        "class Kind:\n    def __init__(self, f):\n        self.f = f\nKEPT = Kind(one(0))",
    ],
)
def test_what_is_kept_in_containers_defaults_partials_and_classes_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    """The file of the strategy stays as it is; a value or a function of another file, reached in one of these ways, changes."""
    main = f"from deep import one\n{kept}\n\ndef go(x):\n    return KEPT\n"
    deep = "def one(x=0):\n    return x\n"
    first = loaded(tmp_path, monkeypatch, main=main, deep=deep)
    assert loaded(tmp_path, monkeypatch, main=main, deep=deep) == first
    assert loaded(tmp_path, monkeypatch, main=main, deep=deep.replace("return x", "return x + 1")) != first


@pytest.mark.parametrize("value", ["{'a': 1.0, 'b': 2.0}", "[1.0, 2.0]", "{1.0, 2.0}", "dict(k=[(1.0, {2.0})])"])
def test_values_in_containers_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    main = "import deep\n\ndef go(x):\n    return deep.KEPT\n"
    first = loaded(
        tmp_path, monkeypatch, main=main, deep="import other\nKEPT = other.KEPT\n", other=f"KEPT = {value}\n"
    )
    changed = value.replace("2.0", "3.0")
    again = loaded(
        tmp_path, monkeypatch, main=main, deep="import other\nKEPT = other.KEPT\n", other=f"KEPT = {changed}\n"
    )
    assert again != first


@pytest.mark.parametrize(
    ("order", "counts"), [("{'a': one, 'b': two}|{'b': two, 'a': one}", True), ("{one, two}|{two, one}", False)]
)
def test_the_order_of_a_dict_counts_and_that_of_a_set_does_not(order: str, counts: bool) -> None:
    prints = []
    for kept in order.split("|"):
        space: dict[str, object] = {"__name__": "__main__"}
        text = f"def one():\n    return 1\ndef two():\n    return 2\nKEPT = {kept}\ndef f():\n    return KEPT\n"
        exec(compile(text, "<cell>", "exec"), space)  # noqa: S102 - as a notebook does
        prints.append(user_code_hash(space["f"]))
    assert (prints[0] != prints[1]) is counts


def test_a_list_that_holds_itself_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = "KEPT = [1.0]\nKEPT.append(KEPT)\nOTHER = {}\nOTHER['o'] = OTHER\n\ndef go(x):\n    return KEPT, OTHER\n"
    assert loaded(tmp_path, monkeypatch, main=main)


@pytest.mark.parametrize("line", ["import deep", "from deep import one", "import deep.inner as x", "from . import one"])
def test_an_import_inside_a_function_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    files = {"main": f"def go(x):\n    {line}\n    return 1\n", "deep": "def one(x):\n    return x\n"}
    with pytest.raises(ConfigError, match="imports at the top of the file of go"):
        loaded(tmp_path, monkeypatch, **files)
    inner = f"def go(x):\n    def inner():\n        {line}\n    return inner\n"
    with pytest.raises(ConfigError, match="Move it to the top"):
        loaded(tmp_path, monkeypatch, **(files | {"main": inner}))
    allowed = "import pandas\n\ndef go(x, kind=pandas.DataFrame):\n    import math\n    import numpy.linalg\n    return math.pi\n"
    assert loaded(tmp_path, monkeypatch, **(files | {"main": allowed}))


#: The file of the strategy stays as it is; V, or the class or function of another file, changes.
TAKEN_BY_VALUE = [
    "class P:\n    __slots__ = ('x',)\n    def __init__(self, x):\n        self.x = x\nKEPT = P(V)",
    "import dataclasses\n@dataclasses.dataclass(frozen=True, slots=True)\nclass P:\n    x: int\nKEPT = P(V)",
    "class C:\n    def __init__(self):\n        self.v = V\n    def f(self):\n        return self.v\nKEPT = C().f",
    "import functools\nclass C:\n    def f(self, a):\n        return a\n    g = functools.partialmethod(f, V)\nKEPT = C()",
    "import decimal\nKEPT = decimal.Decimal(V)",
    "import datetime\nKEPT = datetime.timedelta(V)",
    "import datetime\nKEPT = datetime.datetime(2020, 1, V)",
    "import collections\nKEPT = collections.deque([V])",
    "KEPT = range(V)",
    "KEPT = bytearray([V])",
    "KEPT = memoryview(bytes([V]))",
    "import array\nKEPT = array.array('d', [V])",
    "import re\nKEPT = re.compile('a' * V)",
    "import random\nKEPT = random.Random(V)",
    "import operator\nKEPT = operator.itemgetter(V)",
    "import numpy as np\nKEPT = np.poly1d([V, 2])",
    "import numpy as np\nKEPT = np.array([[V], [2, 3]], dtype=object)",
    "import numpy as np\nKEPT = np.zeros(1, dtype=[(f'a{V}', 'f8')])",
    "import numpy as np\nKEPT = np.ma.array([1, 2], mask=[V == 1, False])",
    "import numpy as np\nKEPT = np.random.default_rng(V)",
    "import pandas as pd\nKEPT = pd.Series([V, 2])",
    "import pandas as pd\nKEPT = {'a': pd.DataFrame({'x': [1.0]}, index=[V])}",
    "class L(list):\n    pass\nKEPT = L([1])\nKEPT.k = V",
    "def KEPT():\n    return KEPT.k\nKEPT.k = V",
    "import types\nKEPT = types.MappingProxyType({'a': V})",
    "import numba\nKEPT = numba.typed.List([V])",
    "KEPT = [lambda x: x, lambda x: -x][V - 1]",
    "import math\nKEPT = [math.sin, math.cos][V - 1]",
]
TAKEN_BY_CODE = [
    "class KEPT(deep.Base):\n    pass",
    "class Mid(deep.Base):\n    pass\nclass Kind(Mid):\n    pass\nKEPT = Kind()",
    "class KEPT(metaclass=deep.Meta):\n    pass",
    "import functools\nclass C:\n    g = functools.cached_property(deep.one)\nKEPT = C()",
    "import functools\n@functools.singledispatch\ndef KEPT(x):\n    return 0\nKEPT.register(int, deep.one)",
    "import functools\nKEPT = functools.lru_cache(deep.one)",
    "import numpy as np\nKEPT = np.vectorize(deep.one)",
    "import numba\nKEPT = numba.vectorize(['f8(f8)'])(deep.one)",
    "import collections\nKEPT = collections.defaultdict(deep.one)",
    "KEPT = deep.Listed([1])",
    "KEPT = deep.Dicted()",
    "KEPT = deep.Whole(1)",
    "KEPT = deep.wrapped",
    "import contextlib\nKEPT = contextlib.contextmanager(deep.one)",
]
DEEP = """import functools
import numpy as np
def one(x=0.0):
    return x
class Base:
    def f(self):
        return 1
class Meta(type):
    def f(cls):
        return 1
class Listed(list):
    def f(self):
        return 1
class Dicted(dict):
    def __missing__(self, key):
        return 1
class Whole(int):
    def f(self):
        return 1
@functools.wraps(np.mean)
def wrapped(x):
    return 1
"""


@pytest.mark.parametrize("kept", [*TAKEN_BY_VALUE, *TAKEN_BY_CODE])
def test_whatever_keeps_a_value_or_code_of_another_file_is_seen_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    by_value = kept in TAKEN_BY_VALUE
    top = "from deep import V\n" if by_value else "import deep\n"
    files = {"main": f"{top}{kept}\n\ndef go(x):\n    return KEPT\n", "deep": "V = 1\n" if by_value else DEEP}
    changed = "V = 2\n" if by_value else DEEP.replace("return x", "return x + 1").replace("return 1", "return 2")
    first = loaded(tmp_path, monkeypatch, **files)
    assert loaded(tmp_path, monkeypatch, **files) == first
    assert loaded(tmp_path, monkeypatch, **(files | {"deep": changed})) != first


@pytest.mark.parametrize(
    "text",
    [
        "def made():\n    def go(x):\n        return later(x)\n    if False:\n        later = 1\n    return go\ngo = made()",
        "class N:\n    def __init__(self, n):\n        self.n = n\nK = None\nfor _ in range(3000):\n    K = N(K)",
        "K = []\nfor _ in range(3000):\n    K = [K]",
        "class N:\n    pass\nK = [N() for _ in range(20)]\nfor n in K:\n    n.others = {i: m for i, m in enumerate(K)}",
        "class O:\n    def __getattr__(self, name):\n        raise RuntimeError(name)\nK = O()",
        "class O:\n    def __getattr__(self, name):\n        return O()\nK = O()",
        "class O:\n    py_func = property(lambda self: 1 / 0)\nK = O()",
        "class O:\n    __hash__ = None\n    def __call__(self, x):\n        return 1\ngo = O()",
        "from collections.abc import Mapping\nclass M(Mapping):\n    def __getitem__(self, key):\n        raise KeyError\n"
        "    def __iter__(self):\n        return iter(range(10**9))\n    def __len__(self):\n        return 10**9\nK = M()",
        "import logging, os, random, sys, threading\n"
        "K = threading.Lock(), logging.getLogger('a'), sys.stderr, os.environ, random.random, random.uniform, threading.RLock()",
        "K = 10**5000, [10**5000]",
        "class O:\n    def plot(self):\n        import my_plots\n    def f(self):\n        return 1\nK = O().f",
    ],
)
def test_odd_objects_have_a_hash_that_does_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    main = text if "go = " in text else f"{text}\n\ndef go(x):\n    return K\n"
    first = loaded(tmp_path, monkeypatch, main=main)
    assert first
    assert loaded(tmp_path, monkeypatch, main=main) == first


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import importlib\ndef go(x):\n    return importlib.import_module('m').V", "import_module inside"),
        ("from importlib import import_module as find\ndef go(x):\n    return find('m').V", "a search among modules"),
        ("def go(x):\n    return __import__('m').V", "__import__ inside"),
        ("def go(x):\n    return globals()['V']", "globals inside"),
        ("import sys\ndef go(x):\n    return sys.modules['m'].V", "sys.modules inside"),
        ("class O:\n    def f(self):\n        import m\nK = O()\ndef go(x):\n    return K.f()", "import m inside"),
        ("class O:\n    def f(self):\n        return self.g()\n    def g(self):\n        import m\n\ndef go(x):\n    return O().f()", "import m"),
        ("import sqlite3\nK = sqlite3.connect(':memory:')\ndef go(x):\n    return K", "K, a sqlite3.Connection whose state"),
        ("import numpy as np\nK = np.frompyfunc(lambda x: x, 1, 1)\ndef go(x):\n    return K", "K, a numpy.ufunc whose state"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        loaded(tmp_path, monkeypatch, main=text + "\n")


def test_what_is_looked_up_by_text_and_a_file_named_like_the_standard_librarys_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = sys.modules.get("this")
    for main, helper in (("import deep\n\ndef go(x):\n    return getattr(deep, x)\n", "deep"), ("import this\n\ndef go(x):\n    return this.V\n", "this")):  # fmt: skip
        files = {"main": main, helper: "from inner import V\n", "inner": "V = 1\n"}
        first = loaded(tmp_path, monkeypatch, **files)
        assert loaded(tmp_path, monkeypatch, **(files | {"inner": "V = 2\n"})) != first, helper
    sys.modules.pop("this", None)
    if known is not None:
        sys.modules["this"] = known
