"""The settings that ship with RexAlgo: ``default.toml`` (every setting), and two starting points to
copy.
"""
