"""Seeds that are kept: inputs that open each branch of the doors, and inputs that once broke
something. Every run begins with them, and chance changes them from there.
"""

from typing import Final

BODIES: Final[tuple[str, ...]] = (
    '{"idempotency_key": "KEY", "action": "open", "symbol": "BTCUSDT", "side": "LONG"}',
    '{"idempotency_key": "KEY", "action": "close", "symbol": "BTCUSDT"}',
    '{"idempotency_key": "KEY", "action": "reverse", "symbol": "BINANCE:BTCUSDT.P", "side": "short"}',
    '{"idempotency_key": "KEY", "action": "add", "symbol": "btc-usdt", "side": "LONG", "price": '
    '"65000.5", "leverage": 3, "sl": 60000, "tp": "70000", "order_type": "LIMIT"}',
    '{"idempotency_key": "KEY", "action": "reduce", "symbol": "BTCUSDT", "size": {"mode": '
    '"fraction", "fraction": "0.5"}}',
    '{"idempotency_key": "KEY", "action": "set_protection", "symbol": "BTCUSDT", "stop_loss": '
    '"none", "take_profit": 70000}',
    '{"idempotency_key": "KEY", "action": "open", "symbol": "BTCUSDT", "side": "SHORT", "size": '
    '{"mode": "quantity", "quantity": "0.01"}, "seq": 7, "sent_at": "2026-11-23T10:00:00Z", '
    '"test": true}',
    '{"idempotency_key": "KEY", "action": "open", "symbol": "BTCUSDT", "side": "LONG", '
    '"reduce_only": true}',
    '{"idempotency_key": "KEY", "action": "open", "symbol": "BTCUSDT", "side": "LONG", "tevt": true}',
    '{"idempotency_key": "KEY", "action": "open", "symbol": "BTCUSDT", "side": "LONG", "price": NaN}',
    '{"idempotency_key": "KEY", "action": "open", "action": "close", "symbol": "BTCUSDT", "side": '
    '"LONG"}',
    '{"idempotency_key": "KEY", "action": "cancel", "symbol": "BTCUSDT", "note": "\\ud800"}',
    '{"idempotency_key": "KEY", "action": "open", "symbol": "BTCUSDT", "side": "LONG", "price": '
    "1e999999999}",
    '{"idempotency_key": "KEY", "x": [[[[[[[[[[1]]]]]]]]]]}',
    "[1]",
    "null",
    "",
    '{"note": 1E6789012345678901234567890, "idempotency_key": "KEY", "action": "close", '
    '"symbol": "BTCUSDT"}',
)
"""Bodies of signed deliveries; KEY becomes a new id."""

ALERTS: Final[tuple[str, ...]] = (
    '{"action": "buy", "symbol": "BTCUSDT", "price": "65000", "position": "long", "before": "flat",'
    ' "size_after": "1", "size_before": "0", "order_id": "KEY", "timenow": "2026-11-23T10:00:00Z"}',
    '{"action": "sell", "symbol": "BINANCE:BTCUSDT.P", "market_position": "flat", '
    '"prev_market_position": "long", "id": "KEY"}',
    '{"action": "sell", "symbol": "BTCUSDT", "position": "short", "before": "long", "n": "KEY"}',
    '{"idempotency_key": "KEY", "action": "buy", "ticker": "BTCUSDT", "sl": {"price": 60000}}',
    '[{"data": {"action": "buy", "symbol": "BTCUSDT"}, "n": "KEY"}]',
    "close long BTCUSDT n=KEY",
    "BTCUSDT buy n=KEY",
    "action = sell; symbol = BTCUSDT; reduce_only = true; n = KEY",
    "action=buy&symbol=BTC%2FUSDT&market_position=long&n=KEY",
    "order buy @ 0.5 filled on BTCUSDT. New strategy position is 0.5",
    "ENTER-LONG_Binance_BTCUSDT_KEY",
    "12345678,closelong,BTCUSDT",
    '```json\n{"action": "exit", "symbol": "BTCUSDT", "n": "KEY"}\n```',
    "{\u201caction\u201d: \u201cbuy\u201d, \u201csymbol\u201d: \u201cBTCUSDT\u201d, "
    "\u201cn\u201d: \u201cKEY\u201d}",
    '{"action": "buy", "symbol": "BTCUSDT", "comment": "Exit Short", "n": "KEY"}',
    '{"action": "buy", "symbol": "BTCUSDT", "market_position": "flat", "n": "KEY"}',
    "{{strategy.order.action}} BTCUSDT",
    "",
)
"""Messages of alerts; KEY becomes a new text."""

