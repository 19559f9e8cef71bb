"""Benchmarks that print ratios. They are not tests and are not installed."""
