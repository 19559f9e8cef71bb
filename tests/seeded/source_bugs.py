"""Bugs for copies of the built-in sources: each loses signals."""

from typing import Final

from tests.seeded.bug import Bug

WEBHOOK: Final = "signed_webhook/body.py"
STREAM: Final = "crossover/__init__.py"
KEY: Final = "    key = _dedupe_key(body, signed_id, needs_key)\n"
EMITS: Final = "await self._emit(signal_of(cross, self._rule))"
BUGS: Final = (
    Bug(
        "every signal of a webhook has one and the same key",
        WEBHOOK,
        KEY,
        '    key = "always"\n',
    ),
    Bug(
        "the key of a webhook's signal is its contract and action",
        WEBHOOK,
        KEY,
        "    key = f\"{body.get('symbol')}{body.get('action')}\"\n",
    ),
    Bug(
        "a webhook's body with an unknown action is no signal and no error",
        WEBHOOK,
        '    _refuse_slips(body, body.get("action"))\n',
        '    if body.get("action") not in [each.value for each in Action]:\n        return None\n'
        '    _refuse_slips(body, body.get("action"))\n',
    ),
    Bug(
        "a stream counts its signals in memory",
        STREAM,
        EMITS,
        "self._count = getattr(self, '_count', 0) + 1\n        await "
        "self._emit(replace(signal_of(cross, self._rule), dedupe_key=f'c-{self._count}'))",
        (("import logging\n", "import logging\nfrom dataclasses import replace\n"),),
    ),
    Bug(
        "a stream's key is an address in memory",
        STREAM,
        EMITS,
        "await self._emit(replace(signal_of(cross, self._rule), "
        "dedupe_key=f'{id(self._context)}-{cross.candle.opened_at}'))",
        (("import logging\n", "import logging\nfrom dataclasses import replace\n"),),
    ),
)
