"""Another source's bars, seen through dated snapshots: nothing is opened in what was no member that day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from quantlab.core.checks import check_has
from quantlab.core.clock import MS_PER_DAY, iso_utc
from quantlab.core.errors import DataError
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource, HasDataNotes, HasFileChecks, HasMarket, HasSoundPart
from quantlab.data.universe.membership import Membership, members_without_bars
from quantlab.data.universe.snapshot import Snapshot, read_snapshots

#: Snapshots are to be taken daily; reports name a snapshot that decides for longer.
_FRESH_DAYS = 2.0


@dataclass(frozen=True)
class UniverseSource:
    """A :class:`~quantlab.core.ports.DataSource` with a point-in-time universe.

    Parameters
    ----------
    source : DataSource
        Named as the snapshots name their symbols.
    universe : str or Path
        Folder of snapshots, as ``job=universe`` writes them.

    Notes
    -----
    See :mod:`quantlab.data.universe.membership` for what membership means. Rows before the first snapshot
    belong to nobody's universe: they warm features up, and nothing is opened in them.
    """

    source: DataSource
    universe: str | Path

    def __post_init__(self) -> None:
        check_has("data.source", self.source, "history", "stream")

    @property
    def synthetic(self) -> bool:
        return self.source.synthetic

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """The source's bars, marked; see the port.

        Raises
        ------
        DataError
            If no snapshot was taken before the last of them, or none names one of their symbols.
        ArtifactError
            If a snapshot is damaged.
        """
        bars, snapshots = self.source.history(start_ms, end_ms), self._snapshots()
        _require_some(bars, snapshots, Path(self.universe))
        return Membership.of(snapshots, bars.symbols).mark(bars)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Bars]:
        """The bars of :meth:`history` one at a time."""
        snapshots, membership = self._snapshots(), None
        for bar in self.source.stream(start_ms, end_ms):
            membership = membership or Membership.of(snapshots, bar.symbols)
            yield membership.mark(bar)

    def problems(self) -> tuple[DataError, ...]:
        """Every refusal that reading the source's files would meet."""
        return self.source.problems() if isinstance(self.source, HasFileChecks) else ()

    def sound_part(self) -> UniverseSource | None:
        """This source without the symbols whose files are refused; None if nothing is left."""
        rest = self.source.sound_part() if isinstance(self.source, HasSoundPart) else self.source
        return None if rest is None else replace(self, source=rest)

    def universe_notes(self, bars: Bars) -> tuple[str, ...]:
        """Sentences that a reader of results on `bars` must know of their universe."""
        snapshots = self._snapshots()
        first = snapshots[0].taken_ms
        notes = [
            f"The universe is point in time: {len(snapshots)} snapshots from {iso_utc(first)} on decide who is traded"
        ]
        early = int((bars.open_time_ms < first).sum())
        if early:
            notes.append(f"{early:,} bars lie before the first snapshot of the universe: nothing is opened in them")
        missing = members_without_bars(snapshots, bars.symbols)
        if missing:
            shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            notes.append(
                f"{len(missing)} symbols were members and have no bars here ({shown}): who has vanished flatters results"
            )
        since, days = _longest_reliance(snapshots, int(bars.open_time_ms[-1]))
        if days > _FRESH_DAYS:
            notes.append(f"the snapshot of {iso_utc(since)} decides for {days:.0f} days: none was taken in between")
        return tuple(notes)

    def bar_market(self) -> str:
        """The wrapped source's market; linear perpetuals where it names none."""
        return self.source.bar_market() if isinstance(self.source, HasMarket) else "linear"

    def data_notes(self) -> tuple[str, ...]:
        """Notes of the wrapped source on its data."""
        return self.source.data_notes() if isinstance(self.source, HasDataNotes) else ()

    def _snapshots(self) -> tuple[Snapshot, ...]:
        return read_snapshots(Path(self.universe))


def _longest_reliance(snapshots: tuple[Snapshot, ...], last_ms: int) -> tuple[int, float]:
    """Time of the snapshot that decides longest, up to the last bar, and the number of days."""
    times = [snapshot.taken_ms for snapshot in snapshots if snapshot.taken_ms <= last_ms]
    ms, since = max(((after - since, since) for since, after in pairwise([*times, last_ms])), default=(0, last_ms))
    return since, ms / MS_PER_DAY


def _require_some(bars: Bars, snapshots: tuple[Snapshot, ...], root: Path) -> None:
    if snapshots[0].taken_ms > int(bars.open_time_ms[-1]):
        raise DataError(
            f"a universe snapshot in {root} from before {iso_utc(int(bars.open_time_ms[-1]))}",
            found=f"the first from {iso_utc(snapshots[0].taken_ms)}",
            fix="choose a later period, or leave the universe out (results then say that the survivors were known)",
        )
    if not any(set(snapshot.members) & set(bars.symbols) for snapshot in snapshots):
        raise DataError(
            f"symbols named as in the snapshots, e.g. {', '.join(snapshots[-1].members[:3])}",
            found=", ".join(bars.symbols[:3]),
            fix="collect the universe's own symbols, or set data.universe to its exchange's snapshots",
        )
