"""An operator halts while a signal fans out, over real sockets: what was sent is answered for, what
was not is skipped, and nothing is sent after the shell has confirmed it.
"""

from collections import Counter
from pathlib import Path

import httpx
from journey_place import opening, run_cli, until
from simulated_mudrex import Simulator, simulated, trading_there

FOLLOWERS = 40
SENT = 15


def test_halted_and_flattened_in_a_fan_out_nothing_is_sent_after_the_confirmation(
    tmp_path: Path,
) -> None:
    with (
        simulated(tmp_path / "orders.jsonl", "--latency-ms", "5") as simulator,
        trading_there(simulator, tmp_path / "place", FOLLOWERS, entry_age_s=60) as place,
        httpx.Client(trust_env=False, timeout=20) as client,
    ):
        # Fifteen accounts prepare their entry at once, the others not before the rules are cleared.
        prepare = {"path": "/leverage", "method": "POST"}
        simulator.rules(
            {**prepare, "fault": "reorder", "seconds": 0.001, "times": SENT},
            {**prepare, "fault": "slow", "seconds": 60, "times": 0},
        )
        signal_id = place.bots["trend"].post(client, opening("halted")).json()["signal_id"]
        until(lambda: len(simulator.orders()) == SENT, 60)
        run_cli("halt", "entries", "--all", "--note", "drill", cwd=place.folder)
        simulator.rules()
        codes = Counter(place.settled(signal_id))
        assert codes == {"filled": SENT, "skipped.entries_off": FOLLOWERS - SENT}
        assert entries(simulator) == SENT
        run_cli("halt", "flatten", "--all", "--yes", "--wait", "60", cwd=place.folder)
        assert simulator.positions() == 0
        assert len(simulator.orders()) == 2 * SENT


def entries(simulator: Simulator) -> int:
    """Return the number of entries at the exchange; no account has more than one order a leg."""
    legs = Counter((each["account"], each["reduce_only"]) for each in simulator.orders())
    assert max(legs.values()) == 1, legs
    return sum(1 for _, reduces in legs if not reduces)
