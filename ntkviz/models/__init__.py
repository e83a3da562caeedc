"""Networks: architectures, the one loader of weights, probes, and what people upload."""
