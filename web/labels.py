"""The words that pages use for what traders know: one word per idea, each written here once."""

from collections.abc import Mapping
from typing import Final

LABELS: Final[Mapping[str, str]] = {
    "equity": "Total equity",
    "todays_pnl": "Today’s P&L",
    "open_pnl": "Open P&L",
    "realised_pnl": "Realised P&L",
    "cumulative_pnl": "Cumulative P&L",
    "max_drawdown": "Max. drawdown",
    "available": "Available",
    "margin_needed": "Margin needed",
    "what_to_do": "What to do",
    "unknown_orders": "Unknown orders",
    "median": "Median",
    "p95": "p95",
}
"""What tables and figures are called; templates read them as ``label``."""

LIMITS: Final[Mapping[str, tuple[str, str, str]]] = {
    "order_notional": ("Max. order value", "USDT", "No single entry is worth more than this."),
    "symbol_notional": (
        "Max. value per contract",
        "USDT",
        "No entry takes a copied position above this value.",
    ),
    "account_notional": (
        "Max. exposure",
        "USDT",
        "No entry takes all copied positions together above this value.",
    ),
    "account_margin": (
        "Max. margin",
        "USDT",
        "No entry takes all copied positions together above this initial margin.",
    ),
    "open_positions": (
        "Max. open positions",
        "contracts",
        "No entry into another contract while this many are held.",
    ),
    "daily_loss": (
        "Daily loss limit",
        "USDT",
        "No entry while equity is this much below its value at the day’s start.",
    ),
    "drawdown_percent": (
        "Max. drawdown",
        "%",
        "No entry while equity is this far below its peak.",
    ),
    "slippage_bps": (
        "Max. slippage",
        "bps",
        "No market entry if the last price is worse than the signal’s by more than this.",
    ),
    "entry_age_s": ("Max. signal age", "s", "No entry for a signal older than this."),
}
"""Each limit of the terms: its label, unit and meaning."""

SIZINGS: Final[Mapping[str, tuple[str, str, str]]] = {
    "fixed_margin": ("Margin per trade", "USDT", "The same initial margin for every entry."),
    "fixed_notional": ("Value per trade", "USDT", "Every entry is worth this much."),
    "fixed_quantity": ("Quantity per trade", "units", "The same quantity every time."),
    "multiplier": (
        "Multiple of the master",
        "x",
        "The master’s own quantity times this; only where the signal names it.",
    ),
    "equity_share": (
        "Share of my equity",
        "fraction",
        "0.05: 5 % of your equity as margin for every entry.",
    ),
    "stop_distance": (
        "Risk to the stop",
        "fraction",
        "0.01 loses 1 % of your equity if the signal’s stop is hit; only where it names one.",
    ),
}
"""Each way to size an entry: its label, unit and meaning."""

SWITCH_LEVELS: Final[Mapping[str, tuple[str, str]]] = {
    "entries": ("No new entries", "Exits go on; what is open stays."),
    "reduce": ("Reduce only", "Resting entries are cancelled too: exposure can only shrink."),
    "flatten": (
        "Flatten",
        "Everything that the engine opened is closed, with new orders until the exchange "
        "reports it closed.",
    ),
}
"""Each level of a switch: its label and its meaning."""

LEVERAGES: Final[Mapping[str, str]] = {
    "capped": "the master’s, at most",
    "follow": "the master’s; no entry above",
    "fixed": "fixed at",
}
"""How the leverage of an entry is chosen; the number follows."""

TOKEN_SCOPES: Final[Mapping[str, tuple[str, str]]] = {
    "read": ("Read", "Accounts, positions, signals, orders and results."),
    "pause": ("Read and pause", "Also stop new entries of an account or a strategy."),
    "reduce": ("Read, pause and reduce", "Also close a position, or flatten an account."),
}
"""What an API token may do: its title and meaning."""

_SETTINGS: Final[Mapping[str, str]] = {
    **{f"limits.{name}": label for name, (label, _, _) in LIMITS.items()},
    "mode": "Watch or live",
    "sizing": "Order size",
    "leverage": "Leverage",
    "symbols": "Contracts",
    "paused": "Pause of this strategy",
    "left": "Following this strategy",
    "consent": "Consent to the master’s change",
    "no new entries": "Pause of new entries",
    "allow_own_position": "Entries beside your own position",
    "key": "Exchange key",
}
_SETTING_ACTS: Final[Mapping[str, str]] = {
    "mode": "Go live",
    "paused": "Resume it",
    "left": "Follow it again",
    "consent": "Agree to the change",
    "no new entries": "See what stops entries",
    "key": "Replace the key",
}
_TO_DO: Final[Mapping[str, str]] = {
    "nobody": "Nothing",
    "master": "The master acts",
    "operator": "Ask the operator",
}
_OWNERS_ACTS: Final[Mapping[str, str]] = {
    "not_confirmed": "look at the account at the exchange",
    "residue": "close it at the exchange, or leave it to the next close",
    "rejected": "look at the account at the exchange",
    "rejected.balance": "add balance, or lower the order size",
    "rejected.credentials": "replace the key",
    "skipped.watch_only": "go live, if you want to trade",
    "skipped.entries_off": "see what stops entries",
    "skipped.paused": "resume it",
    "skipped.left": "follow it again",
    "skipped.consent": "agree to the change",
    "skipped.cannot_protect": "set it at the exchange by hand",
    "denied.account_not_ready": "replace the key",
}


