"""The histories of a person's accounts: signals, orders, trades and funding, searched, page by page,
and as files.
"""

from collections.abc import AsyncGenerator
from datetime import date
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from quart import Response

from engine.services.history import HistoryPage, Kind, Wanted, read_key, write_key
from engine.services.user import FormErrors
from web.routes import Handler, Route, Who, get
from web.rows import FAMILIES
from web.visit import Visit

_TEXT_MAX: Final = 80
_YEARS: Final = range(2000, 2101)
_OLDEST: Final = "oldest"


def _show(kind: Kind) -> Handler:
    async def show(visit: Visit) -> Response:
        service = visit.services.history
        chosen, errors = _chosen(visit), dict[str, str]()
        page = HistoryPage(rows=(), past=None)
        try:
            past = read_key(kind, visit.query.get("past", ""))
            page = await service.page(visit.who, kind, _wanted(chosen), past)
        except FormErrors as error:
            errors = error.errors
        is_first = not visit.query.get("past") and chosen["sort"] != _OLDEST
        return visit.page(
            "traders/history.html",
            errors=errors,
            kind=kind.value,
            page=page,
            chosen=chosen,
            next_page="" if page.past is None else _query(chosen, past=write_key(page.past)),
            filters=_query(chosen),
            is_filtered=any(value for name, value in chosen.items() if name != "sort"),
            families=FAMILIES,
            accounts=service.accounts(visit.who),
            environments=visit.services.years.environments(visit.who),
            strategies=service.strategies(visit.who),
            openable=visit.services.performance.openable(
                visit.who,
                [each.strategy_id for each in page.rows if hasattr(each, "strategy_id")],
            ),
            live=visit.newest if is_first else None,
        )

    return show


def _download(kind: Kind) -> Handler:
    async def download(visit: Visit) -> Response:
        wanted = _wanted(_chosen(visit))
        service = visit.services.history
        return csv_file(service.csv(visit.who, kind, wanted), f"{kind.value}.csv")

    return download


def csv_file(content: AsyncGenerator[str], file_name: str) -> Response:
    """Answer with a file that is written while it is sent."""
    return _file(content, file_name, "text/csv; charset=utf-8")


def _file(
    content: AsyncGenerator[str] | AsyncGenerator[bytes], file_name: str, content_type: str
) -> Response:
    answer = Response(content, content_type=content_type)
    answer.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    answer.timeout = None
    return answer


def _query(chosen: dict[str, str], **more: str) -> str:
    return urlencode({name: value for name, value in {**chosen, **more}.items() if value})


def _chosen(visit: Visit) -> dict[str, str]:
    """Return the filters as they stand in the address."""
    names = ("find", "of", "account", "strategy", "family", "from", "to", "sort")
    return {name: visit.query.get(name, "").strip()[:_TEXT_MAX] for name in names}


def _wanted(chosen: dict[str, str]) -> Wanted:
    errors: dict[str, str] = {}
    since, until = _day(chosen, "from", errors), _day(chosen, "to", errors)
    if since is not None and until is not None and since > until:
        errors["to"] = "Expected a day that is not before the first one."
    if errors:
        raise FormErrors(errors)
    return Wanted(
        environment=chosen["of"],
        account=chosen["account"],
        strategy=chosen["strategy"],
        family=chosen["family"],
        find=chosen["find"],
        since=since,
        until=until,
        newest_first=chosen["sort"] != _OLDEST,
    )


def _day(chosen: dict[str, str], name: str, errors: dict[str, str]) -> date | None:
    text = chosen[name]
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or len(text) != 10 or day.year not in _YEARS:
        errors[name] = "Expected a day such as 2026-11-24, from 2000 to 2100."
        return None
    return day


async def show_calendar(visit: Visit) -> Response:
    """Show what each day of a month came to, and the years to download."""
    service, today = visit.services.years, visit.now.astimezone(ZoneInfo(visit.who.person.zone))
    environments = service.environments(visit.who)
    environment = visit.query.get("of", "") or (environments or [""])[0]
    account = visit.query.get("account", "")[:_TEXT_MAX]
    first = _first_day(visit.query.get("month", "")) or today.date().replace(day=1)
    month = await service.month(visit.who, environment, account, first) if environments else None
    accounts = [
        each
        for each in visit.services.history.accounts(visit.who)
        if each.environment == environment
    ]
    began = min((each.created_at for each in accounts if each.created_at), default=visit.now)
    return visit.page(
        "traders/calendar.html",
        month=month,
        account=account,
        accounts=accounts,
        environment=environment,
        environments=environments,
        today=today.date(),
        years=range(today.year, began.year - 1, -1),
        live=visit.newest,
    )


async def download_year(visit: Visit) -> Response:
    """Answer with a year as a zip file; without a choice, this year of the first environment."""
    service, today = visit.services.years, visit.now.astimezone(ZoneInfo(visit.who.person.zone))
    text = visit.query.get("year", "") or str(today.year)
    environment = visit.query.get("of", "") or next(iter(service.environments(visit.who)), "")
    if not (len(text) == 4 and text.isascii() and text.isdigit() and int(text) in _YEARS):
        raise FormErrors({"year": "Expected a year such as 2026, from 2000 to 2100."})
    made = service.year(visit.who, environment, int(text))
    return _file(made, f"rexalgo-{text}-{environment}.zip", "application/zip")


def _first_day(text: str) -> date | None:
    try:
        day = date.fromisoformat(f"{text}-01")
    except ValueError:
        return None
    return day if len(text) == 7 and day.year in _YEARS else None


ROUTES: Final[tuple[Route, ...]] = (
    *(get(f"/{kind.value}", Who.FOLLOWER, _show(kind)) for kind in Kind),
    *(get(f"/{kind.value}.csv", Who.FOLLOWER, _download(kind)) for kind in Kind),
    get("/calendar", Who.FOLLOWER, show_calendar),
    get("/year.zip", Who.FOLLOWER, download_year),
)
