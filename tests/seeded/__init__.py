"""Bugs that are seeded into copies of adapters, to test whether the kit for exchanges catches them:
``make seeded``.
"""
