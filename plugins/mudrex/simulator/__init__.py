"""SIMULATED: a Mudrex-like exchange in a process of its own, for drills, tests and benchmarks. No
real money, no real prices.
"""
