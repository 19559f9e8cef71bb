"""The exchange's published limits, as data. The engine's limiter counts half of them, because another
program may share the key. The other half also serves what it does not count: a call takes one
permit, whatever requests it makes, and contracts and prices take none (README.md has the figures).

Published per key: 10 requests a second and 500 a minute, for orders and for all other calls alike;
wallet calls 2 a second and 50 a minute. Public prices: 300 a minute per address.
"""

from typing import Final

from rexalgo import RateLimit

PUBLISHED_PER_S: Final = 10
PUBLISHED_PER_MINUTE: Final = 500
DEFAULT_PER_S: Final = PUBLISHED_PER_S // 2
EXIT_REQUESTS: Final = 3
"""Position, closing call, history after. A late history takes more."""
ACCOUNT_REQUESTS: Final = 3
"""Funds, positions, orders. Long lists take more."""
PER_S_MIN: Final = EXIT_REQUESTS
"""The cost of one exit. A smaller burst would never let it through."""
PERIOD_S: Final = 6.0
"""A tenth of a minute: long enough to average over, short enough to wait for."""

HISTORY_ROWS: Final = 500
PAGE_ROWS: Final = 100
LEAST_PAGE_ROWS: Final = 20
"""The exchange's default page length of orders and positions. A shorter page is the last one.
"""
LEAST_FEE_ROWS: Final = 10
"""The default page length of fees and of contracts."""
LEAST_CONTRACT_ROWS: Final = LEAST_FEE_ROWS
PAGES_MAX: Final = 5
KLINE_ASSETS_MAX: Final = 25
KLINE_ROWS_MAX: Final = 1_440
QUOTE_READS_MAX: Final = 4
"""The most reads of one reading of prices, each by one key or by two. The next reading continues,
oldest first.
"""


def limit_of(per_s: int) -> RateLimit:
    """Return the limit for a burst of ``per_s``: 50 bursts a minute, the published ratio."""
    return RateLimit(per_s * 5, PERIOD_S, per_s)
