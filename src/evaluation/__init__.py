"""Probabilities -> metrics."""
