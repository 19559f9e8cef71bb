"""Restore a backup of the ledger: verified first, the former ledger kept aside, and done whole or
not at all.

The backup is copied beside the ledger and everything is verified on the copy. One small file then
says what is to be moved where; once that is durable the restore has happened, and the next holder
of the folder's lock finishes the moving. Before that, nothing has happened.
"""

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from engine.domain.errors import RexAlgoError
from engine.keys.encrypted_files import NotDecrypted, decrypt_file, is_encrypted
from engine.keys.key_file import read_keys
from engine.keys.sealed_secrets import account_credentials, audit_key_of, endpoint_keys, open_vault
from engine.keys.vault import Vault
from engine.ledger import Database, Ledger, LedgerError, copy_ledger
from engine.ledger.audit import verify_audit
from engine.ledger.database import settle, take_into_use
from engine.ledger.freeze import EVERYBODY, freeze
from engine.ledger.people import accounts, endpoints
from engine.ledger.pulse import newest_moment
from engine.ports.secret import Secret
from engine.recovery.ledger_place import RESTORE_NAME, SUFFIXES
from engine.settings.config import Config
from engine.settings.files import make_folder, remove_leftovers, replace_file, sync_folder

_COPY_NAME: Final = ".restoring"
_SHOWN: Final = 20
_TIME: Final = re.compile(r"\d{8}T\d{6}Z")


class RestoreRefused(RexAlgoError):
    """Raised with everything that is wrong with a backup: nothing was changed."""

    def __init__(self, file: Path, problems: list[str]) -> None:
        super().__init__(
            f"{file} was not restored, and nothing was changed:\n"
            + "\n".join(f"  {each}" for each in problems[:_SHOWN])
        )
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Restored:
    """Where the former ledger was put, None if there was none, and where a log without a ledger was
    put.
    """

    former: Path | None
    lone_log: Path | None = None


async def restore(
    config: Config, file: Path, now: datetime, private_key: Secret | None = None
) -> Restored:
    """Restore a backup; the caller holds the folder's lock. ``private_key`` opens an encrypted one.
    Raises RestoreRefused.
    """
    finish_restore(config)
    path, copy = config.ledger.path, _copy_of(config)
    _refuse_other_files(file, path)
    try:
        _copy(file, copy, private_key)
        problems = await _prepare(config, copy, file, now)
        if problems:
            raise RestoreRefused(file, problems)
        former = _former(path, now)
        replace_file(
            config.data_dir / RESTORE_NAME,
            json.dumps({"former": None if former is None else former.name}) + "\n",
            0o600,
        )
    except (LedgerError, NotDecrypted, OSError) as error:
        _remove_copy(copy)
        raise RestoreRefused(file, [str(error)]) from error
    except BaseException:
        _remove_copy(copy)
        raise
    finish_restore(config)
    return _kept(former)


