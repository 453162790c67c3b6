"""Readers of benchmarks in the layouts that their authors publish."""
