"""Puts this folder's helpers and the local exchanges of the data room's tests on the path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "data" / "fakes")]
