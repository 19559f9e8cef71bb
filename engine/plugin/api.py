"""Everything a plugin may import, re-exported by ``import rexalgo``. Light on purpose: no trio, no database, no web.

A plugin is a package with an entry point in the group ``rexalgo.plugins`` whose module (or object) has
``rexalgo_api_version = 1`` and one or more of the four hooks, each marked with ``@hookimpl``, and optionally
``default_settings``: the plugin's settings with their defaults. Unknown settings are refused where it is given.
"""

from engine.decisions.rate import RatePools
from engine.decisions.signatures import SIGNATURE_HEADER, WINDOW_A_S, WINDOW_A_S_MAX, WINDOW_A_S_MIN, sign_a, sign_b, verify_signatures
from engine.domain.account import AccountReport, Balance, ClosedPosition, ClosedPositions, Environment, Position, UnreadableRow
from engine.domain.alert import Alert, AlertCode
from engine.domain.amounts import (
    Money,
    Price,
    Quantity,
    Ratio,
    floor_to_step,
    initial_margin,
    notional,
    parse_decimal,
    parse_fraction,
    parse_money,
    parse_price,
    parse_quantity,
    parse_ratio,
    plain,
)  # fmt: skip
from engine.domain.errors import InvalidValue, RexAlgoError
from engine.domain.identifiers import AccountId, ClientOrderId, SignalId, Symbol, parse_symbol, read_contract
from engine.domain.instrument import Instrument
from engine.domain.order import ClosedBy, OrderIntent, OrderReport, OrderSide, OrderStatus, ProtectionOrder
from engine.domain.signal import Action, AlertFacts, OrderType, PositionSide, SignalDraft, SignalSize, SizeMode
from engine.domain.wording import json_fault, meant_instead, read_number, squashed
from engine.plugin.hookspecs import hookimpl
from engine.ports.clock import Clock
from engine.ports.exchange import (
    AccountLogin,
    ClosedPositionsConnection,
    CredentialField,
    ErrorCountingAdapter,
    ExchangeAdapter,
    ExchangeConnection,
    ExchangeContext,
    ExchangeError,
    ExchangeTraits,
    FeeHistory,
    FeeKind,
    FeeReport,
    FeesConnection,
    FundsConnection,
    FundsElsewhere,
    HttpClients,
    NotExecuted,
    OrderHistory,
    OrderIdConnection,
    OutcomeUnknown,
    ProtectionConnection,
    Rejected,
    RejectionKind,
)  # fmt: skip
from engine.ports.loopback import is_loopback
from engine.ports.market_data import Candle, MarketData, Quote
from engine.ports.notifier import Notifier
from engine.ports.rate_limiter import Granted, Priority, RateLimit, RateLimiter, Refused
from engine.ports.secret import Secret, read_secret_file
from engine.ports.signal_source import Authenticated, Delivery, NotAuthentic, StreamContext, StreamSource, WebhookSource

PLUGIN_API_VERSION = 1

__all__ = [
    "PLUGIN_API_VERSION", "AccountId", "AccountLogin", "AccountReport", "Action", "Alert", "AlertCode", "AlertFacts", "Authenticated",
    "Balance", "Candle", "ClientOrderId", "Clock", "ClosedBy", "ClosedPosition", "ClosedPositions", "ClosedPositionsConnection",
    "CredentialField", "Delivery", "Environment", "ErrorCountingAdapter", "ExchangeAdapter", "ExchangeConnection", "ExchangeContext",
    "ExchangeError", "ExchangeTraits", "FeeHistory", "FeeKind", "FeeReport", "FeesConnection", "FundsConnection", "FundsElsewhere",
    "Granted", "HttpClients", "Instrument", "InvalidValue", "MarketData", "Money", "NotAuthentic", "NotExecuted", "Notifier",
    "OrderHistory", "OrderIdConnection", "OrderIntent", "OrderReport", "OrderSide", "OrderStatus", "OrderType", "OutcomeUnknown",
    "Position", "PositionSide", "Price", "Priority", "ProtectionConnection", "ProtectionOrder", "Quantity", "Quote", "RateLimit",
    "RateLimiter", "RatePools", "Ratio", "Refused", "Rejected", "RejectionKind", "RexAlgoError", "Secret", "SignalDraft", "SignalId",
    "SignalSize", "SIGNATURE_HEADER", "SizeMode", "StreamContext", "StreamSource", "Symbol", "UnreadableRow", "WebhookSource",
    "WINDOW_A_S", "WINDOW_A_S_MAX", "WINDOW_A_S_MIN", "floor_to_step", "hookimpl", "initial_margin", "is_loopback", "json_fault",
    "meant_instead", "notional", "parse_decimal", "parse_fraction", "parse_money", "parse_price", "parse_quantity", "parse_ratio",
    "parse_symbol", "plain", "read_contract", "read_number", "read_secret_file", "sign_a", "sign_b", "squashed", "verify_signatures",
]  # fmt: skip
