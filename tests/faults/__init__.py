"""Deterministic simulation of the real engine against an exchange that fails on purpose: seeded,
replayable, checked against its own record.
"""
