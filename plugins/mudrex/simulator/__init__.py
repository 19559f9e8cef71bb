"""SIMULATED: a Mudrex-like exchange for drills, tests and benchmarks, in a process of its own. No
real money, no real prices.
"""
