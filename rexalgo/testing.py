"""The test kits for plugin authors, for pytest and for ``rexalgo plugin test``. See
docs/plugins.md.
"""

from engine.plugin.kit_record import KIT_VERSION
from engine.testing.exchange import ExchangeUnderTest, check_exchange_adapter, exchange_cases
from engine.testing.faulty_http import FaultyHttp
from engine.testing.other_kits import (
    SourceUnderTest,
    check_rate_limiter,
    check_signal_source,
    limiter_cases,
    source_cases,
)
from engine.testing.recorded import NotRecorded, RecordedAnswers, RecordingClients
from engine.testing.report import CaseResult, KitReport, Verdict
from engine.testing.stream_kit import StreamUnderTest, check_stream_source, stream_cases

__all__ = [
    "KIT_VERSION",
    "CaseResult",
    "ExchangeUnderTest",
    "FaultyHttp",
    "KitReport",
    "NotRecorded",
    "RecordedAnswers",
    "RecordingClients",
    "SourceUnderTest",
    "StreamUnderTest",
    "Verdict",
    "check_exchange_adapter",
    "check_rate_limiter",
    "check_signal_source",
    "check_stream_source",
    "exchange_cases",
    "limiter_cases",
    "source_cases",
    "stream_cases",
]
