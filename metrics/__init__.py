"""What is measured: pure functions of tensors and numbers, without input, output or Ray."""
