"""A collected dataset as an Arrow dataset: lazy queries over years and thousands of symbols."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads

from quantlab.core.errors import DataError
from quantlab.data.store.day_files import BARS, COLUMNS
from quantlab.data.store.manifest import Part, read_manifest


def open_dataset(root: str | Path, kind: str = BARS) -> pads.Dataset:
    """Open every committed file of `kind` as one table; nothing is read before a query asks for it.

    Parameters
    ----------
    root : str or Path
        The dataset's folder.
    kind : {"bars", "funding"}

    Returns
    -------
    pyarrow.dataset.Dataset
        Columns ``symbol`` (string), ``timestamp`` (ms, UTC) and the numbers. A scan with a filter reads
        only the row groups whose statistics allow it and only the columns named; DuckDB and polars take the
        same object. Hashes are not verified here: this is for looking, ``data=collected`` is for trading.

    Raises
    ------
    DataError
        If there is no dataset, or it has no file of that kind.
    """
    folder = Path(root)
    manifest = read_manifest(folder)
    paths = [str(manifest.files[Part(kind, day)].path(folder, Part(kind, day))) for day in manifest.days(kind)]
    if not paths:
        known = " or ".join(COLUMNS)
        raise DataError(f"files of {kind!r} ({known}) in {folder}", found="none", fix="collect them with job=collect")
    # Each file has a dictionary of symbols of its own, which kernels such as group_by cannot put together.
    fields = [("symbol", pa.string()), ("timestamp", pa.timestamp("ms", tz="UTC"))]
    schema = pa.schema([*fields, *((name, pa.float64()) for name in COLUMNS[kind])])
    return pads.dataset(paths, format="parquet", schema=schema)
