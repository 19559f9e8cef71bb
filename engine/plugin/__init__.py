"""Plugins from the engine's side: what an author may import, the hooks, the host that loads them,
and the record of their kits.
"""
