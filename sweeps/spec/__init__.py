"""What is wanted: a sweep's axes, seeds and recipe, as a user writes them."""