def _copy(file: Path, copy: Path, private_key: Secret | None) -> None:
    """Copy a backup beside the ledger, decrypted first if it is encrypted."""
    if not is_encrypted(file):
        if private_key is not None:
            raise NotDecrypted(
                "expected an encrypted backup for the key, found one without: leave out --key"
            )
        copy_ledger(file, copy)
        return
    if private_key is None:
        raise NotDecrypted("it is encrypted: give its private key with --key FILE")
    plain = Path(f"{copy}.plain")
    with suppress(FileNotFoundError):
        plain.unlink()
    os.close(os.open(plain, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        decrypt_file(file, plain, private_key)
        copy_ledger(plain, copy)
    finally:
        plain.unlink()


def _kept(former: Path | None) -> Restored:
    if former is None or former.exists():
        return Restored(former)
    log = Path(f"{former}-wal")
    return Restored(None, log if log.exists() else None)


def _copy_of(config: Config) -> Path:
    return Path(f"{config.ledger.path}{_COPY_NAME}")


def _refuse_other_files(file: Path, path: Path) -> None:
    if not file.is_file():
        found = "a folder" if file.is_dir() else "nothing"
        raise RestoreRefused(file, [f"expected a file that rexalgo backup wrote, found {found}"])
    if path.exists() and file.samefile(path):
        raise RestoreRefused(
            file, ["expected a backup, found the ledger of this installation itself"]
        )
    make_folder(path.parent)


def _words_of(file: Path, db: Database) -> str:
    """Return the name of a backup and its time: of its name, or else of its newest event.

    When the file was written says nothing: it may have been copied since.
    """
    taken = newest_moment(db)
    with suppress(ValueError):  # a name that only looks like one of ours
        if (named := _TIME.search(file.name)) is not None:
            taken = datetime.strptime(named[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return file.name + ("" if taken is None else f" of {taken:%Y-%m-%d %H:%M} UTC")


def _former(path: Path, now: datetime) -> Path | None:
    """Return where the files of the existing ledger are to be put; None if there are none."""
    stands = any(Path(f"{path}{each}").exists() for each in SUFFIXES)
    return Path(f"{path}.before-restore-{now:%Y%m%dT%H%M%SZ}") if stands else None


def finish_restore(config: Config) -> None:
    """Finish a restore that was interrupted after it had happened, and clear away one that had not;
    the caller holds the folder's lock.
    """
    path, copy, order = config.ledger.path, _copy_of(config), config.data_dir / RESTORE_NAME
    remove_leftovers(order)
    if not order.exists():
        _remove_copy(copy)
        return
    former = json.loads(order.read_text(encoding="utf-8"))["former"]
    if copy.exists():  # else it is in place already
        for suffix in SUFFIXES:
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").rename(
                    Path(f"{path.parent / (former or path.name + '.former')}{suffix}")
                )
        sync_folder(
            path.parent
        )  # so that a power cut never leaves the former one's log beside the new ledger
        copy.rename(path)
        sync_folder(path.parent)
    _remove_copy(copy)
    order.unlink()
    sync_folder(order.parent)


async def _prepare(config: Config, copy: Path, file: Path, now: datetime) -> list[str]:
    """Verify the copy of a backup and freeze it; return everything that is wrong with it."""
    ledger = Ledger.alone(copy)
    try:
        db = ledger.db
        what = _words_of(file, db)
        try:
            vault = await open_vault(
                ledger, read_keys(config.key_place, config.secrets.encryption_key), now
            )
        except RexAlgoError as error:
            return [f"the root keys of this installation do not open it: {error}"]
        problems = [*_sealed(db, vault, now), *_audit(db, vault)]
        if not problems:
            cause = f"the ledger was restored from {what}: what was done after it is not in it"
            await ledger.write(
                lambda db: freeze(db, account=EVERYBODY, name="", cause=cause, at=now)
            )
            take_into_use(db)
            settle(db)
        return problems
    finally:
        await ledger.aclose()
        sync_folder(copy.parent)


def _sealed(db: Database, vault: Vault, now: datetime) -> list[str]:
    opened: list[tuple[str, Callable[[], object]]] = [
        *(
            (
                f"the login of account {row.name}",
                lambda row=row: account_credentials(db, vault, row),
            )
            for row in accounts(db)
        ),
        *(
            (
                f"the secret of endpoint {row.id}",
                lambda row=row: endpoint_keys(db, vault, row.id, now),
            )
            for row in endpoints(db)
        ),
    ]
    problems = []
    for what, unseal in opened:
        try:
            unseal()
        except RexAlgoError as error:
            problems.append(f"{what} does not open: {error}")
    return problems


def _audit(db: Database, vault: Vault) -> list[str]:
    try:
        broken = verify_audit(db, lambda kid: audit_key_of(db, vault, kid)).broken_at
    except RexAlgoError as error:
        return [f"the audit cannot be verified: {error}"]
    return (
        []
        if broken is None
        else [f"the chain of the audit is broken at row {broken}: somebody changed it"]
    )


def _remove_copy(copy: Path) -> None:
    for each in copy.parent.glob(f"{copy.name}*"):
        each.unlink(missing_ok=True)
