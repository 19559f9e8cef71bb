"""The engine: one signed signal in, exactly one truthful outcome per subscribed account out.

Rooms, from the inside out: ``domain`` (values), ``decisions`` (pure functions), ``ports`` (what a
plugin implements), then the room of record (``ledger``), the shell (``actors``) and the narrow door
(``service``). ``docs/architecture.md`` has the picture.
"""
