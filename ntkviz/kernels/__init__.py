"""Kernels of a network: the registry, and one file a kernel. A kernel leaves this room as NumPy."""
