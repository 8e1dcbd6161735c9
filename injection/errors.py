"""What regional prompting refuses."""

from strata.hierarchy.errors import StrataError


class UnsupportedError(StrataError):
    """The pipeline is in a mode that regional prompting cannot work with."""
