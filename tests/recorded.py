"""Loaders of the recorded markets, shared by tests and benchmarks. Every path comes from the `recorded` fixture."""
