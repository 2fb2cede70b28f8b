"""Functions of the user's own, ``package.module:function``: models, and whatever else is named in this way.

Such a name is *pinned* when a sweep is made: ``package.module:function#<hash of the module's source>``, so that results
of a changed function are not taken for those of the old one. What that module imports is not followed. Importing runs
the user's code, so what only reads results does not.
"""

from trainables.functions.own import OwnFunction, call, find, is_function, pin, pinned, place, taken

__all__ = ["OwnFunction", "call", "find", "is_function", "pin", "pinned", "place", "taken"]
