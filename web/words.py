"""How pages write values (money, times, environments), and the notices that they show."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from engine.domain.amounts import EXACT, money_words
from engine.domain.identifiers import own_name
from engine.services.identity import NotSignedIn
from web.templating import filled

NOTICES: Final[Mapping[str, str]] = {
    "ended": "Your session had ended: what you sent was not done. Sign in and do it again.",
    "ended-offered": (
        "Your session had ended: what you sent was not done. Sign in, and it is offered to you "
        "again."
    ),
    "ended-typed": (
        "Your session had ended: what you sent was not done. Sign in, and what you typed is there "
        "again."
    ),
    "ended-page": "Your session has ended. Sign in, and you come back to the page you were on.",
    "typed-again": (
        "Not done yet: this is what you typed before your session ended. Look at it, then send it."
    ),
    "pressed-again": (
        "Not done yet: your session had ended when you pressed. Press it again if you still want it."
    ),
    "factor-first": "What you sent was not done: set this up first, then do it again.",
    "declined": "It was not done, and is no longer offered.",
    "again": (
        "This was sent a second time. It was done once, and nothing was repeated; to do it again, "
        "open its page again."
    ),
    "unconfirmed": (
        "Nothing was agreed: terms must be confirmed within ten minutes. The stored terms are "
        "below."
    ),
    "unflattened": (
        "Nothing was flattened: it must be confirmed within ten minutes. Choose it again."
    ),
    "unrepeated": "It was not done: a factor must be entered within ten minutes. Do it again.",
    "gone": (
        "It can no longer be shown: it is kept for ten minutes only. Make another one if you "
        "need it."
    ),
    "password": "Your password is set. Every other session of yours was signed out.",
    "totp": "Your second factor is set. You will be asked for a code when you sign in.",
    "totp-off": "Your second factor is removed.",
    "passkey": (
        "Your passkey is added. It signs you in on its own. Your password alone no longer does."
    ),
    "passkey-off": "The passkey is removed here. Delete it on its device too.",
    "session": "That session was signed out.",
    "token-revoked": "Revoked: the token no longer works.",
    "zone": "Times are shown in your zone now.",
    "asked": "The operator was asked. You will find the answer here.",
    "paused": (
        "Paused. No new entries. Entries that rest at the exchange are cancelled. Closes are still "
        "copied. Positions stay."
    ),
    "resumed": "Resumed. If anything else stops entries, the account says so.",
    "flat": "The engine held no position. No new entries until you resume.",
    "flattening": (
        "You asked to close what the engine opened. Progress is shown below; this page updates "
        "itself."
    ),
    "subscribed": "Agreed: these terms apply from the next entry signal on.",
    "watching": "You are watching: no order is sent. What would have happened is shown below.",
    "changed": "Changed.",
    "left": "You left this strategy.",
    "disconnected": (
        "The account is disconnected and its key is erased here. Revoke the key at the exchange "
        "too."
    ),
    "disconnected-paper": "The paper account is disconnected.",
    "connected": "The account is connected.",
    "checked": "The account was checked at its exchange just now.",
    "key": "The new key is in use.",
    "saved": "Saved.",
    "renamed": "Renamed, on your own pages.",
    "consent-asked": (
        "Saved. Followers must agree to the new contracts or leverage; until then their entries "
        "are skipped."
    ),
    "closing-position": (
        "You asked to close it, at the market. The row goes when the exchange reports that it is "
        "closed; this page updates itself."
    ),
    "taken-over": (
        "It is yours now: the engine does nothing with it any more. Its stop and target stay at the "
        "exchange until you change them there."
    ),
    "closing": (
        "You asked to close what this strategy opened, for every follower. No new entries are "
        "taken until it is resumed."
    ),
    "revoked": "Revoked: only the newest secret is valid now.",
    "tested": (
        "The test signal took the same path as any other, and reached no exchange. It is the "
        "first one below."
    ),
    "channel-connected": "Connected. The messages you chose will be sent there.",
    "channel-tested": "The service accepted the test. Check that it arrived.",
    "channel-removed": "Disconnected: what you entered is erased here.",
    "halted": "The switch is on.",
    "resumed-entries": (
        "Resumed. What is still switched off is listed below. Trades that the master opened "
        "meanwhile are not entered."
    ),
    "decided": "Decided, and recorded in the audit.",
    "decided-filled": "Decided: it was filled. The books follow; it is in the audit.",
    "decided-not-filled": "Decided: it was not filled. Nothing was sent; it is in the audit.",
    "released": "The quarantine has ended.",
    "revoked-invitation": "The invitation has ended.",
    "role": "The role was changed. Their sessions ended.",
    "signed-out": "Their sessions ended. They may sign in again.",
    "suspended": "Suspended: sessions ended, no sign-in, no new entries, and those that rest are "
    "cancelled. Exits go on.",
    "factors-reset": (
        "Second factors removed and sessions ended. Their password alone signs them in until they "
        "set up another."
    ),
    "unsuspended": "They may sign in again, and new entries are taken again.",
}
CARE: Final = (
    "ended",
    "ended-offered",
    "ended-typed",
    "ended-page",
    "typed-again",
    "pressed-again",
    "factor-first",
    "declined",
    "again",
    "unconfirmed",
    "unflattened",
    "unrepeated",
    "gone",
)
"""The notices that are shown as a warning."""
OPERATOR_SEES: Final = (
    "its name, owner, exchange and environment; equity, available balance, today’s and open P&L; "
    "every position, also its owner’s own; its terms; its outcomes and orders; how its wallet "
    "changed; the state of its task and the results of its checks. Never the key."
)
"""What an operator sees of an account, in the same words for its owner and for the operator.

