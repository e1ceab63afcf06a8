"""``kill -9`` at random moments; see ``torture.py`` beside this file for longer ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def tortured(*arguments: str) -> dict:
    script = Path(__file__).with_name("torture.py")
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)
    assert seen["different"] == []
    return seen


def test_fifty_kills_lose_nothing_and_double_nothing():
    seen = tortured("--kills", "50", "--bars", "1200")
    assert seen["kills"] == 50
    assert seen["fills"] > 300
    assert seen["switches"] == 4
    assert seen["places"] >= 15  # they fell all over the session


def test_five_kills_with_models_in_the_loop():
    seen = tortured("--kills", "5", "--bars", "300", "--models")
    assert seen["kills"] == 5
    assert seen["fills"] > 20
