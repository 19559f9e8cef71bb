"""What can be wrong with a value, and whose fault it is.

``InvalidValue`` is the single failure type of untrusted input: anything from a person, a bot or an
exchange that does not fit. It names the field, what was expected and what was found, and never
carries a secret.
"""


class RexAlgoError(Exception):
    """The base of every error that this project raises on purpose."""


class OwnFault(RexAlgoError):
    """Raised when the engine itself failed, not the caller: the text is for the log and the
    operator's shell, never for a page.
    """


class InvalidValue(RexAlgoError, ValueError):
    """Raised when outside input does not fit: the sender corrects the named field and sends it
    again.

    ``field`` is a dotted path such as ``size.quantity``; ``expected`` completes "expected ...".
    ``found`` is for operators (logs, terminal) and is never sent to an untrusted sender.
    """

    def __init__(self, field: str, expected: str, found: object = None) -> None:
        self.field = field
        self.expected = expected
        self.found = None if found is None else str(found)[:80]
        tail = "" if self.found is None else f", found {self.found!r}"
        super().__init__(f"{field}: expected {expected}{tail}")


class NothingThere(RexAlgoError):
    """Raised when the requested thing does not exist; the message names what does."""


class UnusableFile(RexAlgoError):
    """The base of errors that list at once everything that is wrong with a file."""


class InUse(RexAlgoError):
    """Raised when another process works on what is needed: nothing was done."""


class EngineAway(RexAlgoError):
    """Raised in a web process whose engine does not run or does not answer; its text is for pages.

    Nothing is lost: what was not recorded was not acknowledged. ``to_reader``: the text for a request
    that changes nothing, if it is another one.
    """

    def __init__(self, text: str, to_reader: str = "") -> None:
        super().__init__(text)
        self.to_reader = to_reader or text


class InvalidMove(RexAlgoError):
    """Raised when the code asks for a state change outside the transition table: a programming
    error that concerns one account.
    """
