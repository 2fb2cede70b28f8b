"""Machine translation: sentences of one language, and what they are in another."""
