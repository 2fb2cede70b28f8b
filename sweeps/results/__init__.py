"""What is there: stored results, the phase table, and tables of any origin."""
