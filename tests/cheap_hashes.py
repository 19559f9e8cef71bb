"""Passwords are hashed at the lowest cost in tests. A hash is made to take an eighth of a second and
64 MiB, and hundreds of them would be most of what signing in computes here.

``tests/engine/identity`` checks the real cost.
"""

from typing import Final

from engine.keys import passwords

REAL_COST: Final = (passwords.OPERATIONS, passwords.MEMORY_BYTES)
_LOWEST: Final = (1, 8 * 1024)


def hash_at(cost: tuple[int, int] = _LOWEST) -> None:
    """Hash passwords at this cost in this process and its forks; a hash says its own cost."""
    passwords.OPERATIONS, passwords.MEMORY_BYTES = cost  # type: ignore[misc]
