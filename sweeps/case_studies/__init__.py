"""Algorithms that decide what to train next, or which model to prune, from regimes. No Ray, no training."""
