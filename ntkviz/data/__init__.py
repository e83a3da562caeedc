"""Data sets: readers of what people bring, the bundled samples, text encoding, duplicates. No torch."""
