"""``rexalgo.__all__`` is a promise to plugin authors: names are added with a changelog line, and
never dropped within one API version.
"""

import rexalgo

PROMISED = """
    AccountId AccountLogin AccountReport Action AddressGuide AddressSource Alert AlertCode AlertFacts Authenticated Balance Candle
    ChannelField ChatChannel ClientOrderId Clock ClosedBy ClosedPosition ClosedPositions ClosedPositionsConnection ConnectError
    ConnectTimeout CredentialField Delivery DescribedSource EndpointSetting Environment ErrorCountingAdapter ExampleSource
    ExchangeAdapter ExchangeConnection ExchangeContext ExchangeError ExchangeTraits FeeHistory FeeKind FeeReport FeesConnection
    FundsConnection FundsElsewhere Granted HttpAnswer HttpClient HttpClients HttpError HttpStatusError Instrument InvalidValue
    MarketData Message Money NotAuthentic NotExecuted NotSent NotTaken Notifier OrderHistory OrderIdConnection OrderIntent OrderReport
    OrderSide OrderStatus OrderType OutcomeUnknown PAST_CANDLES_MAX PLUGIN_API_VERSION PastCandlesMarketData PersonalChannel PoolTimeout
    Position PositionSide Price Priority ProtectionConnection ProtectionOrder Quantity Quote RateLimit RateLimiter RatePools Ratio
    ReadError ReadTimeout ReadyMessage Refused Rejected RejectionKind RemoteProtocolError RexAlgoError SIGNATURE_HEADER Said Secret
    SignalDraft SignalId SignalSize SizeMode StreamContext StreamSource Symbol TooManyRequests UnreadableRow WINDOW_A_S WINDOW_A_S_MAX
    WINDOW_A_S_MIN WebhookSource WriteError capability_key floor_to_step hookimpl initial_margin is_loopback is_test_mode json_fault meant_instead
    names_level names_limit_price names_test
    notional parse_decimal parse_fraction parse_money parse_price parse_quantity parse_ratio parse_symbol percents_of plain read_contract
    read_number read_secret_file replace_file sign_a sign_b squashed sync_folder verify_capability verify_signatures
"""


def test_the_plugin_authors_door_offers_exactly_what_is_promised() -> None:
    assert sorted(rexalgo.__all__) == PROMISED.split()


def test_every_promised_name_is_there() -> None:
    assert [name for name in rexalgo.__all__ if not hasattr(rexalgo, name)] == []
