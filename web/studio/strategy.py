"""One strategy of a master: its state, description, test signals, records, and closing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from quart import Response

from engine.domain.amounts import plain
from engine.domain.signal import Action, SignalDraft
from engine.services.user import FormErrors
from web.again import Again
from web.routes import Route, Who, form, get, post
from web.studio.senders import PLACEHOLDER, python_sender, shell_sender
from web.visit import Visit

STATES: Final = {
    "draft": ("Draft", "Only you see it; signals are recorded and no entry is copied."),
    "published": ("Published", "In the directory; anybody here may follow."),
    "by_link": ("By link", "Anybody with its address may follow; not in the directory."),
    "private": ("Private", "Nobody new may follow; present followers are still copied."),
    "paused": (
        "Paused",
        "Entries are not copied, and those that rest are cancelled; exits are copied. Followers "
        "are informed.",
    ),
    "retired": (
        "Retired",
        "It has ended: entries are not copied, and those that rest are cancelled; exits are "
        "copied until nothing is left. Followers are informed.",
    ),
}
_PAGE: Final = "/studio/strategies/<identifier>"
_LOWERS_RISK: Final = ("private", "paused", "retired")
_SIGNALS_PAGE: Final = 10
_DELIVERIES_PAGE: Final = 50
_DELIVERIES_SHOWN: Final = 10


async def show_strategy(visit: Visit, identifier: str) -> Response:
    """Show one strategy; a description that is absurd is to be confirmed before it is stored."""
    studio = visit.services.studio
    row = studio.strategy(visit.who, identifier)
    signals = await studio.signals(row)
    webhook, deliveries = studio.webhook(row), studio.deliveries(row)
    url = "" if webhook is None else webhook[1]
    warnings: object = () if visit.errors else await studio.warnings(row)
    unconfirmed = visit.unconfirmed
    return visit.page(
        "studio/strategy.html",
        row=row,
        webhook=webhook,
        secrets=studio.secrets(row),
        states=STATES,
        audience=await studio.audience(row),
        callback=visit.services.callbacks.of(row),
        steps=await studio.setup(row, deliveries, signals),
        heard=await studio.heard(row),
        signals=signals,
        deliveries=deliveries[:_DELIVERIES_SHOWN],
        actions=[action.value for action in Action],
        python=python_sender(url, PLACEHOLDER, row.symbols[0]),
        shell=shell_sender(url, PLACEHOLDER, row.symbols[0]),
        placeholder=PLACEHOLDER,
        signed_source=studio.signed_source,
        address_sources=studio.address_sources(),
        live=visit.newest,
        alerts=studio.alerts(row),
        refused=visit.services.refused.of(visit.who, identifier),
        confirmed="" if unconfirmed is None else unconfirmed.confirmed,
        warnings=warnings if unconfirmed is None else unconfirmed.warnings,
    )


async def describe(visit: Visit, identifier: str) -> Response:
    """Store what followers read, the contracts and the leverage."""
    asks = await visit.services.studio.describe(visit.who, identifier, visit.form)
    return visit.go(f"/studio/strategies/{identifier}", "consent-asked" if asks else "saved")


async def set_state(visit: Visit, identifier: str) -> Response:
    """Set the state, which says who may follow and whether entries are taken."""
    await visit.services.studio.set_state(visit.who, identifier, visit.text("state"))
    return visit.go(f"/studio/strategies/{identifier}", "saved")


async def send_test(visit: Visit, identifier: str) -> Response:
    """Send a test signal, signed with the endpoint's secret."""
    reception = await visit.services.studio.test_signal(visit.who, identifier, visit.form)
    if reception.signal_id is None:
        answer = (
            f"The endpoint answered {reception.kind.value}: {reception.field} expected "
            f"{reception.expected}"
        )
        raise FormErrors({"": answer})
    return visit.go(f"/studio/strategies/{identifier}", "tested")


async def show_signals(visit: Visit, identifier: str) -> Response:
    """Show the strategy's signals, newest first."""
    row = visit.services.studio.strategy(visit.who, identifier)
    before = visit.before()
    signals = await visit.services.studio.signals(row, before)
    older = signals[-1].number if len(signals) >= _SIGNALS_PAGE else None
    live = visit.newest if before is None else None
    return visit.page("studio/signals.html", row=row, signals=signals, older=older, live=live)


