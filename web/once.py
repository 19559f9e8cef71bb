"""What is done once and shown once, although a browser sends the same form again: reload, back, a
double click.

A form that makes something carries a token of its own rendering. Whoever sends exactly the same
form again within ten minutes gets the first answer again, with a notice that nothing was repeated.
A refused form is not remembered: once corrected, it is another form. Only an answer that redirects
(303) counts as done, so what may be seen once (a secret, a link, codes) is kept here for the page
to which the answer redirects. Reloading that page makes nothing.

Forms that lower risk carry no token: pausing twice is pausing, and a pause is never taken for a
repetition. The notice of a finished form is shown once, by the page to which the form redirected,
in the session that sent it. Reloading that page, or opening its address from the history or from a
foreign link, shows no notice.

Everything is in memory and bounded. A restart forgets it, and with it what was not read.
"""

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final, TypeVar
from urllib.parse import parse_qsl, urlencode

import trio
from quart import Response, redirect

KEPT_FOR: Final = timedelta(minutes=10)
KEPT_MAX: Final = 500
HANDLER_TIMEOUT_S: Final = 30
CONFIRM: Final = "/confirm"
"""The page that asks for a factor: a form that redirects there has done nothing yet."""
DOUBLE_CLICK: Final = timedelta(seconds=30)
T = TypeVar("T")


class Recent(OrderedDict[str, tuple[datetime, T]]):
    """Values of the last ten minutes, at most a few hundred of them."""

    def keep(self, key: str, value: T, now: datetime) -> None:
        """Keep a value; forget what is too old or too many."""
        self[key] = (now, value)
        while len(self) > KEPT_MAX or (self and next(iter(self.values()))[0] + KEPT_FOR < now):
            self.popitem(last=False)

    def find(self, key: str, now: datetime) -> T | None:
        """Return the value of a key, None where there is none or it is too old."""
        entry = self.get(key)
        return None if entry is None or entry[0] + KEPT_FOR < now else entry[1]


class ShownOnce:
    """Values that a page may show for ten minutes, to the session that made them."""

    def __init__(self) -> None:
        self._values: Recent[Mapping[str, object]] = Recent()

    def keep(self, session: str, values: Mapping[str, object], now: datetime) -> str:
        """Keep values for a session; return the key that the address of their page carries."""
        key = secrets.token_urlsafe(16)
        self._values.keep(f"{session} {key}", values, now)
        return key

    def find(self, session: str, key: str, now: datetime) -> Mapping[str, object] | None:
        """Return the values kept for a session, None where there are none or they are too old."""
        return self._values.find(f"{session} {key}", now)


class NoticesOnce:
    """Notices that are still to be shown, each in one session."""

    def __init__(self) -> None:
        self._waiting: Recent[str] = Recent()

    def note(self, session: str, location: str, now: datetime) -> None:
        """Note where an answer redirected, if the page there is to show a notice."""
        if done := dict(parse_qsl(location.partition("?")[2])).get("done"):
            self._waiting.keep(f"{session} {location}", done, now)

    def take(self, session: str, location: str, now: datetime) -> str:
        """Return the code of the notice to show now at an address; empty where there is none.

        A second call for the same address returns nothing.
        """
        code = self._waiting.find(f"{session} {location}", now) or ""
        self._waiting.pop(f"{session} {location}", None)
        return code


@dataclass(slots=True)
class _Submission:
    """A form that is being handled or was handled, with where its answer redirected."""

    at: datetime
    ended: trio.Event = field(default_factory=trio.Event)
    location: str = ""
    cookies: list[str] = field(default_factory=list)

    def is_answered_again(self, now: datetime) -> bool:
        """Return whether the first answer is given again.

        An answer that began a session is given again only to a double click: the session may have
        ended since.
        """
        return bool(self.location) and (not self.cookies or now - self.at < DOUBLE_CLICK)


class DoneOnce:
    """The forms of the last minutes with their answers: each form is handled once."""

    def __init__(self) -> None:
        self._submissions: Recent[_Submission] = Recent()
        self._key = secrets.token_bytes(32)

    def key(self, session: str, path: str, form: Iterable[tuple[str, str]]) -> str:
        """Return the key of a form: its sender, its address and its fields.

        The token of the session and the factor are left out: with a factor it is the same form. Before
        there is a session, what proves who somebody is makes it another form.
        """
        left_out = ("csrf", "factor", "passkey") if session else ()
        identity = repr([session, path, sorted(item for item in form if item[0] not in left_out)])
        return blake2b(identity.encode(), key=self._key, digest_size=16).hexdigest()

    async def answer(
        self, key: str, handle: Callable[[], Awaitable[Response]], now: datetime
    ) -> Response:
        """Handle a form, or redirect to where its first answer redirected.

        ``handle`` is not cancelled when the sender hangs up; it has 30 s.
        """
        earlier = self._submissions.find(key, now)
        while earlier is not None:
            await earlier.ended.wait()
            if earlier.is_answered_again(now):
                return _answer_again(earlier)
            newest = self._submissions.find(key, now)
            earlier = None if newest is earlier else newest
        submission = _Submission(now)
        self._submissions.keep(key, submission, now)
        try:
            with trio.fail_after(HANDLER_TIMEOUT_S, shield=True):
                answer = await handle()
            if answer.status_code == 303 and not answer.headers["Location"].startswith(CONFIRM):
                submission.location = answer.headers["Location"]
                submission.cookies = answer.headers.getlist("Set-Cookie")
            return answer
        finally:
            if not submission.location and self._submissions.find(key, now) is submission:
                del self._submissions[key]
            submission.ended.set()


def _answer_again(submission: _Submission) -> Response:
    """Redirect to where the first answer did, with the notice that nothing was repeated.

    Where the first answer began a session, the same cookie is set again.
    """
    path, _, query = submission.location.partition("?")
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "done"]
    with_notice = f"{path}?{urlencode([*pairs, ('done', 'again')])}"
    answer = redirect(submission.location if submission.cookies else with_notice, 303)
    assert isinstance(answer, Response)
    for cookie in submission.cookies:
        answer.headers.add("Set-Cookie", cookie)
    return answer
