"""Services: what a person at a page may ask and do, one service for each area of the site. The web
calls these and nothing deeper.

What always holds: a method takes the ``User`` who acts and reads only what is theirs (another
person's things raise NothingThere); a change and its audit row are one transaction; no trading rule
is decided here.
"""

from dataclasses import dataclass

from engine.context import EngineContext
from engine.services.account_room import AccountRoom
from engine.services.agreeing import AgreeingService
from engine.services.callbacks import CallbackService
from engine.services.charting import ChartingService
from engine.services.following import FollowingService
from engine.services.history import HistoryService
from engine.services.identity import IdentityService
from engine.services.passkeys import PasskeyService
from engine.services.performance import PerformanceService
from engine.services.pulse import PulseService
from engine.services.refused import RefusedService
from engine.services.shadowing import ShadowingService
from engine.services.studio import StudioService
from engine.services.telling import TellingService
from engine.services.tokens import TokenService
from engine.services.years import YearsService


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All services."""

    context: EngineContext
    identity: IdentityService
    passkeys: PasskeyService
    pulse: PulseService
    following: FollowingService
    history: HistoryService
    years: YearsService
    telling: TellingService
    agreeing: AgreeingService
    performance: PerformanceService
    shadowing: ShadowingService
    charting: ChartingService
    accounts: AccountRoom
    studio: StudioService
    refused: RefusedService
    tokens: TokenService
    callbacks: CallbackService


def open_services(context: EngineContext) -> Services:
    """Create the services of a running engine."""
    following = FollowingService(context)
    history = HistoryService(context)
    return Services(
        context=context,
        identity=IdentityService(context),
        passkeys=PasskeyService(context),
        pulse=PulseService(context),
        following=following,
        history=history,
        years=YearsService(context, history),
        telling=TellingService(context),
        agreeing=AgreeingService(context, following),
        performance=PerformanceService(context),
        shadowing=ShadowingService(context, following),
        charting=ChartingService(context, following),
        accounts=AccountRoom(context, following),
        studio=StudioService(context),
        refused=RefusedService(context),
        tokens=TokenService(context),
        callbacks=CallbackService(context),
    )
