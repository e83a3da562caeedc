"""Truth by retraining: what a network becomes without some of its training points, and the recipes that say how it is trained."""
