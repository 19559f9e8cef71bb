"""The [plugin.mudrex] section, read and checked at the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from plugins.mudrex.limits import DEFAULT_PER_S, PER_S_MIN
from rexalgo import InvalidValue, is_loopback


class EntryApi(Enum):
    """The call for an entry: v2 takes a client order id, v1 does not. AUTO decides once per
    account, when it connects.
    """

    V2 = "v2"
    V1 = "v1"
    AUTO = "auto"


DEFAULTS: Final[Mapping[str, object]] = {
    "base_url": "https://trade.mudrex.com/fapi",
    "orders_per_s": DEFAULT_PER_S,
    "reads_per_s": DEFAULT_PER_S,
    "entry_api": "v2",
}


@dataclass(frozen=True, slots=True)
class MudrexSettings:
    """The settings of the section. Limits are permits per second and key: half of the published
    requests.
    """

    base_url: str
    orders_per_s: int
    reads_per_s: int
    entry_api: EntryApi = EntryApi.V2

    @staticmethod
    def parse(given: Mapping[str, object]) -> "MudrexSettings":
        """Read the section. https is required, except for an address of this machine."""
        for name in given:
            if name not in DEFAULTS:
                raise InvalidValue(f"plugin.mudrex.{name}", "one of " + ", ".join(DEFAULTS), name)
        table = {**DEFAULTS, **given}
        base_url = table["base_url"]
        if not isinstance(base_url, str) or not (
            base_url.startswith("https://") or is_loopback(base_url)
        ):
            raise InvalidValue(
                "plugin.mudrex.base_url",
                "an https address, or http on this machine (a simulator)",
                base_url,
            )
        counts = []
        for name in ("orders_per_s", "reads_per_s"):
            value = table[name]
            if (
                isinstance(value, bool)
                or not isinstance(value, int)
                or not PER_S_MIN <= value <= 100
            ):
                raise InvalidValue(
                    f"plugin.mudrex.{name}", f"a whole number from {PER_S_MIN} to 100", value
                )
            counts.append(value)
        try:
            entry_api = EntryApi(table["entry_api"])
        except ValueError:
            raise InvalidValue(
                "plugin.mudrex.entry_api", "v2, v1 or auto", table["entry_api"]
            ) from None
        return MudrexSettings(base_url.rstrip("/"), counts[0], counts[1], entry_api)
