"""The closed set of alerts: for each, what happened, what was done, what to type, and what follows
if nobody acts.

docs/alerts.md is generated from this file. An alert carries numbers; its words come from here, so
every channel sends the same text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

from engine.domain.holding import SwitchScope

TRIES_TOLD: Final = 3
"""How many times an exit, or a move of stop and target, fails before an alert is raised."""


class AlertCode(Enum):
    """Every reason to alert somebody."""

    ORDER_NOT_CONFIRMED = "order_not_confirmed"
    ORDER_AMBIGUOUS = "order_ambiguous"
    ORDER_FOUND_LATE = "order_found_late"
    EXIT_FAILING = "exit_failing"
    PROTECTION_FAILING = "protection_failing"
    RESIDUE = "residue"
    CLOSED_OUTSIDE = "closed_outside"
    POSITION_UNPROTECTED = "position_unprotected"
    LEVELS_NOT_READ = "levels_not_read"
    ACCOUNT_UNREADABLE = "account_unreadable"
    ROWS_UNREADABLE = "rows_unreadable"
    CREDENTIALS_REFUSED = "credentials_refused"
    KEY_EXPIRES_SOON = "key_expires_soon"
    ACCOUNT_QUARANTINED = "account_quarantined"
    FOREIGN_ORDERS = "foreign_orders"
    STANDS_STILL = "stands_still"
    LEDGER_GONE = "ledger_gone"
    CLOCK_STEPPED = "clock_stepped"
    CONSERVATION_BROKEN = "conservation_broken"
    BOOKS_DIFFER = "books_differ"
    BREAKER_TRIPPED = "breaker_tripped"
    FLATTEN_NOT_FLAT = "flatten_not_flat"
    CIRCUIT_OPEN = "circuit_open"
    NUMBERING_RESTARTED = "numbering_restarted"
    EXIT_REFUSED = "exit_refused"
    SIGNAL_REFUSED = "signal_refused"
    PLUGIN_TASK_FAILED = "plugin_task_failed"
    BACKUP_FAILED = "backup_failed"
    CHANNEL_DEAD = "channel_dead"
    PASSKEY_COPIED = "passkey_copied"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertWords:
    """The words of one code, as format strings over the subject (the name of an account, strategy
    or exchange) and the details.

    ``otherwise`` is what follows if nobody acts. ``wakes`` is whether the alert is worth waking
    somebody at night.
    """

    sentence: str
    done: str
    do: str
    otherwise: str
    wakes: bool


ALERTS: Final[Mapping[AlertCode, AlertWords]] = {
    AlertCode.ORDER_NOT_CONFIRMED: AlertWords(
        sentence="{subject}: an order for {quantity} {symbol} (about {exposed} USDT) was looked up for "
        "{looked_s} s, and the exchange does not show it.",
        done="It was not sent again. No new entries of {subject} in {symbol}.",
        do="rexalgo unknown list, then look at the account at the exchange and run rexalgo unknown "
        "decide",
        otherwise="If the order exists after all, its position is without an exit until it is found; after "
        "15 minutes new entries are allowed again.",
        wakes=True,
    ),
    AlertCode.ORDER_AMBIGUOUS: AlertWords(
        sentence="{subject}: an order for {quantity} {symbol} was looked up for {looked_s} s, and it "
        "cannot be told whether it is one of these at the exchange: {orders}.",
        done="It was not sent again. No other entry or exit of its strategy is sent for {subject} in "
        "{symbol} meanwhile.",
        do="rexalgo unknown list, then look at the account at the exchange and run rexalgo unknown "
        "decide",
        otherwise="It is looked up again and again. If the order exists, its position is without an "
        "exit until somebody decides.",
        wakes=True,
    ),
    AlertCode.ORDER_FOUND_LATE: AlertWords(
        sentence="{subject}: the order for {quantity} {symbol} that could not be confirmed was found: "
        "{filled} filled.",
        done="It counts as the strategy's own again and is closed by its next exit.",
        do="rexalgo account show {subject}",
        otherwise="Nothing: it is followed like any other position.",
        wakes=False,
    ),
    AlertCode.EXIT_FAILING: AlertWords(
        sentence="{subject}: closing {side} {quantity} {symbol} failed {tries} times, the last time: "
        "{problem}",
        done="It is tried again at least once a minute.",
        do="rexalgo account check {subject}; if it cannot wait, close it at the exchange by hand",
        otherwise="The position stays open and moves with the market. This alert repeats every hour until "
        "it is closed.",
        wakes=True,
    ),
    AlertCode.PROTECTION_FAILING: AlertWords(
        sentence="{subject}: a signal moves stop and target of {side} {symbol} (wanted: {levels}), and that "
        "failed {tries} times, the last time: {problem}",
        done="It is tried again at least once a minute.",
        do="rexalgo account check {subject}; if it cannot wait, set stop and target at the exchange by "
        "hand",
        otherwise="The old stop and target stay at the exchange. This alert repeats every hour until they "
        "are moved, or a newer signal replaces this one.",
        wakes=True,
    ),
    AlertCode.RESIDUE: AlertWords(
        sentence="{subject}: {quantity} {symbol} could not be closed: {cause}.",
        done="Closing is not tried again in a loop; the next close of the strategy includes it.",
        do="Close it at the exchange by hand, or leave it to the next close",
        otherwise="It stays open and moves with the market.",
        wakes=False,
    ),
    AlertCode.CLOSED_OUTSIDE: AlertWords(
        sentence="{subject}: {symbol} went from {from_quantity} to {to_quantity}: {cause}.",
        done="The strategy's share was lowered to what is there. What was closed by hand is not opened "
        "again.",
        do="rexalgo account show {subject}",
        otherwise="The strategy enters {symbol} again here after its master's next close or reverse: a master "
        "who sends only the next open must send close first. If the exchange names the strategy's own "
        "stop or target as the cause, the next open is enough.",
        wakes=False,
    ),
    AlertCode.POSITION_UNPROTECTED: AlertWords(
        sentence="{subject}: {side} {quantity} {symbol} (about {exposed} USDT) has had no {missing} at the "
        "exchange for {unprotected_s} s.",
        done="Setting it is still tried ({problem}).",
        do="Set {missing} at the exchange by hand, or close: rexalgo halt flatten --account {subject}",
        otherwise="The position can lose more than the strategy meant to risk.",
        wakes=True,
    ),
    AlertCode.LEVELS_NOT_READ: AlertWords(
        sentence="{subject}: a signal moved a stop or target that nobody could read for {waited_s} s. "
        "Now {levels}.",
        done="The level that the signal does not name was set as it was last read, or as the strategy "
        "wants it.",
        do="Compare stop and target at the exchange; rexalgo account check {subject} says what cannot be "
        "read",
        otherwise="A stop or target that the owner set by hand in {symbol} may be gone.",
        wakes=False,
    ),
    AlertCode.ACCOUNT_UNREADABLE: AlertWords(
        sentence="{subject}: the account could not be read for {minutes} minutes ({problem}); {positions} "
        "positions of ours are in it.",
        done="New entries are denied. Closing orders are still sent.",
        do="rexalgo account show {subject}; look whether the exchange is up",
        otherwise="The follower misses entries, and a position that is closed by hand there is noticed late.",
        wakes=False,
    ),
    AlertCode.ROWS_UNREADABLE: AlertWords(
        sentence="{subject}: {count_rows} of the exchange's rows cannot be read: {rows}.",
        done="Everything else is still read, and closing orders are still sent. Entries into a contract "
        "of such a row are denied; while it is an open position, so are all entries that need the "
        "account's equity: with a daily loss or drawdown limit, or a size by equity.",
        do="rexalgo account check {subject} names all of them; compare with the exchange, and tell "
        "the plugin's authors",
        otherwise="What such a row says is not known here: a stop or a close by hand in it is noticed late.",
        wakes=False,
    ),
    AlertCode.CREDENTIALS_REFUSED: AlertWords(
        sentence="{subject}: the exchange refuses the key ({problem}). Positions that nobody here can "
        "close now: {positions}.",
        done="New entries are denied. Closing is still tried.",
        do="Have the owner replace the key on the account's page; close at the exchange by hand what "
        "cannot wait",
        otherwise="No exit of a master reaches this account.",
        wakes=True,
    ),
    AlertCode.KEY_EXPIRES_SOON: AlertWords(
        sentence="{subject}: its key was given here on {given} and lasts {lasts} days at {exchange}: "
        "{left}.",
        done="Nothing: it works until the exchange refuses it. {positions} positions of ours are in "
        "the account.",
        do="Have the owner make a new key and replace it on the account's page, or by rexalgo "
        "provision",
        otherwise="Once the exchange refuses the key, entries are denied, and no exit of a master reaches "
        "the account.",
        wakes=False,
    ),
    AlertCode.ACCOUNT_QUARANTINED: AlertWords(
        sentence="{subject}: the task of this account keeps failing: {problem}",
        done="New entries of the account stopped; exits go on.",
        do="rexalgo account show {subject}, look at the log, then rexalgo account release {subject}",
        otherwise="The account takes no entries.",
        wakes=True,
    ),
    AlertCode.FOREIGN_ORDERS: AlertWords(
        sentence="{subject}: {count_orders} orders carry our mark and are not in this ledger.",
        done="New entries of the account are denied.",
        do="Look whether an old copy of the ledger was restored; then rexalgo reconcile {subject} "
        "--apply",
        otherwise="The account takes no entries.",
        wakes=True,
    ),
    AlertCode.STANDS_STILL: AlertWords(
        sentence="{subject} is frozen: {cause}.",
        done="No order is sent, not even a closing one. Signals are recorded; entries that "
        "arrive meanwhile are never sent.",
        do="rexalgo reconcile --plan shows what differs at the exchange; then rexalgo restore confirm",
        otherwise="Nothing is opened and nothing is closed. If something cannot wait, close it at the exchange by "
        "hand.",
        wakes=True,
    ),
    AlertCode.LEDGER_GONE: AlertWords(
        sentence="The ledger cannot be used any more: {problem}.",
        done="Nothing is taken or sent any more: senders get 503, and the server ends.",
        do="rexalgo doctor says what is there. If files are missing, bring them back, or rexalgo restore "
        "FILE with the newest backup; if they are there, look at the disk and start again",
        otherwise="No exit of a master reaches any account. If something cannot wait, close it at the exchange by "
        "hand.",
        wakes=True,
    ),
    AlertCode.CLOCK_STEPPED: AlertWords(
        sentence="The clock of {subject} {change}.",
        done="Orders go on: pauses, looks and readings follow a clock that nobody sets.",
        do="rexalgo unknown list, and timedatectl on the machine: its clock is to follow a time source",
        otherwise="An order that was under way, at an exchange that returns none of our ids, may not be "
        "found by its time; then it is told as not confirmed. While the clock is wrong, signals that state "
        "a time may be refused or late.",
        wakes=False,
    ),
    AlertCode.CONSERVATION_BROKEN: AlertWords(
        sentence="{subject}: an order in {symbol} was stopped before it was sent, because it contradicts "
        "the record: {cause}.",
        done="Nothing was sent. New entries of {subject} are off, and closing orders wait.",
        do="Compare rexalgo account show {subject} with the exchange; then rexalgo halt flatten "
        "--account {subject}, or rexalgo resume "
        "entries --account {subject}",
        otherwise="No entry and no exit of a master reaches this account.",
        wakes=True,
    ),
    AlertCode.BOOKS_DIFFER: AlertWords(
        sentence="{subject}: the books have {booked} {symbol} open, and the strategy's share is {share}.",
        done="What the exchange proved is recorded; orders go by the share.",
        do="rexalgo books check {subject}, and tell the developers: this is a fault of the engine",
        otherwise="Trades of that position may show a wrong quantity; orders are not affected.",
        wakes=False,
    ),
    AlertCode.BREAKER_TRIPPED: AlertWords(
        sentence="{scope}: new entries were switched off by a breaker: {cause}.",
        done="A switch was set; exits still go through.",
        do="Find out why, then rexalgo resume entries {flags}",
        otherwise="The master's entries are not copied there.",
        wakes=True,
    ),
    AlertCode.FLATTEN_NOT_FLAT: AlertWords(
        sentence="{scope}: still not flat after {after_s} s, {count_open} left: {left}.",
        done="Closing goes on as far as it is safe; new entries stay off.",
        do="rexalgo halt flatten {flags} --yes --wait 0 names all that is left; close it at the "
        "exchange by hand, or decide what is unproven",
        otherwise="What is named stays open and moves with the market. This alert repeats every hour until "
        "it is flat.",
        wakes=True,
    ),
    AlertCode.CIRCUIT_OPEN: AlertWords(
        sentence="Exchange {subject}: {failures} calls of {accounts} accounts failed in a row ({problem}).",
        done="Entries wait and are tried again from {pause_s} s on; exits still go through.",
        do="Look whether the exchange is up: rexalgo doctor",
        otherwise="Entries that get too old are not sent.",
        wakes=False,
    ),
    AlertCode.PLUGIN_TASK_FAILED: AlertWords(
        sentence="{subject}: its signal source {source} keeps failing: {problem}",
        done="It is restarted each time.",
        do="Look at the log and at the strategy's params; then restart",
        otherwise="The strategy sends no signals, exits included.",
        wakes=True,
    ),
    AlertCode.NUMBERING_RESTARTED: AlertWords(
        sentence="Strategy {subject}: the numbers of its signals fell back from {greatest} to {seq} while "
        "time went on ({symbol}).",
        done="It counts as a restarted sender: its signals are ordered from here on by the new "
        "numbers.",
        do="Ask the master whether the bot was restarted; a bot that keeps its numbers over a "
        "restart, or sends none, needs no such guess",
        otherwise="Nothing, if the bot was restarted. If an old bot still runs beside it, their signals are "
        "mixed.",
        wakes=False,
    ),
    AlertCode.EXIT_REFUSED: AlertWords(
        sentence="Strategy {subject}: a verified message that reads like an exit was refused: {why}.",
        done="Nothing was closed. Open positions of the strategy: {held}.",
        do="rexalgo halt flatten --strategy {subject}, or have the master send it again; their "
        "studio shows what to send instead",
        otherwise="The master may be flat while the followers' positions move with the market. The same "
        "fault is reported again after an hour.",
        wakes=True,
    ),
    AlertCode.SIGNAL_REFUSED: AlertWords(
        sentence="Strategy {subject}: a verified message was refused: {why}.",
        done="Nothing of it was recorded or copied. Open positions of the strategy: {held}.",
        do="Tell the master: the strategy's page in the studio shows the fault and what to send "
        "instead",
        otherwise="Messages of this form are refused each time.",
        wakes=False,
    ),
    AlertCode.BACKUP_FAILED: AlertWords(
        sentence="No backup of the ledger could be made: {problem}.",
        done="It is tried again every hour. Nothing was removed; the newest backup: {newest}.",
        do="rexalgo doctor; correct it, then rexalgo backup",
        otherwise="If the machine is lost, everything since the newest backup is lost with it.",
        wakes=False,
    ),
    AlertCode.CHANNEL_DEAD: AlertWords(
        sentence="Channel {subject} has taken no alert for {minutes} minutes: {problem}.",
        done="It is tried again every minute; {waiting} alerts wait for it, and none is lost.",
        do="rexalgo alert test {subject}; correct its settings in rexalgo.toml, then restart",
        otherwise="People who read only that channel get nothing.",
        wakes=True,
    ),
    AlertCode.PASSKEY_COPIED: AlertWords(
        sentence="A passkey of {subject}, {name}, reported a lower counter than before ({counted}, then "
        "{found}): somebody may have a copy of it.",
        done="It is refused from now on, and every session of {subject} was ended.",
        do="Ask {subject} where else that key may be; if they do not know: rexalgo user suspend "
        "{subject}",
        otherwise="The copy opens nothing any more. What was done with it before stays done: rexalgo "
        "audit list --search {subject}.",
        wakes=True,
    ),
    AlertCode.TEST: AlertWords(
        sentence="This is a test of the channel {subject}, sent by {by}. Nothing happened.",
        done="Nothing.",
        do="Nothing",
        otherwise="Nothing.",
        wakes=False,
    ),
}

ABOUT_STRATEGIES: Final = frozenset(
    (
        AlertCode.NUMBERING_RESTARTED,
        AlertCode.EXIT_REFUSED,
        AlertCode.SIGNAL_REFUSED,
        AlertCode.PLUGIN_TASK_FAILED,
    )
)
"""Alerts about a strategy, for its master and the operator. An account may have the same name, and
these are never about it.
"""

ABOUT_PEOPLE: Final = frozenset((AlertCode.PASSKEY_COPIED,))
"""Alerts about a person, for that person and the operator; their subject is the person's full name.
"""
ABOUT_ACCOUNTS: Final = frozenset(
    code for code, words in ALERTS.items() if words.sentence.startswith("{subject}: ")
) - {AlertCode.PLUGIN_TASK_FAILED} | {AlertCode.STANDS_STILL}
"""Alerts about an account."""


class AlertSubject(Enum):
    """What a person has whose name an alert's subject may be."""

    ACCOUNT = "account"
    STRATEGY = "strategy"
    PERSON = "person"


