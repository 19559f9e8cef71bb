"""Provisioning: a file becomes the ledger's people once; a person's change wins over the file;
every error is reported at once.
"""

import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.domain.account import Environment
from engine.domain.identifiers import former_name
from engine.domain.subscription import Mode, parse_sizing
from engine.keys.sealed_secrets import (
    account_credentials,
    credentials_print,
    endpoint_keys,
    open_vault,
)
from engine.keys.vault import Vault, new_root_key
from engine.ledger import Ledger
from engine.ledger.disconnecting import disconnect_account
from engine.ledger.identity import account_of_login, forget_login, remember_login
from engine.ledger.people import (
    account,
    account_named,
    accounts,
    set_policy,
    strategy_named,
    subscription_of,
)
from engine.ledger.query import fetch_all
from engine.plugin.host import load_plugins
from engine.ports.exchange import CredentialField
from engine.ports.secret import Secret
from engine.provisioning import ProvisionErrors, ProvisionResult, provision, resolve_secrets
from engine.provisioning.declarations import ExchangePlace

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FILE = """
[[master]]
name = "alpha"
[[strategy]]
name = "trend"
master = "alpha"
kind = "copy_trading"
symbols = ["BTCUSDT"]
leverage = "5"
[[follower]]
name = "f{n:02}"
count = 3
exchange = "paper"
secret = "paper-{n:02}"
strategy = "trend"
sizing = { mode = "fixed_margin", margin = "50" }
"""
PLACES = {
    "paper": ExchangePlace((CredentialField("secret", "Name", ""),), Environment.PAPER),
    "real": ExchangePlace((CredentialField("secret", "API secret", ""),), Environment.LIVE),
}


@dataclass
class Service:
    """A ledger in memory and the parts that provisioning needs."""

    ledger: Ledger
    vault: Vault

    async def run(
        self, text: str, environ: dict[str, str] | None = None, folder: Path = Path()
    ) -> ProvisionResult:
        """Provision a file as the command does."""
        table = resolve_secrets(tomllib.loads(text), environ or {}, folder)
        plugins = load_plugins(["paper", "signed_webhook"], {})
        return await provision(
            self.ledger,
            self.vault,
            plugins,
            table,
            places=PLACES,
            now=NOW,
            webhook_address="https://copy.example.org",
            webhook_source="signed_webhook",
            file="people.toml",
        )


@asynccontextmanager
async def service() -> AsyncIterator[Service]:
    ledger = Ledger.in_memory()
    try:
        yield Service(ledger, await open_vault(ledger, Secret(new_root_key())))
    finally:
        await ledger.aclose()


def policy_margin(told: Service, follower: str) -> object:
    account, strategy = (
        account_named(told.ledger.db, follower),
        strategy_named(told.ledger.db, "trend"),
    )
    assert account is not None
    assert strategy is not None
    row = subscription_of(told.ledger.db, account.id, strategy.id)
    assert row is not None
    return row.policy


async def test_a_file_makes_people_once_and_shows_a_secret_once() -> None:
    async with service() as here:
        first = (await here.run(FILE)).as_json()
        assert first["created"] == {"master": 1, "strategy": 1, "follower": 3, "subscription": 3}
        made = first["strategies"][0]  # type: ignore[index]
        assert made["webhook_url"].startswith(
            "https://copy.example.org/api/webhooks/copy-trading/ep_"
        )
        assert made["secret"].startswith("whsec_")
        again = (await here.run(FILE)).as_json()
        assert (again["created"], again["updated"], again["differences"], again["followers"]) == (
            {},
            [],
            [],
            3,
        )
        assert again["strategies"] == [{**made, "secret": None}]


async def test_secrets_lie_sealed_and_open_in_their_own_row_only() -> None:
    async with service() as here:
        secret = (await here.run(FILE)).strategies[0].secret
        rows = accounts(here.ledger.db)
        opened = [
            account_credentials(here.ledger.db, here.vault, row)["secret"].reveal() for row in rows
        ]
        assert opened == ["paper-01", "paper-02", "paper-03"]
        assert all(b"paper-0" not in row.sealed for row in rows)
        endpoint = here.ledger.db.execute("SELECT id FROM endpoint").fetchone()[0]  # type: ignore[index]
        assert secret is not None
        keys = endpoint_keys(here.ledger.db, here.vault, endpoint, NOW)
        assert [key.secret.reveal() for key in keys] == [secret.reveal()]


