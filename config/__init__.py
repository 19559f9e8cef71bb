"""The settings files of RexAlgo: ``default.toml`` (every setting), and two starting points."""
