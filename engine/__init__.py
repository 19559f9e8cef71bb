"""The engine: one signed signal in, exactly one truthful outcome per subscribed account out.

Folders, from the inside out: ``domain`` (values), ``decisions`` (pure functions), ``ports`` (what a
plugin implements), then the record (``ledger``), the tasks (``actors``), and what bots, pages and
commands may ask (``ingress``, ``services``, ``commands``). ``docs/architecture.md`` has the
picture.
"""
