"""Settings of an installation: TOML and environment into one frozen Config, and small files that
are replaced whole.
"""
