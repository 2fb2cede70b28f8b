"""Which stages run next: those wanted, without what is stored, in the order of what they need. No Ray."""
