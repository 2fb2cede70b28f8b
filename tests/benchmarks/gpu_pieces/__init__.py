"""Pieces of ``tests/benchmarks/gpu.py``."""
