"""What one trial does: data, models, training, pruning, measuring. Ray is imported by ``trainable`` alone."""
