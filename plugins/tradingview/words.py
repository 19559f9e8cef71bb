"""The vocabulary of alerts: the meaning of words and field names in every known spelling. Data
only.

Words and names are compared ``squashed``: without case, blanks, ``-`` and ``_``, and names also
without dots. So ``EXIT-LONG``, ``exit_long`` and ``exitLong`` are equal.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rexalgo import PositionSide, percents_of, squashed

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


class Verb(Enum):
    """The request that a word stands for."""

    ORDER = "buy or sell, whatever it does to the position"
    BE = "be on that side"
    ENTER = "enter that side"
    ADD = "enter more"
    REDUCE = "close a part"
    CLOSE = "close"
    REVERSE = "turn"
    CANCEL = "take resting orders back"
    PROTECT = "move stop and target"


@dataclass(frozen=True, slots=True)
class Word:
    """The meaning of a word. ``side`` is the side that it enters, buys or (``CLOSE``, ``REDUCE``)
    closes; None if it names none.
    """

    verb: Verb
    side: PositionSide | None = None


def _words(verb: Verb, side: PositionSide | None, text: str) -> dict[str, Word]:
    return dict.fromkeys(text.split(), Word(verb, side))


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


WORDS: Final = {
    **_words(Verb.ORDER, LONG, "buy"),
    **_words(Verb.ORDER, SHORT, "sell"),
    **_words(Verb.BE, LONG, "long"),
    **_words(Verb.BE, SHORT, "short"),
    **_words(Verb.ENTER, None, "open enter entry"),
    **_words(
        Verb.ENTER, LONG, "openlong enterlong entrylong longentry longopen golong buylong buytoopen"
    ),
    **_words(
        Verb.ENTER,
        SHORT,
        "openshort entershort entryshort shortentry shortopen goshort sellshort selltoopen",
    ),
    **_words(Verb.ADD, None, "add"),
    **_words(Verb.ADD, LONG, "addlong addtolong"),
    **_words(Verb.ADD, SHORT, "addshort addtoshort"),
    **_words(Verb.REDUCE, None, "reduce partialclose partialexit closepartial"),
    **_words(Verb.REDUCE, LONG, "reducelong"),
    **_words(Verb.REDUCE, SHORT, "reduceshort"),
    **_words(
        Verb.CLOSE,
        None,
        "close exit flat flatten closeall exitall flattenall closeposition exitposition "
        "closeallpositions closetrade",
    ),
    **_words(Verb.CLOSE, None, "closelongshort exittrade liquidate squareoff squareoffall"),
    **_words(
        Verb.CLOSE,
        LONG,
        "closelong exitlong longclose longexit selltoclose closelongposition exitlongposition",
    ),
    **_words(
        Verb.CLOSE,
        SHORT,
        "closeshort exitshort shortclose shortexit buytoclose buytocover cover covershort",
    ),
    **_words(Verb.CLOSE, SHORT, "closeshortposition exitshortposition"),
    **_words(Verb.REVERSE, None, "reverse flip"),
    **_words(Verb.REVERSE, LONG, "reverselong reversetolong fliplong fliptolong"),
    **_words(Verb.REVERSE, SHORT, "reverseshort reversetoshort flipshort fliptoshort"),
    **_words(Verb.CANCEL, None, "cancel cancelall cancelorders"),
    **_words(Verb.PROTECT, None, "setprotection"),
}
ACTION_EXPECTED: Final = (
    "buy, sell, long, short, close, exit, open_long, close_long or one of their siblings"
)

UNFILLED: Final = (
    "a filled-in value: TradingView fills {{strategy...}} in only for an alert on a strategy, so "
    "create it on the strategy, not on an indicator"
)
STANDS: Final = {"long": LONG, "bullish": LONG, "short": SHORT, "bearish": SHORT, "flat": None}
"""Words for a position; None is flat."""
NOT_TOLD: Final = frozenset(("", "null", "none", "nan", "na", "n/a", "undefined"))
"""Texts that count as empty. So does a placeholder in double braces that was not filled in."""
TRUE: Final = frozenset(("true", "1", "yes", "y", "on"))
FALSE: Final = frozenset(("false", "0", "no", "n", "off"))

# Names of fields, squashed.

ACTIONS: Final = ("action", "orderaction", "strategyorderaction", "tradeaction")
SIGNALS: Final = ("signal",)
SIDES: Final = ("side", "orderside", "tradeside", "direction")
HEDGED: Final = ("positionside", "posside", "holdside")
MAIN_SYMBOLS: Final = ("symbol", "ticker")
SYMBOLS: Final = (
    *MAIN_SYMBOLS,
    "instrument",
    "pair",
    "tvinstrument",
    "tradingpair",
    "contract",
    "instid",
)
QUOTED_IN: Final = ("USDT", "USDC", "USD")
AFTER: Final = (
    "position",
    "marketposition",
    "positionafter",
    "sentiment",
    "strategymarketposition",
    "newposition",
    "newmarketposition",
)
BEFORE: Final = (
    "before",
    "prevmarketposition",
    "prevposition",
    "previousposition",
    "positionbefore",
    "previousmarketposition",
    "oldposition",
    "strategyprevmarketposition",
    "prevsentiment",
)
SIZES: Final = ("sizeafter", "marketpositionsize", "strategymarketpositionsize")
SIGNED_SIZES: Final = (
    "positionsize",
    "strategypositionsize",
    "newpositionsize",
    "newstrategyposition",
)
SIZES_BEFORE: Final = (
    "sizebefore",
    "prevmarketpositionsize",
    "previousmarketpositionsize",
    "prevpositionsize",
    "previouspositionsize",
)
CONTRACTS: Final = ("contracts", "ordercontracts", "strategyordercontracts")
QUANTITIES: Final = (*CONTRACTS, "quantity", "qty", "orderqty", "ordersize")
_QUANTITIES_OF_ORDERS: Final = ("qty", "quantity", "amount", "size", "volume")
FRACTIONS_OF_EXITS: Final = ("closefraction", "exitfraction")
FRACTIONS: Final = ("fraction", "sizefraction", *FRACTIONS_OF_EXITS)
PERCENTS: Final = (
    "percentofposition",
    "percenttoclose",
    *percents_of("close", "exit", "reduce"),
)
"""Names of the part of the position that an exit closes."""
BARE_FRACTIONS: Final = ("portion",)
BARE_PERCENTS: Final = percents_of("", *_QUANTITIES_OF_ORDERS, "position")
"""Names of a part of something: of the position only where a reduce asks for one."""
UNITS: Final = (
    "currencytype",
    "quantitytype",
    "qtytype",
    "amounttype",
    "sizetype",
    "investmenttype",
    "unit",
)
SIZED_BY_UNIT: Final = (*_QUANTITIES_OF_ORDERS, "orderqty", "ordersize")
CLOSED_BY_PERCENT: Final = ("exit", "reduce", "closeqty", "closequantity")
"""Names that are a part of the position if they end with %."""
BARE_BY_PERCENT: Final = (*SIZED_BY_UNIT, "contracts", "close")
"""Names that are a part if they end with %: of the position only where a reduce asks for one."""
REDUCE_ONLY: Final = ("reduceonly", "isreduceonly", "closeonly", "closeontrigger", "closeposition")
POSITION_INDEX: Final = ("positionidx", "positionindex")
REASONS_OF_EXITS: Final = ("exitreason", "closereason")
KINDS_OF_ORDERS: Final = ("type", "tradetype")
KINDS_OF_MESSAGES: Final = ("type", "event", "eventtype", "alerttype", "signaltype")
LABELS: Final = (
    *SIGNALS,
    *REASONS_OF_EXITS,
    *KINDS_OF_ORDERS,
    *KINDS_OF_MESSAGES,
    "comment",
    "ordercomment",
    "strategyordercomment",
    "id",
    "orderid",
    "strategyorderid",
    "clientorderid",
    "tradeid",
    "intent",
    "eventname",
    "typeofsignal",
    "reason",
    "message",
    "msg",
    "alertmessage",
    "orderalertmessage",
    "strategyorderalertmessage",
    "offset",
    "effect",
    "openclose",
    "execinst",
)
"""Names under which a script says what its order is for."""
PRICE_CHOICES: Final = re.compile(
    r".*(?:source|src|price|pricetype|input|series|ohlc|bar|candle|kline|frequency)"
    r"|field|basis|appl(?:y|ied)to"
)
"""Names beside which ``close`` chooses a price or a moment of the candle, and closes nothing."""
STATUSES: Final = (
    "status",
    "orderstatus",
    "ordstatus",
    "tradestatus",
    "exectype",
    "executiontype",
    "orderstate",
)
"""Names of what became of an order."""
NOTICE_SWITCHES: Final = _names("cancel canceled cancelled rejected expired failed")
"""Names whose yes says that an order came to nothing."""
NOTICE_KINDS: Final = _names(
    "status warning startup exception protectiontrigger protectiontriggerglobal strategymsg"
)
"""Kinds of messages that tell of a bot and order nothing."""
EXIT_SWITCHES: Final = frozenset(
    (
        *(each for each, word in WORDS.items() if word.verb is Verb.CLOSE and each != "flat"),
        *_names(
            "reduce closing exiting closepos exitonly exitsignal closesignal closeorder exitorder"
        ),
    )
)
"""Names that switch a close on; ``is`` may stand before them."""
SAYS_EXIT: Final = _names(
    "exit exits exited closing cover covered flatten flattened liquidated liquidation unwind"
)
"""Words of a label that say an exit."""
SEEMS_EXIT: Final = _names("close closes closed stop stops stopped tp sl target trail trailing")
"""Words of a label that say so too, but not in a type, which may be a kind of stop."""
SAYS_LITTLE: Final = _names(
    "a all an at full half hit in long longs loss of on order out part partial pos position profit "
    "reached short shorts the trade triggered"
)
"""Words that leave an exit clear beside which they stand. Any other leaves it in doubt."""
ORDER_WORDS: Final = (
    "MARKET",
    "LIMIT",
    "STOP",
    "STOP_MARKET",
    "STOP_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)
"""Values of ``type`` that mean the order's type; any other value is ignored."""
PRICES: Final = ("price",)
LEVERAGES: Final = ("leverage",)
STOPS: Final = ("stoploss", "sl", "stoplossprice", "stoplosprice", "slprice")
TARGETS: Final = ("takeprofit", "tp", "takeprofitprice", "tpprice")
LEVEL_PRICES: Final = ("stopprice", "limitprice", "price")
"""Names of the price inside an object that is a stop or a target."""
ORDER_TYPES: Final = ("ordertype", "ordtype", "triggertype")
PART: Final = re.compile(
    r"(?:sl(?!ip|o[tw])|tp).*|.*(?:stop|takeprofit|target|trail).*"
    r"|(?:exit|close|child|attached|linked).*orders?"
)
"""Names of objects that describe a stop, a target or another order than the alert's own."""
CLOCKS: Final = ("timenow", "sentat")
INTERVALS: Final = ("interval", "timeframe", "tf", "resolution")
TIMES: Final = (
    "time",
    "timestamp",
    "date",
    "datetime",
    "ts",
    "alerttime",
    "bartime",
    "firedat",
    "firetime",
    "triggertime",
    "signaltime",
    "createdat",
)

