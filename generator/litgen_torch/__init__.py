"""litgen: plain PyTorch training projects that their owner owns."""
