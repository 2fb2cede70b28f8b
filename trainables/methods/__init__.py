"""Pruning that trains, or takes gradients: one run of a method gives pruned models of several densities."""
