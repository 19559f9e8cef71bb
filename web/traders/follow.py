"""Following a strategy: choosing terms with what they mean now, confirming what goes live, pausing,
leaving, consenting.
"""

from collections.abc import Mapping
from typing import Any, Final

from quart import Response

from engine.domain.errors import NothingThere
from engine.domain.subscription import CopyPolicy, Mode, SubscriptionState
from engine.services.terms_form import LIMITS, first_terms, read_terms, terms_fields
from engine.services.user import FormErrors
from web.again import Again
from web.rooms import Rooms, Who
from web.visit import Visit

LIMIT_WORDS: Final = {
    "order_notional": ("One entry at most", "USDT", "What a single entry may be worth."),
    "symbol_notional": ("One contract at most", "USDT", "Everything held in one contract."),
    "account_notional": ("The account at most", "USDT", "Everything held on this account."),
    "account_margin": ("Margin at most", "USDT", "Initial margin of everything held."),
    "open_positions": ("Open positions", "contracts", "How many contracts may be held at once."),
    "daily_loss": (
        "Loss of a day",
        "USDT",
        "Equity lost since the trading day began: no further entry that day.",
    ),
    "drawdown_percent": ("Drawdown", "%", "Equity below its highest: no further entry."),
    "slippage_bps": (
        "Slippage",
        "bps",
        "How much worse than the signal's the price of a market entry may be.",
    ),
    "entry_age_s": ("Late at most", "s", "An entry older than this is not sent."),
}
SIZINGS: Final = {
    "fixed_margin": (
        "Margin per trade",
        "USDT",
        "The same amount of your own money behind every entry.",
    ),
    "fixed_notional": ("Value per trade", "USDT", "Every position is worth this much."),
    "fixed_quantity": ("Quantity per trade", "units", "The same quantity every time."),
    "multiplier": (
        "Multiple of the master",
        "x",
        "The master's own quantity times this; only where the signal names it.",
    ),
    "equity_share": (
        "Share of my equity",
        "of 1",
        "0.05 puts 5 % of your equity behind every entry.",
    ),
    "stop_distance": (
        "Risk to the stop",
        "of 1",
        "0.01 loses 1 % of your equity if the signal's stop is hit; only where it names one.",
    ),
}


