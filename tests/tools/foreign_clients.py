"""Three clients of the venue trade on the simulated exchange, each in an environment of its own; the ledger must agree.

``python tests/tools/foreign_clients.py --environments DIR``: an environment that is not there yet is made, which needs the package
index. Two of the clients install the same package, so one environment will not do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from decimal import Decimal
from pathlib import Path
from typing import Any

from quantlab.core.market import Instrument
from quantlab.data.synthetic.source import SyntheticSource
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import Settings, running_exchange
from quantlab.trading.strategy.strategy import Costs

CLIENTS = {
    "python_binance": "python-binance==1.0.37",
    "binance_sdk": "binance-sdk-derivatives-trading-usds-futures==18.1.0",
    "futures_connector": "binance-futures-connector==4.2.0",
}
SCRIPTS = Path(__file__).resolve().parents[1] / "simulator" / "clients"
SYMBOL = "SYN00USDT"


def environment(folder: Path, package: str) -> Path:
    """The interpreter of an environment with a package, made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True)
    return python


def trade_once_around(python: Path, script: Path) -> list[str]:
    """Let one client trade, and return what the ledger sees otherwise."""
    source = SyntheticSource(7, 1, 2, 300_000, "2025-01-01", 1.0, 0, Instrument(0.01, 0.001, 5.0, 0.01, 2.0, 4.0))
    costs = Costs(slippage_bps=2.0, participation=0.05, liquidation_fee_bps=125.0)
    settings = Settings(VenueRules("wall"), history_bars=100, pace=60.0)
    with running_exchange(source.history(), costs, settings) as running:
        command = [str(python), str(script), running.url, SYMBOL]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            return [done.stderr[-3000:] or "failed without a word"]
        seen = json.loads(done.stdout.splitlines()[-1])
        entries = [entry.to_dict() for entry in running.exchange.venue.ledger]
        wallet = running.exchange.venue.state.accounts["main"].wallet
    print(f"  {json.dumps(seen)}")  # noqa: T201
    return differences(seen, entries, wallet)


def differences(seen: dict[str, Any], entries: list[dict[str, Any]], wallet: Decimal) -> list[str]:
    """Points in which a client and the ledger do not agree."""
    made = [entry for entry in entries if entry["kind"] == "trade"]
    told = [[e["trade_id"], Decimal(e["price_ticks"]) / 100, Decimal(e["fee"])] for e in made]
    heard = [[t[0], Decimal(t[1]), Decimal(t[2])] for t in seen["trades"]]
    stops = [entry["kind"] for entry in entries if entry["kind"].startswith("algo")]
    checks = {
        f"trades {heard} against {told}": heard == told and len(told) == 2,
        f"balance {seen['balance']} against {wallet}": Decimal(seen["balance"]) == wallet,
        f"positions {seen['positions']}": all(Decimal(lots) == 0 for lots in seen["positions"]),
        f"income {seen['income']}": seen["income"].count("COMMISSION") == 2,
        f"books {seen['books']}": seen["books"] == ([1, 0] if "stop" in seen else [0, 1]),
        f"stops {stops}": seen.get("stop") == -4120 if "stop" in seen else stops == ["algo", "algo_end"],
        f"stream {seen['stream']}": len(seen["stream"]) >= 6,
    }
    return [name for name, holds in checks.items() if not holds]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=Path, required=True, help="folder of the clients' environments")
    folder = parser.parse_args().environments
    failed = False
    for name, package in CLIENTS.items():
        print(package)  # noqa: T201
        found = trade_once_around(environment(folder / name, package), SCRIPTS / f"{name}.py")
        failed = failed or bool(found)
        print("  agrees with the ledger" if not found else "\n".join(f"  DIFFERS: {line}" for line in found))  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