async def test_the_file_changes_what_it_set_and_a_person_wins_over_the_file() -> None:
    async with service() as here:
        await here.run(FILE)
        changed = await here.run(FILE.replace('margin = "50"', 'margin = "75"'))
        assert sorted(changed.updated) == [
            f"subscription f{n:02} in trend: sizing" for n in (1, 2, 3)
        ]

        account, strategy = (
            account_named(here.ledger.db, "f02"),
            strategy_named(here.ledger.db, "trend"),
        )
        assert account is not None
        assert strategy is not None
        row = subscription_of(here.ledger.db, account.id, strategy.id)
        assert row is not None
        own = replace(row.policy, sizing=parse_sizing({"mode": "fixed_margin", "margin": "10"}))
        await here.ledger.write(lambda db: set_policy(db, row.id, own))
        third = await here.run(FILE.replace('margin = "50"', 'margin = "90"'))
        assert sorted(third.updated) == [f"subscription f{n:02} in trend: sizing" for n in (1, 3)]
        assert [(each.what, each.field) for each in third.differences] == [
            ("subscription f02 in trend", "sizing")
        ]
        assert policy_margin(here, "f02") == own
        # Where both come to say the same, the file is believed again from then on.
        agreed = await here.run(FILE.replace('margin = "50"', 'margin = "10"'))
        assert agreed.differences == ()


async def test_an_account_that_its_owner_disconnected_stays_so_whatever_the_file_says() -> None:
    async with service() as here:
        await here.run(FILE)
        gone = account_named(here.ledger.db, "f02")
        assert gone is not None
        await here.ledger.write(lambda db: forget_login(db, gone.id))
        await here.ledger.write(
            lambda db: disconnect_account(db, gone.id, former_name("f02", "abc123"), NOW)
        )
        again = await here.run(FILE)
        assert (dict(again.created), again.updated) == ({}, ())
        assert [(each.what, each.field, each.here) for each in again.differences] == [
            ("follower f02", "account", "disconnected by its owner")
        ]
        assert [each.name for each in accounts(here.ledger.db)] == ["f01", "f03"]


async def test_a_changed_login_is_sealed_anew_and_never_shown() -> None:
    async with service() as here:
        await here.run(FILE)
        changed = await here.run(FILE.replace("paper-{n:02}", "other-{n:02}"))
        assert sorted(changed.updated) == [
            "follower f01: login",
            "follower f02: login",
            "follower f03: login",
        ]
        rows = accounts(here.ledger.db)
        assert [row.row_version for row in rows] == [2, 2, 2]
        assert (
            account_credentials(here.ledger.db, here.vault, rows[0])["secret"].reveal()
            == "other-01"
        )
        assert "other-" not in str(changed.as_json())
        told = fetch_all(
            here.ledger.db, "SELECT subject FROM event WHERE kind = 'credentials' ORDER BY sequence"
        )
        assert told == [("f01",), ("f02",), ("f03",)]  # their keys' age counts from here


async def test_a_login_that_another_follower_has_is_refused_even_in_another_file() -> None:
    async with service() as here:
        await here.run(FILE)
        other = '[[follower]]\nname = "thief"\nexchange = "paper"\nsecret = "paper-02"\n'
        with pytest.raises(ProvisionErrors, match="the login of f02"):
            await here.run(other)
        assert account_named(here.ledger.db, "thief") is None


async def test_a_provisioned_login_is_known_to_pages_and_one_of_a_page_to_provisioning() -> None:
    def known(here: Service, secret: str) -> str | None:
        prints = [credentials_print(here.vault, "paper", {"secret": Secret(secret)})]
        found = account_of_login(here.ledger.db, prints)
        return None if found is None else account(here.ledger.db, found).name

    async with service() as here:
        await here.run(FILE)
        assert (
            known(here, "paper-02") == "f02"
        )  # so that nobody connects it a second time, and its owner signs in with it
        await here.run(FILE.replace("paper-{n:02}", "other-{n:02}"))
        assert (known(here, "paper-02"), known(here, "other-02")) == (None, "f02")
        by_page = credentials_print(
            here.vault, "paper", {"secret": Secret("replaced-by-its-owner")}
        )
        row = account_named(here.ledger.db, "f02")
        assert row is not None
        await here.ledger.write(lambda db: remember_login(db, by_page, row.id))
        with pytest.raises(ProvisionErrors, match="the login of f02"):
            await here.run(
                '[[follower]]\nname = "thief"\nexchange = "paper"\nsecret = '
                '"replaced-by-its-owner"\n'
            )
        assert account_named(here.ledger.db, "thief") is None


