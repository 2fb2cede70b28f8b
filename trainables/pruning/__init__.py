"""Pruning rules: which weights a model keeps."""
