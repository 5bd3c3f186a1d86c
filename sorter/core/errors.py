"""The errors that a user can cause or meet. Everything else that escapes is a fault of ours.

Each message is one line: the file or value, what is wrong with it, and what to do.
"""


class ShotsortError(Exception):
    """Base of the errors that a command reports in one line, with exit code 2."""


class InputError(ShotsortError):
    """A file, a value or an option cannot be used as given."""


class WorkFolderError(ShotsortError):
    """The work folder cannot serve: not one, of a newer schema, read-only, full, or held by another process."""


class MissingResultError(ShotsortError):
    """A stage needs the result of an earlier stage that is not in the work folder yet."""
