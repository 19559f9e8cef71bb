"""One exchange's circuit breaker: when it fails for several accounts in a row, entries wait, and
retries are limited to a share of new entries.

Pure arithmetic on times that are passed in. Only entries ask it; exits never do. Any call that
works closes the circuit again.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

FAILURES_MIN: Final = 6
ACCOUNTS_MIN: Final = 2
WITHIN: Final = timedelta(seconds=20)
PAUSE_MIN: Final = timedelta(seconds=2)
PAUSE_MAX: Final = timedelta(seconds=60)
RETRY_SHARE: Final = 0.2
RETRIES_SAVED_MAX: Final = 50.0


@dataclass(slots=True)
class Circuit:
    """Counts of failed and successful calls; all times are UTC.

    It opens at 6 failures of at least 2 accounts within 20 s, with no success between them (a
    single account may have a bad line of its own). It stays open for 2 s, then twice as long with
    each further opening, at most 60 s, until a call succeeds.

    An account that failed while another was answered has a trouble of its own: its failures count
    no more until it is answered itself.
    """

    _failures: deque[tuple[datetime, str]] = field(default_factory=deque)
    _open_until: datetime | None = None
    _pause: timedelta = PAUSE_MIN
    _retries: float = RETRIES_SAVED_MAX
    _alone: set[str] = field(default_factory=set)
    openings: int = 0
    last_problem: str = ""

    def worked(self, account: str) -> None:
        """Record a call that the exchange answered; a refusal is an answer."""
        self._alone.update(failing for _, failing in self._failures)
        self._alone.discard(account)
        self._failures.clear()
        self._open_until = None
        self._pause = PAUSE_MIN

    def failed(self, account: str, problem: str, now: datetime) -> None:
        """Record a call that the exchange did not answer, or answered with a failure of its own."""
        if account in self._alone:
            return
        self._failures.append((now, account))
        self.last_problem = problem
        while self._failures and now - self._failures[0][0] > WITHIN:
            self._failures.popleft()
        is_open = self._open_until is not None and now < self._open_until
        if not is_open and len(self._failures) >= FAILURES_MIN and self.accounts >= ACCOUNTS_MIN:
            self._open_until = now + self._pause
            self._pause = min(self._pause * 2, PAUSE_MAX)
            self.openings += 1

    @property
    def accounts(self) -> int:
        """Return the number of accounts with counted failures."""
        return len({account for _, account in self._failures})

    @property
    def failures(self) -> int:
        """Return the number of counted failures."""
        return len(self._failures)

    def wait_s(self, now: datetime) -> float:
        """Return the seconds that an entry has to wait; 0 if the circuit is closed."""
        return (
            0.0
            if self._open_until is None
            else max(0.0, (self._open_until - now) / timedelta(seconds=1))
        )

    def may_retry(self) -> bool:
        """Take one retry out of the budget; return False if it is used up. Each new entry adds a
        fifth of a retry.
        """
        if self._retries < 1.0:
            return False
        self._retries -= 1.0
        return True

    def began(self) -> None:
        """Record the first try of an entry."""
        self._retries = min(RETRIES_SAVED_MAX, self._retries + RETRY_SHARE)