async def show_signal(visit: Visit, identifier: str, signal: str) -> Response:
    """Show one signal: what was sent, and what became of its copies, without a follower's name."""
    row = visit.services.studio.strategy(visit.who, identifier)
    told = visit.services.studio.signal(row, signal)
    return visit.page(
        "studio/signal.html",
        row=row,
        told=told,
        late_s=(told.signal.at - told.decided_at).total_seconds(),
        said=_said(told.draft),
        live=visit.newest,
    )


def _said(draft: SignalDraft) -> list[tuple[str, str]]:
    """Return what a signal names, in the words of the page."""
    size = draft.size
    named: list[tuple[str, object]] = [
        ("Order", draft.order_type.value if draft.action.is_entry else None),
        ("Price", draft.price),
        ("Leverage", draft.leverage),
        ("Quantity", size.quantity),
        ("Part to close", size.fraction),
        ("Stop", "none from now on" if draft.no_stop_loss else draft.stop_loss),
        ("Target", "none from now on" if draft.no_take_profit else draft.take_profit),
        ("Id", draft.dedupe_key),
    ]
    return [
        (name, plain(value) if isinstance(value, Decimal) else str(value))
        for name, value in named
        if value is not None
    ]


async def show_deliveries(visit: Visit, identifier: str) -> Response:
    """Show what was delivered to the strategy's endpoints, newest first."""
    row = visit.services.studio.strategy(visit.who, identifier)
    before = visit.before()
    deliveries = visit.services.studio.deliveries(row, before)
    older = deliveries[-1].id if len(deliveries) >= _DELIVERIES_PAGE else None
    live = visit.newest if before is None else None
    return visit.page(
        "studio/deliveries.html", row=row, deliveries=deliveries, older=older, live=live
    )


async def show_close(visit: Visit, identifier: str) -> Response:
    """Show what closing the strategy closes."""
    row = visit.services.studio.strategy(visit.who, identifier)
    open_shares = visit.services.studio.open_shares(row)
    return visit.page("studio/close.html", row=row, open_shares=open_shares)


async def close(visit: Visit, identifier: str) -> Response:
    """Close what the strategy opened, for every follower."""
    await visit.services.studio.close_everything(visit.who, identifier)
    return visit.go(f"/studio/strategies/{identifier}", "closing")


def _state_again(fields: Mapping[str, str]) -> str:
    """Return the sentence that offers a state again; empty unless it lowers risk."""
    state = fields["state"]
    return f"Set this strategy to {STATES[state][0]}" if state in _LOWERS_RISK else ""


ROUTES: Final[tuple[Route, ...]] = (
    get("/studio/strategies/<identifier>", Who.MASTER, show_strategy),
    form(
        "/studio/strategies/<identifier>/describe",
        Who.MASTER,
        describe,
        page=_PAGE,
        keeps=("about", "symbols", "leverage", "confirmed"),
    ),
    form(
        "/studio/strategies/<identifier>/state",
        Who.MASTER,
        set_state,
        page=_PAGE,
        keeps=("state",),
        again=Again(_state_again, ("state",)),
    ),
    form(
        "/studio/strategies/<identifier>/test",
        Who.MASTER,
        send_test,
        page=_PAGE,
        once=True,
        keeps=("action", "symbol", "side"),
    ),
    get("/studio/strategies/<identifier>/signals", Who.MASTER, show_signals),
    get("/studio/strategies/<identifier>/signals/<signal>", Who.MASTER, show_signal),
    get("/studio/strategies/<identifier>/deliveries", Who.MASTER, show_deliveries),
    get("/studio/strategies/<identifier>/close", Who.MASTER, show_close),
    post(
        "/studio/strategies/<identifier>/close",
        Who.MASTER,
        close,
        page="/studio/strategies/<identifier>/close",
        again=Again(lambda fields: "Close what this strategy opened, for everybody"),
    ),
)
