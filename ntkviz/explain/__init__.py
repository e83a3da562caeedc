"""A prediction in terms of training points: shares, neighbours, totals by class, concentration."""
