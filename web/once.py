"""What is done once and what is shown once, though a browser sends the same form again: reload,
back, a double click.

Theory. A form that makes something carries a token of its own rendering. Whoever sends exactly the
same again, within ten minutes, gets the answer of the first time, and is told that nothing was
repeated. A form that was refused is not remembered: corrected, it is another one. Only answers that
lead on (303) count as done, so what is made and may be seen once (a secret, a link, codes) is kept
here for the page to which the answer leads: reloading that page makes nothing.

Forms that lower risk carry no token: pausing twice is pausing, and a pause that somebody presses is
never taken for a repetition. A notice of a deed is shown once: by the page to which the deed led,
in the session that did it. Reloading that page, or opening its address from a history or a foreign
link, tells of no deed.

Everything is in memory and bounded; a restart forgets it, and with it what was not read.
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
DEED_WITHIN_S: Final = 30
CONFIRM: Final = "/confirm"
"""The page that asks for a factor: a form that leads there has done nothing yet."""
DOUBLE_CLICK: Final = timedelta(seconds=30)
T = TypeVar("T")


class Kept(OrderedDict[str, tuple[datetime, T]]):
    """Hold values for ten minutes, the newest few hundred of them."""

    def keep(self, key: str, value: T, now: datetime) -> None:
        """Keep a value, forgetting what is too old or too many."""
        self[key] = (now, value)
        while len(self) > KEPT_MAX or (self and next(iter(self.values()))[0] + KEPT_FOR < now):
            self.popitem(last=False)

    def find(self, key: str, now: datetime) -> T | None:
        """Return what is kept under a key, None where it is not, or no longer."""
        found = self.get(key)
        return None if found is None or found[0] + KEPT_FOR < now else found[1]


class ShownOnce:
    """Keep what a page may show for ten minutes, to the session that made it."""

    def __init__(self) -> None:
        self._kept: Kept[Mapping[str, object]] = Kept()

    def keep(self, session: str, values: Mapping[str, object], now: datetime) -> str:
        """Keep values for a session; returns the key that the address of their page carries."""
        key = secrets.token_urlsafe(16)
        self._kept.keep(f"{session} {key}", values, now)
        return key

    def find(self, session: str, key: str, now: datetime) -> Mapping[str, object] | None:
        """Return what was kept for a session, None where it is not, or no longer."""
        return self._kept.find(f"{session} {key}", now)


class ToldOnce:
    """Know which notices are still to be shown, and to which session."""

    def __init__(self) -> None:
        self._waiting: Kept[str] = Kept()

    def note(self, session: str, location: str, now: datetime) -> None:
        """Note where an answer led, if the page there is to show a notice."""
        if done := dict(parse_qsl(location.partition("?")[2])).get("done"):
            self._waiting.keep(f"{session} {location}", done, now)

    def take(self, session: str, location: str, now: datetime) -> str:
        """Return the code of the notice that the page at an address is to show now, empty where
        there is none or it was shown.
        """
        found = self._waiting.find(f"{session} {location}", now) or ""
        self._waiting.pop(f"{session} {location}", None)
        return found


@dataclass(slots=True)
class _Deed:
    at: datetime
    ended: trio.Event = field(default_factory=trio.Event)
    location: str = ""
    cookies: list[str] = field(default_factory=list)

    def holds(self, now: datetime) -> bool:
        """Tell whether its answer is given again. A session that it began may have ended since:
        only a double click gets its cookie.
        """
        return bool(self.location) and (not self.cookies or now - self.at < DOUBLE_CLICK)


class DoneOnce:
    """Do what a form asks for once, however often it comes."""

    def __init__(self) -> None:
        self._deeds: Kept[_Deed] = Kept()
        self._key = secrets.token_bytes(32)

    def key(self, session: str, path: str, form: Iterable[tuple[str, str]]) -> str:
        """Return by what a form is known again: who sends it, where to, and all that is in it; with
        a factor it is the same form.
        """
        said = repr(
            [session, path, sorted(item for item in form if item[0] not in ("csrf", "factor"))]
        )
        return blake2b(said.encode(), key=self._key, digest_size=16).hexdigest()

    async def answer(
        self, key: str, deed: Callable[[], Awaitable[Response]], now: datetime
    ) -> Response:
        """Answer a form: do its deed, or tell again what became of it. A deed goes on although its
        sender hangs up.
        """
        known = self._deeds.find(key, now)
        while known is not None:
            await known.ended.wait()
            if known.holds(now):
                return _told_again(known)
            found = self._deeds.find(key, now)
            known = None if found is known else found
        mine = _Deed(now)
        self._deeds.keep(key, mine, now)
        try:
            with trio.fail_after(DEED_WITHIN_S, shield=True):
                answer = await deed()
            if answer.status_code == 303 and not answer.headers["Location"].startswith(CONFIRM):
                mine.location, mine.cookies = (
                    answer.headers["Location"],
                    answer.headers.getlist("Set-Cookie"),
                )
            return answer
        finally:
            if not mine.location and self._deeds.find(key, now) is mine:
                del self._deeds[key]
            mine.ended.set()


def _told_again(deed: _Deed) -> Response:
    """Lead to where the first answer led, saying that nothing was repeated; who came in by it comes
    in.
    """
    path, _, query = deed.location.partition("?")
    said = [each for each in parse_qsl(query, keep_blank_values=True) if each[0] != "done"]
    answer = redirect(
        deed.location if deed.cookies else f"{path}?{urlencode([*said, ('done', 'again')])}", 303
    )
    assert isinstance(answer, Response)
    for cookie in deed.cookies:
        answer.headers.add("Set-Cookie", cookie)
    return answer
