"""Maps of a kernel's space: a kernel matrix in, coordinates in the plane and their quality out."""
