"""What the ledger raises."""

from engine.domain.errors import OwnFault


class LedgerError(OwnFault):
    """Raised when the ledger cannot be opened or written: nothing was recorded, and nothing may be
    sent because of it.
    """


class NotMigrated(LedgerError):
    """Raised when a ledger of an earlier version was only to be read: it was not changed."""


class WriteRefused(LedgerError):
    """Raised when one write breaks a rule of the database, such as a unique key: none of it was
    recorded. The ledger itself is healthy.
    """


class DiskRefused(LedgerError):
    """Raised when the disk did not take a write or a copy: it is full, or it fails."""
