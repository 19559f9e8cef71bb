"""What can be wrong with a value, and whose fault it is.

``InvalidValue`` is the single failure type of untrusted input: anything a person, a bot or an
exchange wrote that does not fit. It names the field, what was expected and what was found, and
never carries a secret.
"""


class RexAlgoError(Exception):
    """Be the parent of every error that this project raises on purpose."""


class OwnFault(RexAlgoError):
    """Say that this place failed, not whoever asked: its words are for the log and the operator's
    shell, never for a page.
    """


class InvalidValue(RexAlgoError, ValueError):
    """Say that outside input does not fit: correct the named field and send it again.

    ``field`` is a dotted path such as ``size.quantity``; ``expected`` completes "expected ...".
    ``found`` is for operators (logs, terminal) and is not part of what an untrusted sender is told.
    """

    def __init__(self, field: str, expected: str, found: object = None) -> None:
        self.field = field
        self.expected = expected
        self.found = None if found is None else str(found)[:80]
        tail = "" if self.found is None else f", found {self.found!r}"
        super().__init__(f"{field}: expected {expected}{tail}")


class NothingThere(RexAlgoError):
    """Say that what was asked for is not here; the message names what is."""


class UnusableFile(RexAlgoError):
    """Be the parent of errors that say at once everything that is wrong with a file."""


class InUse(RexAlgoError):
    """Say that another process works on what is needed: nothing was done."""


class InvalidMove(RexAlgoError):
    """Say that the code asked for a state change outside the transition table: a programming error
    of one account.
    """
