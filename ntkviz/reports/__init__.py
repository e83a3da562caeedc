"""Pages that stand in a file of their own and open offline: a figure, an explanation, a study; and programs that reproduce them."""
