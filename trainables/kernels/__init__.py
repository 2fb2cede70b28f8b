"""Layers with kernels of their own, for what torch's do not do well: small and pruned models on a CPU."""
