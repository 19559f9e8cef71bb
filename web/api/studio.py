"""The endpoints that read what a master's studio shows."""

from typing import Annotated, Final

from engine.domain.person import Role
from engine.services.studio import PAGE, SIGNALS
from web.api import studio_models as models
from web.api.models import Warned, rounded
from web.api.table import Ask, Endpoint, WrongQuery, get

Past = Annotated[str, "Where the page begins: ``next`` of the page before."]
_DIGITS_MAX: Final = 18


async def own_strategies(ask: Ask) -> models.OwnStrategies:
    """Your strategies as their master, and which of their deliveries were refused."""
    return models.OwnStrategies(
        strategies=tuple(map(models.own_strategy_of, ask.services.studio.strategies(ask.user))),
        refused=tuple(map(models.refusal_of, ask.services.refused.all(ask.user))),
    )


async def own_strategy(ask: Ask, strategy: str) -> models.StudioView:
    """One strategy of yours: followers in counts, what was copied and why not, what is left to set
    up, what was refused, and its callback.
    """
    studio = ask.services.studio
    row = studio.strategy(ask.user, strategy)
    audience, webhook = await studio.audience(row), studio.webhook(row)
    steps = await studio.setup(row, studio.deliveries(row), await studio.signals(row))
    return models.StudioView(
        strategy=models.own_strategy_of(row),
        is_enabled=None if webhook is None else webhook[0].enabled,
        followers=models.followers_of(audience),
        held=models.held_of(audience),
        margin={environment: rounded(each) for environment, each in audience.margin.items()},
        unvalued=audience.unvalued,
        copied=tuple(map(models.copied_of, await studio.heard(row))),
        warnings=tuple(
            Warned(field=each.field, sentence=each.sentence) for each in await studio.warnings(row)
        ),
        steps=tuple(map(models.step_of, steps)),
        refused=tuple(map(models.refusal_of, ask.services.refused.of(ask.user, strategy))),
        callback=models.callback_of(ask.services.callbacks.of(row)),
    )


async def sent_signals(ask: Ask, strategy: str, *, past: Past = "") -> models.SentSignals:
    """The signals of one of your strategies with the outcomes of their copies, newest first."""
    row = ask.services.studio.strategy(ask.user, strategy)
    rows = await ask.services.studio.signals(row, _before(past))
    return models.SentSignals(
        signals=tuple(map(models.sent_signal_of, rows)),
        next=str(rows[-1].number) if len(rows) == SIGNALS else None,
    )


async def sent_signal(ask: Ask, strategy: str, signal: str) -> models.SentSignalView:
    """One signal of one of your strategies: what it asked for, and the outcomes of its copies."""
    row = ask.services.studio.strategy(ask.user, strategy)
    return models.sent_signal_view(ask.services.studio.signal(row, signal))


async def deliveries(ask: Ask, strategy: str, *, past: Past = "") -> models.Deliveries:
    """What was delivered to the addresses of one of your strategies, newest first."""
    row = ask.services.studio.strategy(ask.user, strategy)
    rows = ask.services.studio.deliveries(row, _before(past))
    return models.Deliveries(
        deliveries=tuple(map(models.delivery_of, rows)),
        next=str(rows[-1].id) if len(rows) == PAGE else None,
    )


def _before(past: str) -> int | None:
    if past and not (past.isascii() and past.isdigit() and len(past) <= _DIGITS_MAX):
        raise WrongQuery({"past": "expected next of the page before"})
    return int(past) if past else None


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    get("/studio/strategies", own_strategies, role=Role.MASTER),
    get("/studio/strategies/<strategy>", own_strategy, role=Role.MASTER),
    get("/studio/strategies/<strategy>/signals", sent_signals, role=Role.MASTER),
    get("/studio/strategies/<strategy>/signals/<signal>", sent_signal, role=Role.MASTER),
    get("/studio/strategies/<strategy>/deliveries", deliveries, role=Role.MASTER),
)
