"""Deterministic simulation of the real engine against an exchange that fails on purpose: seeded,
replayable, judged by its own record.
"""