async def test_a_login_of_several_lines_is_refused_and_not_repeated() -> None:
    async with service() as here:
        torn = '[[follower]]\nname = "torn"\nexchange = "{}"\n{}\n'
        for text, environ in (
            (torn.format("paper", 'secret = "first\\nsecond"'), {}),
            (torn.format("real", 'secret_env = "KEY"'), {"KEY": "first\nsecond"}),
        ):
            with pytest.raises(ProvisionErrors, match="one line of letters") as caught:
                await here.run(text, environ)
            assert "second" not in str(caught.value)


WRONG = """
typo = 1
[[master]]
name = "alpha"
[[strategy]]
name = "trend"
master = "beta"
symbols = []
leverage = "-1"
[[follower]]
name = "f"
exchange = "papr"
secret = "x"
[[follower]]
name = "g{n}"
count = 2
exchange = "real"
secret = "literal-{n}"
strategy = "trend"
sizing = { mode = "fixed_margin" }
[[follower]]
name = "h"
exchange = "real"
secret_env = "NOT_SET"
"""


async def test_everything_wrong_is_told_at_once_and_nothing_is_applied() -> None:
    async with service() as here:
        with pytest.raises(ProvisionErrors) as caught:
            await here.run(WRONG)
        keys = {each.key for each in caught.value.problems}
        expected = {
            "typo",
            "strategy[0].master",
            "strategy[0].symbols",
            "strategy[0].leverage",
            "follower[0].exchange",
            "follower[1].secret",
            "follower[1].sizing.margin",
            "follower[2].secret_env",
        }
        assert expected <= keys, keys
        assert "literal-" not in str(caught.value)
        assert "people.toml" in str(caught.value)
        assert here.ledger.db.execute("SELECT count(*) FROM person").fetchone() == (0,)


async def test_secrets_come_from_environment_and_files(tmp_path: Path) -> None:
    (tmp_path / "key-1").write_text("from-file\n", encoding="utf-8")
    text = """
[[follower]]
name = "e"
exchange = "real"
secret_env = "KEY_OF_E"
[[follower]]
name = "f{n}"
count = 1
exchange = "real"
secret_file = "key-{n}"
"""
    async with service() as here:
        await here.run(text, {"KEY_OF_E": "from-env"}, tmp_path)
        opened = [
            account_credentials(here.ledger.db, here.vault, row)["secret"].reveal()
            for row in accounts(here.ledger.db)
        ]
        assert opened == ["from-env", "from-file"]


async def test_a_second_strategy_for_a_follower_and_watch_mode() -> None:
    more = """
[[strategy]]
name = "swing"
master = "alpha"
symbols = ["ETHUSDT"]
leverage = "2"
[[subscription]]
follower = "f02"
strategy = "swing"
mode = "watch"
leverage = "1"
limits = { order_notional = "100", open_positions = 1 }
sizing = { mode = "multiplier", factor = "0.5" }
"""
    async with service() as here:
        await here.run(FILE)
        assert (await here.run(more)).created == {"strategy": 1, "subscription": 1}
        account, strategy = (
            account_named(here.ledger.db, "f02"),
            strategy_named(here.ledger.db, "swing"),
        )
        assert account is not None
        assert strategy is not None
        row = subscription_of(here.ledger.db, account.id, strategy.id)
        assert row is not None
        assert row.policy.mode is Mode.WATCH
        assert row.policy.limits.open_positions == 1


async def test_real_money_needs_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        PLACES, "real", replace(PLACES["real"], refused="an exchange without real money")
    )
    async with service() as here:
        with pytest.raises(
            ProvisionErrors,
            match=r"follower\[0\].exchange .*expected an exchange without real money, found real",
        ):
            await here.run(
                '[[follower]]\nname = "e"\nexchange = "real"\nsecret_env = "K"\n', {"K": "x"}
            )


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (('exchange = "paper"', 'exchange = "real"'), "follower[0]"),
        (('kind = "copy_trading"', 'kind = "algo"'), "strategy[0].source"),
    ],
)
async def test_what_never_changes_is_refused(change: tuple[str, str], key: str) -> None:
    async with service() as here:
        await here.run(FILE)
        with pytest.raises(ProvisionErrors) as caught:
            await here.run(FILE.replace(*change))
        assert any(each.key.startswith(key) for each in caught.value.problems), caught.value
