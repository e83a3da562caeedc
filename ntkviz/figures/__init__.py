"""Figures: plain arrays and frozen dataclasses in, Plotly figures and the sentences that read them out."""
