"""Journals of an older layout: readers read them, sessions refuse them in a sentence and leave them as they are."""

from __future__ import annotations

import copy
import sqlite3

import pytest

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.events import Event
from quantlab.execution.journal import sqlite as journal_file
from quantlab.execution.journal.connection import connect
from quantlab.execution.journal.layout import LAYOUT, layout_of
from quantlab.execution.journal.reader import read_session
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.readiness.window import read_windows
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.session.status import status_facts, status_tables

NEW_OF_FILLS = ("open", "decided")


def older(event: Event) -> Event:
    """The entry as the first layout had it."""
    facts = copy.deepcopy(event.facts)
    facts.pop("layout", None)
    if event.kind == "bar":
        bar = facts["bar"]
        bar.pop("stage")
        bar["positions"] = [row[:4] for row in bar["positions"]]
        bar["fills"] = [{name: fill[name] for name in fill if name not in NEW_OF_FILLS} for fill in bar["fills"]]
    return Event(event.kind, facts, event.payload)


def set_version(path, number: int) -> None:
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {number}")
    database.commit()
    database.close()


@pytest.fixture
def lived(session_parts):
    """A session of the newest layout that ended with a position, and its last bar."""
    place = session_parts(1, n_bars=120)
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        session.run(most_bars=20)
        while not journal.latest("bar").facts["bar"]["positions"]:
            assert session.run(most_bars=1) == 1
        session.finish("the feed ended")
    return place


@pytest.fixture
def old(lived, monkeypatch):
    """The same session as the first layout's version would have left it."""
    path = lived.folder / "old.db"
    with lived.journal() as journal:
        entries = [older(event) for event in journal.replay()]
    with monkeypatch.context() as patched:
        patched.setattr(journal_file, "LAYOUT", 1)
        with SqliteJournal(path) as journal:
            journal.append(entries)
    set_version(path, 0)
    return path


def test_a_new_journal_says_its_layout(lived):
    database = connect(lived.folder / "journal.db", read_only=True)
    assert layout_of(database) == LAYOUT == 2
    database.close()
    with lived.journal() as journal:
        assert journal.latest("began").facts["layout"] == LAYOUT


def test_an_older_journal_is_read_whole_and_says_what_it_does_not_have(lived, old, capsys):
    view, new = read_session(old, check=True), read_session(lived.folder / "journal.db", check=True)
    assert view.tables["equity"] == new.tables["equity"]
    assert view.tables["fills"] == [row[:8] for row in new.tables["fills"]]
    assert view.tables["positions"] == [row[:4] for row in new.tables["positions"]]
    assert status_facts(view, 0)["last_bar"]["account"] == status_facts(new, 0)["last_bar"]["account"]
    for table in status_tables(view, now_ms=None):
        stdout_console().print(table)
    assert capsys.readouterr().out.count("not recorded") == len(view.tables["positions"])
    (ours,), (theirs,) = (read_windows(path, [(60, None)]) for path in (old, lived.folder / "journal.db"))
    assert [bar["account"] for bar in ours.facts] == [bar["account"] for bar in theirs.facts]
    assert ours.complete


def test_an_older_journal_is_refused_by_a_session_and_left_as_it_is(old):
    before = old.read_bytes()
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"layout 2; found layout 1\. Go on with the version"):
            SqliteJournal(old)
    assert old.read_bytes() == before


def test_a_file_of_an_older_version_without_an_entry_is_made_anew(tmp_path, monkeypatch):
    path = tmp_path / "j.db"
    with monkeypatch.context() as patched:
        patched.setattr(journal_file, "LAYOUT", 1)
        SqliteJournal(path).close()
    set_version(path, 0)
    with SqliteJournal(path) as journal:
        columns = [row[1] for row in journal._database.execute("PRAGMA table_info(positions)")]
        assert "stop" in columns
        assert layout_of(journal._database) == LAYOUT


@pytest.mark.parametrize(("number", "error"), [(0, ArtifactError), (1, ArtifactError), (3, ArtifactError)])
def test_a_layout_that_the_entries_are_not_of_is_noticed(lived, number, error):
    path = lived.folder / "journal.db"
    set_version(path, number)
    with pytest.raises(error):
        read_session(path, check=True)
    with pytest.raises((ArtifactError, ConfigError)):
        SqliteJournal(path)