Add here what a page is to show besides.
"""
WRONG: Final = "Name, password or code is wrong."
FACTOR_WRONG: Final = "Password, code or passkey is wrong."
FACTOR_MISSING: Final = "Expected your password, a code or your passkey."
SECRETS_NOT_KEPT: Final = "Secrets were not kept: enter them again."
PLACES_MAX: Final = 12
_DIGITS_MAX: Final = 8
_CLOCK_FITS_MS: Final = 2_000
_TIMES_KEPT: Final = 4_096
ORDER_WORDS: Final[Mapping[str, str]] = {
    "paper": "a simulated order (no real money)",
    "simulated": "an order to a simulator (no real money)",
    "live": "a real order",
}
ENVIRONMENT_WORDS: Final[Mapping[str, str]] = {
    "paper": "PAPER",
    "simulated": "SIMULATED",
    "live": "LIVE",
}
_TIME: Final = '<time datetime="%s">%s <span class="utc">%s</span></time>'
_SIGNED: Final = '<span class="num %s">%s%s</span>'


@pass_context
def when(context: Context, moment: datetime | None, form: str = "full") -> Markup:
    """Return a time in the person's zone, with UTC beside it; ``form`` is full, time or day."""
    if moment is None:
        return Markup('<span class="soft">never</span>')
    return _time(moment, str(context.get("zone", "UTC")), form, datetime.now(UTC).year)


@lru_cache(maxsize=_TIMES_KEPT)
def _time(moment: datetime, zone: str, form: str, year: int) -> Markup:
    """Return a time in a zone; it is kept, because pages show the same rows again and again."""
    local, utc = moment.astimezone(ZoneInfo(zone)), moment.astimezone(UTC)
    iso = utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    day = f"{local.day} {local:%b}" if local.year == year else f"{local.day} {local:%b %Y}"
    if form == "day":
        return filled('<time datetime="%s">%s</time>', iso, day)
    shown = f"{local:%H:%M:%S}" if form == "time" else f"{day} {local:%H:%M:%S}"
    beside = "UTC" if zone == "UTC" else f"{local:%Z} · {utc:%H:%M} UTC"
    return filled(_TIME, iso, shown, beside)


def money(value: Decimal | str | None) -> str:
    """Return an amount of an account's currency with thousands and its usual places; a dash for None."""
    return "–" if value is None else money_words(Decimal(value)).replace("-", "−")


def fixed(value: Decimal | str | None, places: int) -> str:
    """Return a number that is no money with thousands and so many places; a dash for None."""
    if value is None:
        return "–"
    number = Decimal(value).quantize(_step(places), ROUND_HALF_EVEN)
    return (
        f"{abs(number):,.{places}f}" if number == 0 else f"{number:,.{places}f}".replace("-", "−")
    )


def signed(value: Decimal | str | None, unit: str = "") -> Markup:
    """Return a result with its sign: its colour says nothing that the text does not say."""
    if value is None:
        return Markup('<span class="soft">–</span>')
    return _with_sign(Decimal(value), money(value), unit)


def _with_sign(number: Decimal, text: str, unit: str) -> Markup:
    tone = "gain" if number > 0 else "loss" if number < 0 else "soft"
    shown = f"{'+' if number > 0 else ''}{text}"
    return filled(_SIGNED, tone, shown, Markup("&nbsp;") + unit if unit else "")


@cache
def _step(places: int) -> Decimal:
    return Decimal(1).scaleb(-places)


def cost(value: Decimal | str | None) -> Markup:
    """Return what a cost did to the wallet: what was paid has a minus."""
    return signed(None if value is None else -Decimal(value))


def percent(value: Decimal | None) -> Markup:
    """Return a part in percent with its sign and two decimals; a dash for None."""
    if value is None:
        return signed(None)
    number = value.quantize(_step(2), ROUND_HALF_EVEN)
    return _with_sign(number, fixed(number, 2), "%")


def plain_number(value: Decimal | str | None) -> str:
    """Return a quantity or price without trailing zeros; an average has at most twelve places."""
    if value is None:
        return "–"
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -PLACES_MAX:
        number = number.quantize(Decimal(1).scaleb(-PLACES_MAX), ROUND_HALF_EVEN, EXACT)
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


