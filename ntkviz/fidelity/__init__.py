"""How faithfully a surrogate stands for its network, in numbers with intervals."""
