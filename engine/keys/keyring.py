"""The vault of this process, and how it learns new root keys without a restart.

What always holds: keys are adopted only after the ledger's canaries prove that they open everything
the ledger needs; a file that lost a key changes nothing here. Only the holder of the folder's lock
writes the keys.
"""

from engine.keys.key_file import read_keys, write_keys
from engine.keys.sealed_secrets import open_vault
from engine.keys.vault import Vault, parse_root_keys, with_root_key_first, without_root_key
from engine.ledger import Ledger
from engine.ports.clock import Clock
from engine.ports.secret import Secret
from engine.settings.secrets import SecretPlace


class Keyring:
    """The holder of the vault; ``given`` are the root keys that the process was started with,
    ``place`` is where they are stored.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, place: SecretPlace | None, given: Secret | None
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._place = place
        self._given = given
        self._vault: Vault | None = None

    @property
    def place(self) -> SecretPlace | None:
        """Return where the root keys are stored."""
        return self._place

    @property
    def vault(self) -> Vault:
        """Return the vault, which must be open."""
        assert self._vault is not None
        return self._vault

    @property
    def in_use(self) -> str | None:
        """Return the kid that this process uses for new data; None if it has not opened a vault
        yet.
        """
        return None if self._vault is None else self._vault.active_kid

    async def open(self) -> Vault:
        """Return the vault, opened at the first call; raises VaultError for keys that do not fit
        the ledger.
        """
        return await self.renew() if self._vault is None else self._vault

    async def renew(self) -> Vault:
        """Adopt the root keys as stored now; raises KeyFileError or VaultError, and then the vault
        stays as it was.
        """
        self._vault = await open_vault(
            self._ledger, read_keys(self._place, self._given), self._clock.now()
        )
        return self._vault

    def kids(self) -> list[str]:
        """Read the kids of the stored root keys, the active one first."""
        return list(parse_root_keys(read_keys(self._place, self._given)).by_kid)

    async def put_first(self, key: str) -> Vault:
        """Write another root key in front of the stored ones, and adopt it."""
        assert self._place is not None
        write_keys(self._place, with_root_key_first(read_keys(self._place, self._given), key))
        return await self.renew()

    def erase(self, kid: str) -> None:
        """Write the root keys without one of them; the vault no longer holds it, because the ledger
        has it as disabled.
        """
        assert self._place is not None
        write_keys(self._place, without_root_key(read_keys(self._place, self._given), kid))
