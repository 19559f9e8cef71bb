"""The log notifier: one alert is one line, whatever its texts contain."""

import logging
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.transport import HttpClientFactory
from plugins import log
from rexalgo import Alert, AlertCode, InvalidValue, Notifier, Secret

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)


def alert(subject: str = "account ann", details: dict[str, str] | None = None) -> Alert:
    return Alert(7, AlertCode.TEST, subject, AT, {"by": "ann", **(details or {})})


async def test_alert_becomes_one_structured_line(caplog: pytest.LogCaptureFixture) -> None:
    found: list[Notifier] = []
    log.register_notifiers(found.append, {})
    with caplog.at_level(logging.WARNING, "rexalgo.alert"):
        await found[0].deliver(
            alert(details={"symbol": "BTCUSDT", "copy": "c 100%s"}), HttpClientFactory()
        )
    assert caplog.messages == [
        'alert=test number=7 wakes=no at=2026-11-23T10:00:00+00:00 subject="account ann" '
        'sentence="This is a test of the channel account '
        'ann, sent by ann. Nothing happened." done="Nothing." do="Nothing" otherwise="Nothing." '
        'details.by="ann" details.copy="c 100%s" '
        'details.symbol="BTCUSDT"'
    ]
    assert found[0].name == "log"


def test_nobody_can_forge_a_line_or_hide_one() -> None:
    line = log.alert_line(alert('x"\nalert=fake\r\x1b[2J\u2028\u202e\x00\\', {"a b=\n": "\ud800"}))
    assert 'subject="x\\"\\nalert=fake\\r\\x1b[2J\\u2028\\u202e\\x00\\\\"' in line
    assert 'details.a_b__="\\ud800"' in line


@given(st.text())
def test_a_line_is_printable_and_can_be_written_whatever_comes_in(text: str) -> None:
    line = log.alert_line(alert(text, {text: text}))
    assert line.isprintable()
    line.encode()


def test_a_secret_in_the_details_shows_as_stars() -> None:
    assert "hunter2" not in log.alert_line(alert(details={"key": str(Secret("hunter2"))}))


def test_log_refuses_every_setting() -> None:
    with pytest.raises(InvalidValue, match=r"plugin\.log\.level: expected no such setting"):
        log.register_notifiers(lambda _: None, {"level": "info"})
    assert log.rexalgo_api_version == 1
