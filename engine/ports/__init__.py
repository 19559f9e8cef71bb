"""Ports: what a plugin implements, one noun per file. The docstrings are the contract."""
