"""Ctrl-C, on its way from the signal to the command's end."""

EXIT_INTERRUPTED = 130


class Interrupted(BaseException):
    """Ctrl-C, under a name that no library on the way catches; its arguments are what there is to say of it."""
