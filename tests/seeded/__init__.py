"""Bugs that are seeded into copies of adapters, to see whether the kit for exchanges catches them:
``make seeded``.
"""
