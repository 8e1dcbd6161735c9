"""The errors that Strata raises on purpose."""


class StrataError(Exception):
    """Base of every error that Strata raises on purpose."""


class InputError(StrataError, ValueError):
    """What a user gave (a file, a value, an option) cannot be used.

    The message is always one line that names the place and, where there are any, the valid choices, so that the
    command line can print it as it is.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
