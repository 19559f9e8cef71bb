"""What preparing an order and reading its answer cost without a socket, beside h11: ``python -m
bench.client`` prints microseconds of each.
"""

from timeit import Timer

from bench.floor import ORDER
from engine.transport.answer_parser import AnswerParser
from engine.transport.h11_reader import H11Reader
from engine.transport.request import PreparedRequests

TIMES = 5_000


def main() -> None:
    """Measure and print."""
    prepared = PreparedRequests("http://127.0.0.1:1", {"X-Account": "1"})
    lines = [(b"Host", b"127.0.0.1"), (b"X-Account", b"1"), (b"Content-Length", b"%d" % len(ORDER))]
    body = b"{" + b" " * 400 + b"}"
    answer = (
        b"HTTP/1.1 200 OK\r\nDate: Sun, 29 Nov 2026 13:00:00 GMT\r\nContent-Type: "
        b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    ) + body

    def prepare() -> None:
        prepared.written("POST", prepared.target("/orders"), None, ORDER)

    def read() -> None:
        if AnswerParser(1_000_000).feed(answer) is None:
            raise RuntimeError("expected a whole answer, found a part")

    def over_h11() -> None:
        reader = H11Reader(1_000_000)
        reader.written("POST", b"/orders", lines, ORDER)
        if reader.feed(answer) is None:
            raise RuntimeError("expected a whole answer, found a part")

    for name, part in (("prepare", prepare), ("read", read), ("both over h11", over_h11)):
        best = min(Timer(part).repeat(5, TIMES)) / TIMES
        print(f"{name:>16} {best * 1e6:>6.1f} us")


if __name__ == "__main__":
    main()