HOST: Final = b"Host: localhost\r\n"
REQUESTS: Final[tuple[bytes, ...]] = (
    b"GET /api/health HTTP/1.1\r\n" + HOST + b"\r\n",
    (b"GET /api/ready HTTP/1.1\r\n" + HOST + b"\r\n") * 3,
    b"GET /live HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\nGET / HTTP/1.1",
    b"GET /live HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x05hello",
    b"GET /events?after=1 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"HEAD /events HTTP/1.1\r\n" + HOST + b"Last-Event-ID: 5\r\n\r\n",
    b"GET /api/receipts/rcp_0 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /static/site.css HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /static/..%2f..%2fetc%2fpasswd HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\n"
    + HOST
    + b"Cookie: rexalgo=eyJhbGciOiJub25lIn0.e30.; __Host-rexalgo=x\r\n\r\n",
    b"GET /home?before=99999999999999999999 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /pulse HTTP/1.1\r\n" + HOST + b"Last-Event-ID: -1\r\n\r\n",
    b"POST /accounts/connect HTTP/1.1\r\n"
    + HOST
    + b"Origin: http://[\r\nContent-Length: 7\r\n\r\na=%ff&b",
    b"POST /studio HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=\r\n"
    b"Content-Length: 4\r\n\r\n--\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET http://[/ HTTP/1.1\r\nHost: a..b\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"GET //metrics HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /" + b"%00" * 50 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /nothing HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: 203.0.113.9, ::, \xff\r\n\r\n",
)
"""Raw requests that are no delivery."""

SPICE: Final[tuple[bytes, ...]] = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b":",
        b" ",
        b"\t",
        b"\r\n\r\n",
        b"%00",
        b"%2f",
        b"?",
    ),
    *(b"HTTP/2.0", b"HTTP/1.0", b"PRI", b"-1", b"0", b"\r\n folded", b"99999999999999999999"),
    *(b"Upgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n"),
    *(b"Content-Length: -1\r\n", b"Content-Length: 3\r\n", b"Content-Length: 3, 3\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n"),
    *(b"Host: a..b\r\n", b"Host: [\r\n", b"Origin: http://[\r\n", b"Cookie: \xe4=\xff\r\n"),
    *(
        b"X-Forwarded-For: 10.0.0.1\r\n",
        b"X-RexAlgo-Signature: t=1,v1=00\r\n",
        b"webhook-id: a\r\n",
    ),
    *(b"Content-Type: multipart/form-data; boundary=\r\n", b"Content-Encoding: gzip\r\n"),
    *(b"0\r\n\r\n", b"5;x=y\r\n", b"ffffffffffffffffff\r\n", b"1\r\nx\r\n"),
)
"""What is wedged into requests."""

VALUES: Final[tuple[str, ...]] = (
    *("null", "true", "false", '""', "0", "-0", "-1", "1e400", "1e-400", "0.1", "NaN", "Infinity"),
    *('"0"', '"-5"', '"1_000"', '"65,000.5"', '"NaN"', '"none"', '"1e9999999"', '"\\u0661"', "[]"),
    *("{}", '"LONG"', '"short"', '"BOTH"', '"BTCUSDT"', '"ETHUSDT"', '"BTC/USD:BTC"', '"open"'),
    *(
        '"close"',
        '"OPEN "',
        '"fraction"',
        '"\\ud800"',
        '"\\u0000"',
        '"{{close}}"',
        '"flat"',
        "[[1]]",
    ),
    *("123456789012345678901234567890", '"' + "a" * 300 + '"', '"' + "9" * 70 + '"'),
)
"""JSON values that are wedged into bodies."""

NAMES: Final[tuple[str, ...]] = (
    *("action", "Action", "symbol", "ticker", "side", "price", "leverage", "sl", "tp", "stop_loss"),
    *(
        "take_profit",
        "stoplosPrice",
        "order_type",
        "size",
        "seq",
        "sent_at",
        "test",
        "Test",
        "tets",
    ),
    *(
        "dry_run",
        "reduce_only",
        "closePosition",
        "position",
        "market_position",
        "prev_market_position",
    ),
    *(
        "idempotency_key",
        "size_after",
        "size_before",
        "contracts",
        "timenow",
        "__proto__",
        "",
        "\\n",
    ),
)
"""Names of fields that are wedged into bodies."""