def subject_of(code: AlertCode, details: Mapping[str, str]) -> AlertSubject | None:
    """Return what the subject of an alert is; of different things, names may be equal. None: it is
    for operators alone, such as one about an exchange, or a switch of more than one account.
    """
    if code in ABOUT_PEOPLE:
        return AlertSubject.PERSON
    if code in ABOUT_STRATEGIES:
        return AlertSubject.STRATEGY
    is_of_account = details.get("scope", "").startswith(f"{SwitchScope.ACCOUNT.value} ")
    return AlertSubject.ACCOUNT if code in ABOUT_ACCOUNTS or is_of_account else None


class _Absent(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: a code, its subject, its numbers. Never a secret.

    ``number`` is the ledger sequence number of the event behind it (delivery is at least once, so a
    receiver may see it again). ``count`` is how often the same thing happened since it was last
    reported, this time included. ``environment`` is that of the account it is about, empty if it is
    about no account.
    """

    number: int
    code: AlertCode
    subject: str
    at: datetime
    details: Mapping[str, str] = field(default_factory=dict)
    count: int = 1
    environment: str = ""

    @property
    def about(self) -> AlertSubject | None:
        """Return what its subject is."""
        return subject_of(self.code, self.details)

    def _filled(self, words: str) -> str:
        return words.format_map(_Absent({**self.details, "subject": self.subject}))

    @property
    def sentence(self) -> str:
        """Return what happened, with the count if above one; a paper or simulated account is
        labelled first.
        """
        label = f"{self.environment.upper()} " if self.environment not in ("", "live") else ""
        often = f" ({self.count} times within an hour)" if self.count > 1 else ""
        return label + self._filled(ALERTS[self.code].sentence) + often

    @property
    def done(self) -> str:
        """Return what the engine has already done."""
        return self._filled(ALERTS[self.code].done)

    @property
    def do(self) -> str:
        """Return what to type."""
        return self._filled(ALERTS[self.code].do)

    @property
    def otherwise(self) -> str:
        """Return what follows if nobody acts."""
        return self._filled(ALERTS[self.code].otherwise)

    @property
    def wakes(self) -> bool:
        """Return whether the alert is worth waking somebody."""
        return ALERTS[self.code].wakes