def register_follow(rooms: Rooms) -> None:
    """Add the pages on which people agree to terms."""
    service, following = rooms.services.agreeing, rooms.services.following

    async def show(visit: Visit, identifier: str, errors: dict[str, str] | None = None) -> Response:
        """Show the form with the terms that are to be previewed, else those that are stored; with
        ``errors`` as it was typed.
        """
        strategy = service.strategy(visit.who, identifier)
        accounts = following.accounts(visit.who)
        if not accounts:
            return visit.go("/accounts")
        wanted = visit.form.get("account", visit.query.get("account", ""))
        row = next((each for each in accounts if each.name == wanted), accounts[0])
        agreed = service.agreement(row, strategy.id)
        active = None if agreed is None or agreed.state is SubscriptionState.LEFT else agreed
        asked: CopyPolicy | None = visit.kept().get("terms")
        policy = asked or (first_terms(strategy) if active is None else active.policy)
        return visit.page(
            "traders/follow.html",
            422 if errors else 200,
            errors=errors,
            strategy=strategy,
            row=row,
            accounts=accounts,
            agreed=active,
            typed=_typed(visit) if errors else terms_fields(policy),
            symbols_now=await service.symbols_now(row, strategy, policy),
            warnings=() if errors else await service.warnings(row, strategy, policy),
            limits=LIMIT_WORDS,
            sizings=SIZINGS,
            previewed=None if asked is None else await service.preview(row, strategy, asked),
        )

    @rooms.get("/strategies/<identifier>/follow", Who.FOLLOWER)
    async def follow_page(visit: Visit, identifier: str) -> Response:
        return await show(visit, identifier)

    @rooms.post("/strategies/<identifier>/follow", Who.FOLLOWER)
    async def follow(visit: Visit, identifier: str) -> Response:
        strategy = service.strategy(visit.who, identifier)
        row = following.account(visit.who, visit.text("account"))
        way = f"/strategies/{identifier}"
        try:
            policy = read_terms(_typed(visit), strategy)
            if visit.text("do") == "preview":
                return visit.show(f"{way}/follow?account={row.name}", terms=policy)
            if visit.text("confirmed") != "yes" and (
                policy.mode is Mode.LIVE or await service.warnings(row, strategy, policy)
            ):
                return visit.show(f"{way}/confirm?account={row.name}", terms=policy)
            await service.agree(visit.who, row, strategy, policy)
        except FormErrors as error:
            return await show(visit, identifier, error.errors)
        return visit.go(way, "subscribed" if policy.mode is Mode.LIVE else "watching")

    @rooms.get("/strategies/<identifier>/confirm", Who.FOLLOWER)
    async def confirm(visit: Visit, identifier: str) -> Response:
        """Show the terms as they were read, with what is absurd about them; exactly these go on,
        whatever was typed.
        """
        strategy = service.strategy(visit.who, identifier)
        row = following.account(visit.who, visit.query.get("account", ""))
        policy: CopyPolicy | None = visit.kept().get("terms")
        if policy is None:
            return visit.go(f"/strategies/{identifier}/follow?account={row.name}", "unconfirmed")
        read = terms_fields(policy)
        kept = [
            ("account", row.name),
            *((name, value) for name, value in read.items() if name != "symbols"),
        ]
        return visit.page(
            "traders/confirm_terms.html",
            strategy=strategy,
            row=row,
            typed=read,
            limits=LIMIT_WORDS,
            sizings=SIZINGS,
            kept=[*kept, *(("symbols", each) for each in read["symbols"])],
            warnings=await service.warnings(row, strategy, policy),
        )

    @rooms.post(
        "/strategies/<identifier>/<act>", Who.FOLLOWER, again=Again(_again, ("account", "close"))
    )
    async def change(visit: Visit, identifier: str, act: str) -> Response:
        strategy = service.strategy(visit.who, identifier)
        row = following.account(visit.who, visit.text("account"))
        match act:
            case "pause":
                await service.pause(visit.who, row, strategy)
            case "resume":
                await service.resume(visit.who, row, strategy)
            case "consent":
                await service.consent(visit.who, row, strategy)
            case "leave":
                await service.leave(visit.who, row, strategy, close=visit.text("close") == "yes")
            case _:
                raise NothingThere("there is no such act")
        done = {"pause": "paused", "resume": "resumed", "consent": "changed", "leave": "left"}[act]
        return visit.go("/home" if act == "leave" else f"/strategies/{identifier}", done)

    @rooms.get("/strategies/<identifier>/leave", Who.FOLLOWER)
    async def leave_page(visit: Visit, identifier: str) -> Response:
        strategy = service.strategy(visit.who, identifier)
        row = following.account(visit.who, visit.query.get("account", ""))
        held = [
            each
            for each in following.still_open(visit.who, row.name)
            if each.strategy_id == strategy.id
        ]
        return visit.page("traders/leave.html", strategy=strategy, row=row, held=held)


def _again(said: Mapping[str, str]) -> str:
    """Say how an act of a follower is offered again: what lowers risk, nothing else."""
    closing = " and close what it opened" if said["close"] == "yes" else ""
    words = {
        "pause": "Pause this strategy on {account}",
        "leave": "Leave this strategy with {account}" + closing,
    }
    return words[said["act"]].format(account=said["account"]) if said["act"] in words else ""


def _typed(visit: Visit) -> dict[str, Any]:
    """Return the terms as they were typed."""
    names = (
        "mode",
        "sizing",
        "size",
        "leverage_mode",
        "leverage",
        "below_minimum",
        "allow_own_position",
        *LIMITS,
    )
    return {**{name: visit.text(name) for name in names}, "symbols": visit.form.getlist("symbols")}
