"""How stacks compute in training: in which of the ways that there are, found by trying. It decides no key."""
