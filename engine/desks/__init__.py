"""Desks: what a person at a page may ask and do, one desk for each room of the site. The web calls
these and nothing deeper.

What always holds: a method takes the ``Visitor`` who acts and looks only at what is theirs (another
person's things are NothingThere); a change and its row in the audit are one transaction; no trading
rule is decided here.
"""

from dataclasses import dataclass

from engine.desks.account_room import AccountRoom
from engine.desks.agreeing import AgreeingDesk
from engine.desks.following import FollowingDesk
from engine.desks.identity import IdentityDesk
from engine.desks.performance import PerformanceDesk
from engine.desks.pulse import PulseDesk
from engine.desks.refused import RefusedDesk
from engine.desks.studio import StudioDesk
from engine.office import Office


@dataclass(frozen=True, slots=True)
class Desks:
    """Hold every desk."""

    office: Office
    identity: IdentityDesk
    pulse: PulseDesk
    following: FollowingDesk
    agreeing: AgreeingDesk
    performance: PerformanceDesk
    accounts: AccountRoom
    studio: StudioDesk
    refused: RefusedDesk


def open_desks(office: Office) -> Desks:
    """Make the desks of a running engine."""
    following = FollowingDesk(office)
    return Desks(
        office=office,
        identity=IdentityDesk(office),
        pulse=PulseDesk(office),
        following=following,
        agreeing=AgreeingDesk(office, following),
        performance=PerformanceDesk(office),
        accounts=AccountRoom(office, following),
        studio=StudioDesk(office),
        refused=RefusedDesk(office),
    )
