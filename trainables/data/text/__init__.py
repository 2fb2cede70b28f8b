"""Sentences in two languages. Imports no torch."""
