"""The engine's side of plugins: what an author may import, the hooks, the host that loads them, and
the record of their kits.
"""
