"""The errors of studies that a caller may want to tell apart from others; ``ntkviz.errors`` has those of the whole project."""

from ntkviz.errors import NtkvizError


class InvalidStudy(NtkvizError, ValueError):
    """A study was asked for that cannot be made: an unknown name or option, or sizes that do not fit."""


class NotFound(NtkvizError, KeyError):
    """There is no study, kernel or job of that key."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # a KeyError would show the quoted text


class ClusterUnavailable(NtkvizError):
    """The cluster that NTKVIZ_ENGINE names cannot be used; tiles that it finished are kept."""