_CAUSES: Final[Mapping[str, str]] = {
    "signal": "signal",
    "flatten": "flatten",
    "stop_loss": "stop",
    "take_profit": "target",
    "liquidation": "liquidation",
    "deleveraging": "deleveraging",
    "owner": "by hand",
    "taken_over": "taken over",
    "unexplained": "unexplained",
}
_STATES: Final[Mapping[str, str]] = {
    "open": "not known yet",
    "unexplained": "unexplained",
    "old": "before 0.2",
    "settled": "not reported",
}


def cause_word(cause: Any) -> str:
    """Return what made a fill happen, in a word."""
    return _CAUSES[cause.value]


def ended_by(trade: Any) -> str:
    """Return what ended a trade, or why that is not known."""
    cause = "" if trade.cause is None else _CAUSES[trade.cause.value]
    if trade.state.value == "old":
        return "before 0.2, not reconciled"
    return cause or _STATES[trade.state.value]


def unknown(trade: Any, value: object) -> Markup | None:
    """Return why a number of a trade is missing, None where it is there."""
    return (
        filled('<span class="soft">%s</span>', _STATES[trade.state.value])
        if value is None
        else None
    )


def price(value: Decimal | str | None, step: Decimal | None = None) -> str:
    """Return a price with thousands and the places that it has, or those of the contract's price
    step, so that a column is aligned; a dash for None.
    """
    if value is None or step is None:
        whole, point, places = plain_number(value).partition(".")
        return f"{int(whole):,}{point}{places}" if whole.isdigit() else f"{whole}{point}{places}"
    return fixed(value, places_of(step))


def steps(rows: Iterable[Any], *names: str) -> Mapping[str, Decimal]:
    """Return by contract the step with which these numbers of a table are aligned: the finest one
    among them, of at most eight digits, because an average has any number.
    """
    places: dict[str, int] = {}
    for row in rows:
        for number in (getattr(row, name) for name in names):
            if number is not None:
                most = max(0, _DIGITS_MAX - max(0, Decimal(number).adjusted() + 1))
                mine = min(most, places_of(Decimal(number)))
                places[row.symbol] = max(places.get(row.symbol, 0), mine)
    return {symbol: Decimal(1).scaleb(-count) for symbol, count in places.items()}


@lru_cache(maxsize=1_024)
def places_of(step: Decimal) -> int:
    """Return how many decimals a multiple of a step has at most."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def span(began: datetime, ended: datetime) -> str:
    """Return how long something lasted, in its two largest units."""
    minutes, seconds = divmod(max(0, int((ended - began).total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def period_name(label: str) -> str:
    """Return the name of a day, week or month as people write it: 25 Nov 2026 for 2026-11-25."""
    if "week" in label:
        return label
    day = datetime.fromisoformat(label if len(label) == 10 else f"{label}-01")
    return f"{day.day} {day:%b %Y}" if len(label) == 10 else f"{day:%B %Y}"


def moment(text: str | None) -> datetime | None:
    """Return the time in a command's answer (ISO 8601)."""
    return None if text is None else datetime.fromisoformat(text)


def ago(moment: datetime | None, now: datetime) -> str:
    """Return roughly how long ago a time was."""
    if moment is None:
        return "never"
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def clock(ahead_ms: int | None) -> str:
    """Return how far a sender's signed time was from ours; it is signed in whole seconds."""
    if ahead_ms is None:
        return "–"
    if abs(ahead_ms) < _CLOCK_FITS_MS:
        return "within 2 s"
    return f"{abs(ahead_ms) / 1000:,.0f} s {'ahead' if ahead_ms > 0 else 'behind'}"


@pass_context
def account_name(context: Context, name: str) -> str:
    """Return what its owner calls an account, else its name; a disconnected account is marked."""
    visit = context.get("visit")
    titles: Mapping[str, str] = {} if visit is None else visit.titles
    own = own_name(name)
    shown = titles.get(name, own)
    return shown if own == name else f"{shown} (disconnected)"


def order_words(environment: str) -> str:
    """Return what kind of order an account of this environment sends."""
    return ORDER_WORDS.get(environment, ORDER_WORDS["live"])


def environment_badge(environment: str) -> Markup:
    """Return the badge of an environment."""
    word = ENVIRONMENT_WORDS.get(environment, environment.upper())
    return filled('<span class="env env-%s">%s</span>', environment, word)


def not_accepted(count: int) -> str:
    """Return that a form was refused, and how many fields of it are wrong."""
    return f"Not accepted: correct {count} {'field' if count == 1 else 'fields'} below."


def wait_words(error: NotSignedIn, wrong: str = WRONG) -> str:
    """Return that a try failed, and when the next one may be made."""
    if error.wait_s:
        return f"{wrong} There were several tries. Try again in {error.wait_s} s."
    return wrong
