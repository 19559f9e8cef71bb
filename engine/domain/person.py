"""People and their roles. A person may hold several roles; a role opens pages, never another
person's data.
"""

from dataclasses import dataclass
from enum import Enum
from zoneinfo import ZoneInfo, available_timezones

from engine.domain.errors import InvalidValue
from engine.domain.identifiers import PersonId


class Role(Enum):
    """A role that a person may hold."""

    FOLLOWER = "follower"
    MASTER = "master"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Person:
    """One person. ``zone`` is the time zone in which times are shown to them. ``owns_accounts``: an
    account is or was theirs.
    """

    id: PersonId
    name: str
    roles: frozenset[Role]
    zone: str
    owns_accounts: bool = False

    @property
    def called(self) -> str:
        """Return the name without the prefix from provisioning (``follower:alice``)."""
        return self.name.rpartition(":")[2]

    def is_a(self, role: Role) -> bool:
        """Return whether the person holds a role."""
        return role in self.roles

    def reaches(self, role: Role) -> bool:
        """Return whether what a role opens is open to the person: a follower's pages also to whoever
        owns an account, so that they can stop and close without the role.
        """
        return self.is_a(role) or (role is Role.FOLLOWER and self.owns_accounts)


def parse_role(value: object, field: str = "role") -> Role:
    """Read a role; raises InvalidValue."""
    try:
        return Role(value)
    except ValueError:
        raise InvalidValue(
            field, "one of " + ", ".join(each.value for each in Role), value
        ) from None


def parse_zone(value: object, field: str = "zone") -> str:
    """Read the name of a time zone such as ``Europe/Berlin``; raises InvalidValue."""
    if not isinstance(value, str) or (value != "UTC" and value not in available_timezones()):
        raise InvalidValue(field, "a time zone such as Europe/Berlin or UTC", value)
    return str(ZoneInfo(value))
