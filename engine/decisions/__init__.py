"""Decisions: pure functions. Same input, same answer; time is an argument; no clock, no network, no
database, no logging.
"""
