"""What a user did wrong, in one sentence."""


class UsageError(Exception):
    """A mistake in what was asked for. Its text quotes the bad value and says what to do; commands exit with 2."""


class NoSweepError(UsageError):
    """In a folder there is no sweep, or not yet."""