_POSITIONS: Final = frozenset(
    (*AFTER, *BEFORE, *SIZES, *SIGNED_SIZES, *SIZES_BEFORE, *REDUCE_ONLY, *HEDGED, *POSITION_INDEX)
)
TELLS_POSITION: Final = frozenset(squashed(each) for each in _POSITIONS)
"""Names that state the strategy's position, or that an order only reduces."""
LOOKS_LIKE_POSITION: Final = ("position", "sentiment", "reduceonly", "closeonly")
"""Parts of unknown names that may be meant so."""
NO_POSITION: Final = re.compile(
    r"positions?(?:id|ids|uuid|mode|count|limit|key|name|ref)"
    r"|(?:max|maximum|min|minimum|num|total)(?:open)?positions?"
)
"""Names with ``position`` in them that state none."""
KNOWN: Final = frozenset(
    (
        *TELLS_POSITION,
        *ACTIONS,
        *SIGNALS,
        *SIDES,
        *SYMBOLS,
        *QUANTITIES,
        *FRACTIONS,
        *PERCENTS,
        *BARE_FRACTIONS,
        *BARE_PERCENTS,
        *UNITS,
        *CLOSED_BY_PERCENT,
        *BARE_BY_PERCENT,
        *LABELS,
        *STATUSES,
        *NOTICE_SWITCHES,
        *EXIT_SWITCHES,
        *PRICES,
        *LEVERAGES,
        *STOPS,
        *TARGETS,
        *ORDER_TYPES,
        *CLOCKS,
        *TIMES,
        *INTERVALS,
        "test",
        "mode",
        "seq",
        "idempotencykey",
    )
)
"""Every name that is read."""