_REASONS: Final[Mapping[str, str]] = {
    "cancelled": "Cancelled at the exchange",
    "not_executed": "An operator found no such order",
    "expired": "The signal was too old",
    "expired.waiting": "It waited until the signal was too old",
    "killed": "Stopped at the last check before sending",
    "residue": "Could not be closed",
    "rejected": "The exchange refused the order",
    "rejected.balance": "The exchange refused it for lack of free balance",
    "rejected.credentials": "The exchange refused the key",
    "skipped.watch_only": "You only watch this strategy",
    "skipped.entries_off": "New entries were switched off",
    "skipped.paused": "You paused this strategy",
    "skipped.left": "You left this strategy",
    "skipped.consent": "The master’s change waits for your consent",
    "skipped.strategy_off": "The master stopped new entries",
    "skipped.opposite_held": "The other side was still open",
    "skipped.symbol_held": "Another strategy held the contract",
    "skipped.own_position": "You held the contract yourself",
    "skipped.detached": "The position was closed outside",
    "skipped.below_minimum": "Below the exchange’s smallest order",
    "skipped.superseded": "A later signal applies",
    "skipped.no_master_quantity": "The signal named no quantity",
    "skipped.no_stop": "The signal named no stop",
    "denied.symbol_not_agreed": "A contract that you do not copy",
    "denied.leverage": "The entry would have more leverage than you allow",
    "denied.balance": "Not enough available balance",
    "denied.price_stale": "No current price was known",
    "denied.instrument": "The exchange does not trade it",
    "denied.protection": "Its stop or target was on the wrong side",
    "denied.account_not_ready": "The account could not be read",
    **{f"denied.{name}": f"Limit: {label}" for name, (label, _, _) in LIMITS.items()},
    "denied.drawdown": f"Limit: {LIMITS['drawdown_percent'][0]}",
    "denied.slippage": f"Limit: {LIMITS['slippage_bps'][0]}",
}
"""Why an entry was missed, in a few words, by its code."""


_REASONS_OF_FOLLOWERS: Final[Mapping[str, str]] = {
    "filled": "The order was filled",
    "partially_filled": "A part of the order was filled",
    "placed": "The order waits at the exchange",
    "applied": "Done",
    "nothing_to_do": "There was nothing to do",
    "unknown": "Its result is not known yet",
    "not_confirmed": "The exchange does not show the order",
    "skipped.watch_only": "They only watch",
    "skipped.test": "A test: planned, not sent",
    "skipped.paused": "They paused the strategy",
    "skipped.left": "They left the strategy",
    "skipped.consent": "They have not agreed to your change yet",
    "skipped.strategy_off": "You stopped new entries",
    "skipped.already_open": "They held it already",
    "skipped.not_open": "They did not hold it",
    "skipped.nothing_to_close": "They held nothing to close",
    "skipped.own_position": "They held the contract themselves",
    "skipped.detached": "Their position was closed outside: send a close before the next open",
    "denied.symbol_not_agreed": "A contract that they do not copy",
    "denied.leverage": "More leverage than they allow",
}


_REASONS_OF_COPIES: Final[Mapping[str, str]] = {
    "skipped.consent": "They have not agreed to the master’s change yet",
    "skipped.strategy_off": "The master stopped new entries",
}


def reason_of_followers(code: str) -> str:
    """Return what became of followers' copies, in a few words for their master."""
    return _REASONS_OF_FOLLOWERS.get(code) or reason_label(code)


def reason_of_copies(code: str) -> str:
    """Return what became of copies, in a few words for an operator."""
    return _REASONS_OF_COPIES.get(code) or reason_of_followers(code)


TOLD: Final[Mapping[str, tuple[str, str]]] = {
    "risk": ("Risk", "what needs you, or went wrong"),
    "orders": ("Orders", "what was filled"),
    "missed": ("Missed entries", "what was not copied, and why"),
}
"""What a channel tells: a label and its meaning."""

HOWS: Final[Mapping[str, str]] = {
    "now": "At once",
    "digest": "Daily digest",
    "silent": "Silent",
}
"""How a channel tells it. A digest comes at 8 o'clock."""


def reason_label(code: str) -> str:
    """Return why an entry was missed, in a few words."""
    return _REASONS.get(code, code.rpartition(".")[2].replace("_", " ").capitalize())


def setting_label(setting: str) -> str:
    """Return what a page calls the setting of an outcome; one that is not listed keeps its name."""
    return _SETTINGS.get(setting, setting)


def setting_act(setting: str) -> str:
    """Return the words of the button that leads to the setting of an outcome."""
    return _SETTING_ACTS.get(setting) or f"Change {setting_label(setting)}"


def to_do(move: str, code: str | None, now: str) -> str:
    """Return what is to be done about a copy, and by whom; ``now``, if there is anything to say about
    the present, says it already.
    """
    if move != "you":
        return _TO_DO[move]
    if code is None or now:
        return "Yours: see above"
    return f"Yours: {_OWNERS_ACTS.get(code, 'change the setting')}"


def field_label(field: str) -> str:
    """Return what the form of the terms calls a field."""
    if field in LIMITS:
        return LIMITS[field][0]
    return {"symbols": "Contracts", "size": "Order size"}.get(field, field.capitalize())
