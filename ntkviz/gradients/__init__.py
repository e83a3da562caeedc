"""Per-sample gradients of logits: the generic path by ``torch.func``, its fallback, and the slow float64 reference."""
