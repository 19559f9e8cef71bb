"""The user's exchange accounts: their health, a new account, a new key, and disconnecting."""

from collections.abc import Iterable, Mapping
from typing import Final

from quart import Response

from engine.services import Services
from web.identity.exchange_login import kept_login, new_login, typed_login
from web.routes import Route, Who, form, get, post
from web.visit import Visit


async def show_accounts(visit: Visit) -> Response:
    """Show the connected accounts and the disconnected ones."""
    following = visit.services.following
    return visit.page(
        "traders/accounts.html",
        cards=await following.cards(visit.who),
        former=following.former_accounts(visit.who),
        titles={each.name: each.title for each in visit.services.accounts.choices()},
        live=visit.newest,
    )


async def show_connect(visit: Visit) -> Response:
    """Show the form that connects an account."""
    accounts = visit.services.accounts
    wanted = visit.form.get("exchange", visit.query.get("exchange", ""))
    return visit.page(
        "traders/connect.html", choices=accounts.choices(), chosen=accounts.choice(wanted)
    )


async def connect(visit: Visit) -> Response:
    """Connect an account; its exchange is asked first."""
    chosen = visit.services.accounts.choice(visit.text("exchange"))
    row = await visit.services.accounts.connect(visit.who, chosen.name, new_login(visit, chosen))
    return visit.go(f"/accounts/{row.name}", "connected")


async def show_account(visit: Visit, name: str) -> Response:
    """Show one account with its last check."""
    row = visit.services.following.account(visit.who, name)
    cards = await visit.services.following.cards(visit.who)
    return visit.page(
        "traders/account.html",
        card=next(card for card in cards if card.row.id == row.id),
        choice=visit.services.accounts.choice(row.exchange),
        looks=visit.services.accounts.looks(visit.who, name),
        live=visit.newest,
    )


async def check(visit: Visit, name: str) -> Response:
    """Check an account at its exchange now."""
    await visit.services.following.check(visit.who, name)
    return visit.go(f"/accounts/{name}", "checked")


async def show_rename(visit: Visit, name: str) -> Response:
    """Show the form that renames an account."""
    row = visit.services.following.account(visit.who, name)
    return visit.page("traders/rename.html", row=row)


async def rename(visit: Visit, name: str) -> Response:
    """Rename an account on the pages of its owner."""
    await visit.services.accounts.rename(visit.who, name, visit.text("title"))
    return visit.go(f"/accounts/{name}", "renamed")


async def show_key(visit: Visit, name: str) -> Response:
    """Show the form for a new key."""
    row = visit.services.accounts.with_key(visit.who, name)
    chosen = visit.services.accounts.choice(row.exchange)
    return visit.page("traders/key.html", row=row, chosen=chosen)


async def replace_key(visit: Visit, name: str) -> Response:
    """Replace an account's key; the exchange is asked first."""
    accounts = visit.services.accounts
    chosen = accounts.choice(accounts.with_key(visit.who, name).exchange)
    await accounts.replace_key(visit.who, name, typed_login(visit, chosen))
    return visit.go(f"/accounts/{name}", "key")


async def show_disconnect(visit: Visit, name: str) -> Response:
    """Show what disconnecting means, and what is still open."""
    row = visit.services.following.account(visit.who, name)
    return visit.page(
        "traders/disconnect.html",
        row=row,
        open_shares=visit.services.following.still_open(visit.who, name),
        chosen=visit.services.accounts.choice(row.exchange),
    )


async def disconnect(visit: Visit, name: str) -> Response:
    """Disconnect an account and erase its key."""
    row = visit.services.following.account(visit.who, name)
    await visit.services.accounts.disconnect(visit.who, name, keep=visit.text("keep") == "yes")
    is_paper = row.environment == "paper"
    return visit.go("/accounts", "disconnected-paper" if is_paper else "disconnected")


def _kept(services: Services, given: Mapping[str, str]) -> Iterable[str]:
    return kept_login(services.accounts.choices(), given)


ROUTES: Final[tuple[Route, ...]] = (
    get("/accounts", Who.SIGNED_IN, show_accounts),
    get("/accounts/connect", Who.SIGNED_IN, show_connect),
    form("/accounts/connect", Who.SIGNED_IN, connect, once=True, keeps=_kept),
    get("/accounts/<name>", Who.FOLLOWER, show_account),
    post("/accounts/<name>/check", Who.FOLLOWER, check, page="/accounts/<name>"),
    get("/accounts/<name>/rename", Who.FOLLOWER, show_rename),
    form("/accounts/<name>/rename", Who.FOLLOWER, rename, keeps=("title",)),
    get("/accounts/<name>/key", Who.FOLLOWER, show_key),
    form("/accounts/<name>/key", Who.FOLLOWER, replace_key, keeps=()),
    get("/accounts/<name>/disconnect", Who.FOLLOWER, show_disconnect),
    form("/accounts/<name>/disconnect", Who.FOLLOWER, disconnect, once=True, keeps=("keep",)),
)
