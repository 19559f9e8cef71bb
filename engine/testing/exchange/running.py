"""Running one case of the exchange kit: under a deadline, with the account flat again afterwards."""

from typing import Final

import trio

from engine.testing.exchange.kit import ExchangeKit
from engine.testing.exchange.registry import NEEDED_TO_TRADE, Case
from engine.testing.report import CaseFailed, CaseResult, CaseSkipped, Verdict, told

CASE_S: Final = 60.0


async def run_case(kit: ExchangeKit, case: Case) -> CaseResult:
    """Run one case and restore the account; whatever the adapter raises is a result."""
    if case.trades and kit.under_test.read_only:
        return CaseResult(
            number=case.number,
            promise=case.promise,
            verdict=Verdict.SKIPPED,
            detail="it places orders, and this run only reads",
        )
    if case.trades and (missing := sorted(kit.failed & {*NEEDED_TO_TRADE})):
        kit.failed.add(case.number)
        return CaseResult(
            number=case.number,
            promise=case.promise,
            verdict=Verdict.FAIL,
            detail=f"not tried, because {missing[0]} fails",
            do=f"mend {missing[0]} first",
        )
    verdict, detail = await _tried(kit, case)
    kit.http.plan.heal()
    if case.trades and verdict is not Verdict.SKIPPED:
        try:
            with trio.fail_after(CASE_S):
                await kit.flatten()
        except Exception as error:
            verdict = Verdict.FAIL
            detail = (
                f"{detail} [afterwards the account could not be made flat: "
                f"{told(error, kit.adapter)}]"
            ).strip()
    if verdict is Verdict.FAIL:
        kit.failed.add(case.number)
    return CaseResult(
        number=case.number,
        promise=case.promise,
        verdict=verdict,
        detail=detail,
        do=case.do if verdict is Verdict.FAIL else "",
    )


async def _tried(kit: ExchangeKit, case: Case) -> tuple[Verdict, str]:
    try:
        with trio.fail_after(CASE_S):
            await case.check(kit)
    except CaseSkipped as skipped:
        return Verdict.SKIPPED, str(skipped)
    except CaseFailed as failed:
        return Verdict.FAIL, str(failed)
    except trio.TooSlowError:
        return Verdict.FAIL, f"expected the case to end within {CASE_S:g} s, found that it goes on"
    except Exception as error:  # an adapter under test may raise anything; that is the finding
        kit.look_for_secrets(error)
        return Verdict.FAIL, told(error, kit.adapter)
    return Verdict.PASS, ""
