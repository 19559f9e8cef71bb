"""Sockets: what a plugin implements, one noun a file. The docstrings are the contract."""
