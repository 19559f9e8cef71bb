"""The user's exchange accounts: their health, a new account, a new key, and disconnecting."""

from typing import Final

from quart import Response

from engine.services.user import FormErrors
from web.identity.exchange_login import new_login, typed_login
from web.routes import Route, Who, get, post
from web.visit import Visit


async def show_accounts(visit: Visit) -> Response:
    """Show the connected accounts and the disconnected ones."""
    following = visit.services.following
    return visit.page(
        "traders/accounts.html",
        cards=await following.cards(visit.who),
        former=following.former_accounts(visit.who),
        live=visit.newest(),
    )


async def show_connect(visit: Visit) -> Response:
    """Show the form that connects an account."""
    return _connect(visit, visit.query.get("exchange", ""))


async def connect(visit: Visit) -> Response:
    """Connect an account; its exchange is asked first."""
    chosen = visit.services.accounts.choice(visit.text("exchange"))
    try:
        row = await visit.services.accounts.connect(
            visit.who, chosen.name, new_login(visit, chosen)
        )
    except FormErrors as error:
        return _connect(visit, chosen.name, error.errors)
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
        live=visit.newest(),
    )


async def check(visit: Visit, name: str) -> Response:
    """Check an account at its exchange now."""
    await visit.services.following.check(visit.who, name)
    return visit.go(f"/accounts/{name}", "checked")


async def show_rename(visit: Visit, name: str) -> Response:
    """Show the form that renames an account."""
    return _rename(visit, name)


async def rename(visit: Visit, name: str) -> Response:
    """Rename an account on the pages of its owner."""
    try:
        await visit.services.accounts.rename(visit.who, name, visit.text("title"))
    except FormErrors as error:
        return _rename(visit, name, error.errors)
    return visit.go(f"/accounts/{name}", "renamed")


async def show_key(visit: Visit, name: str) -> Response:
    """Show the form for a new key."""
    return _key(visit, name)


async def replace_key(visit: Visit, name: str) -> Response:
    """Replace an account's key; the exchange is asked first."""
    accounts = visit.services.accounts
    chosen = accounts.choice(accounts.with_key(visit.who, name).exchange)
    try:
        await accounts.replace_key(visit.who, name, typed_login(visit, chosen))
    except FormErrors as error:
        return _key(visit, name, error.errors)
    return visit.go(f"/accounts/{name}", "key")


async def show_disconnect(visit: Visit, name: str) -> Response:
    """Show what disconnecting means, and what is still open."""
    return _disconnect(visit, name)


async def disconnect(visit: Visit, name: str) -> Response:
    """Disconnect an account and erase its key."""
    row = visit.services.following.account(visit.who, name)
    try:
        await visit.services.accounts.disconnect(visit.who, name, keep=visit.text("keep") == "yes")
    except FormErrors as error:
        return _disconnect(visit, name, error.errors)
    is_paper = row.environment == "paper"
    return visit.go("/accounts", "disconnected-paper" if is_paper else "disconnected")


def _connect(visit: Visit, exchange: str, errors: dict[str, str] | None = None) -> Response:
    accounts = visit.services.accounts
    return visit.page(
        "traders/connect.html",
        errors=errors,
        choices=accounts.choices(),
        chosen=accounts.choice(exchange),
    )


def _rename(visit: Visit, name: str, errors: dict[str, str] | None = None) -> Response:
    row = visit.services.following.account(visit.who, name)
    return visit.page("traders/rename.html", errors=errors, row=row)


def _key(visit: Visit, name: str, errors: dict[str, str] | None = None) -> Response:
    row = visit.services.accounts.with_key(visit.who, name)
    chosen = visit.services.accounts.choice(row.exchange)
    return visit.page("traders/key.html", errors=errors, row=row, chosen=chosen)


def _disconnect(visit: Visit, name: str, errors: dict[str, str] | None = None) -> Response:
    row = visit.services.following.account(visit.who, name)
    return visit.page(
        "traders/disconnect.html",
        errors=errors,
        row=row,
        open_shares=visit.services.following.still_open(visit.who, name),
        chosen=visit.services.accounts.choice(row.exchange),
    )


ROUTES: Final[tuple[Route, ...]] = (
    get("/accounts", Who.SIGNED_IN, show_accounts),
    get("/accounts/connect", Who.SIGNED_IN, show_connect),
    post("/accounts/connect", Who.SIGNED_IN, connect, once=True),
    get("/accounts/<name>", Who.FOLLOWER, show_account),
    post("/accounts/<name>/check", Who.FOLLOWER, check),
    get("/accounts/<name>/rename", Who.FOLLOWER, show_rename),
    post("/accounts/<name>/rename", Who.FOLLOWER, rename),
    get("/accounts/<name>/key", Who.FOLLOWER, show_key),
    post("/accounts/<name>/key", Who.FOLLOWER, replace_key),
    get("/accounts/<name>/disconnect", Who.FOLLOWER, show_disconnect),
    post("/accounts/<name>/disconnect", Who.FOLLOWER, disconnect, once=True),
)
