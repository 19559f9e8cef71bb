"""E30 to E49: a connection that breaks. A timeout is not a no, nothing is sent twice, and nothing
that failed is reported as done. E65: a connection of each account.
"""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

from engine.decisions.order_lifecycle import Accepted, NoProof, NothingSent
from engine.domain.identifiers import AccountId
from engine.testing.exchange.kit import ExchangeKit
from engine.testing.exchange.registry import case
from engine.testing.faulty_http import LOST
from engine.testing.report import CaseFailed, CaseSkipped, expect

PROOF: Final = (
    "raise NotExecuted, with the exchange's retry-after, or let httpx's ConnectError pass: "
    "nothing reached the exchange, so the engine may "
    "try again"
)
DOUBT: Final = (
    "raise OutcomeUnknown, or let any error pass: the exchange may have executed it. Not "
    "NotExecuted, not Rejected, and no second "
    "request: the engine looks the order up"
)
BEFORE_ENTRY: Final = {"E30": "connect_refused", "E31": "rate_limited", "E32": "rate_limited_html"}
AFTER_ENTRY: Final = {
    "E33": "answer_dropped",
    "E34": "bad_gateway",
    "E35": "server_error",
    "E36": "empty_answer",
    "E37": "cut_off_json",
    "E38": "not_json",
    "E39": "redirect",
    "E40": "answer_timed_out",
    "E41": "hung_up",
    "E45": "unavailable",
    "E46": "empty_object",
}
AFTER_EXIT: Final = {"E42": "answer_dropped", "E43": "bad_gateway", "E44": "cut_off_json"}


def _before_entry(number: str, fault: str) -> None:
    @case(number, f"{fault.replace('_', ' ')}: proof that nothing was executed", PROOF)
    async def check(kit: ExchangeKit) -> None:
        await kit.connection()
        kit.needs_http()
        answer = await kit.send(await kit.intent(), fault)
        expect(
            isinstance(answer, NothingSent), f"expected NothingSent after {fault}, found {answer}"
        )
        expect(
            kit.http.plan.writes == 1, f"expected one writing request, found {kit.http.plan.writes}"
        )


def _after_entry(number: str, fault: str) -> None:
    @case(number, f"entry, {fault.replace('_', ' ')}: no proof, never sent again", DOUBT)
    async def check(kit: ExchangeKit) -> None:
        await kit.connection()
        kit.needs_http()
        order = await kit.intent()
        answer = await kit.send(order, fault)
        writes = kit.http.plan.writes
        await kit.held(order)  # the exchange has executed it
        expect(
            isinstance(answer, NoProof),
            f"expected NoProof after {fault}, found {answer}, and the order was executed",
        )
        expect(writes == 1, f"expected one writing request, found {writes}")


def _after_exit(number: str, fault: str) -> None:
    @case(
        number,
        f"exit, {fault.replace('_', ' ')}: no proof, or proof by reading; never sent again",
        DOUBT,
    )
    async def check(kit: ExchangeKit) -> None:
        await kit.connection()
        kit.needs_http()
        _, position = await kit.entered(await kit.intent())
        leaving = kit.exit_of(position)
        answer = await kit.send(leaving, fault)
        if isinstance(
            answer, Accepted
        ):  # the adapter may have found its order by reading: that is proof, if it is true
            expect(
                answer.report.filled_quantity == leaving.quantity,
                f"expected proof of the whole exit, found {answer.report}",
            )
        else:
            expect(isinstance(answer, NoProof), f"expected NoProof after {fault}, found {answer}")
        expect(
            kit.http.plan.writes == 1, f"expected one writing request, found {kit.http.plan.writes}"
        )
        await kit.waits_for(lambda report: not report.positions)


for _number, _fault in BEFORE_ENTRY.items():
    _before_entry(_number, _fault)
for _number, _fault in AFTER_ENTRY.items():
    _after_entry(_number, _fault)
for _number, _fault in AFTER_EXIT.items():
    _after_exit(_number, _fault)


@case(
    "E47",
    "leverage that could not be set is an error of prepare_entry",
    do=(
        "raise from prepare_entry whatever is not the exchange's yes: the entry would go at "
        "another leverage"
    ),
)
async def _prepare_fails(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    kit.needs_http()
    for leverage, fault in enumerate(LOST, start=3):
        order = await kit.intent(leverage=leverage)
        kit.http.plan.writes, kit.http.plan.write = 0, fault
        try:
            await connection.prepare_entry(order)
        except Exception as error:
            kit.look_for_secrets(error)
            continue
        if not kit.http.plan.writes:
            raise CaseSkipped(
                "prepare_entry sends no writing request: leverage goes with the order, or stood "
                "already"
            )
        raise CaseFailed(
            f"expected prepare_entry to raise after {fault}, found that it says nothing"
        )


@case(
    "E48",
    "a cancel that failed is an error, and is not reported as done",
    do=(
        "take only the exchange's own 'done already' or 'unknown order' for done; everything else "
        "raises"
    ),
)
async def _cancel_fails(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    kit.needs_http()
    order = await kit.resting()
    report = await kit.taken(order)
    for fault in LOST:
        kit.http.plan.write = fault
        try:
            await connection.cancel_order(order.symbol, report.exchange_order_id)
        except Exception as error:
            kit.look_for_secrets(error)
            continue
        still = any(
            each.exchange_order_id == report.exchange_order_id
            for each in (await kit.account()).open_orders
        )
        expect(
            not still,
            f"expected cancel_order to raise after {fault}, found that it says nothing and the "
            "order rests on",
        )


@case(
    "E65",
    "an account trades and reads through its own client, also after another one has connected",
    do=(
        "keep the client of context.http and the credentials in the connection that connect "
        "returns, never in the adapter, a class or the module: there the next account replaces "
        "them, and orders go out with its key"
    ),
)
async def _own_client(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    kit.needs_http()
    http = kit.http.beside()
    other = await kit.adapter.connect(
        replace(kit.login(), account=AccountId("kit-other")), replace(kit.context, http=http)
    )
    try:
        http.plan.writes = 0
        await kit.taken(await kit.resting())
        order = await kit.intent()
        await kit.entered(order)
        await kit.flatten()
        expect(
            http.plan.writes == 0,
            "expected no order or cancel of the first account through the client of the second, "
            f"found {http.plan.writes} requests",
        )
        for read in (
            connection.fetch_account,
            partial(connection.find_orders, order.symbol, kit.begun - timedelta(seconds=60)),
        ):
            own, http.plan.requests = kit.http.plan.requests, 0
            await read()
            # Contracts and prices may be read with any key: one request of its own is enough.
            expect(
                kit.http.plan.requests > own or http.plan.requests == 0,
                "expected that the first account is read through its own client, found it read "
                "through the client of the second",
            )
    finally:
        await other.aclose()
