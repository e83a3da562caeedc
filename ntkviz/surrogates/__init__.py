"""Kernel machines that stand for a network: kernel and targets in, weights for each training point out."""
