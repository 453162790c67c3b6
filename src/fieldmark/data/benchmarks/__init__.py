"""The benchmarks as their authors pack them."""
