"""The errors that a caller or a page must tell apart.

Every message says what was expected, what came, and what to do next. Pages show the message and never a
traceback; anything else that escapes is a bug.
"""


class NtkvizError(Exception):
    """Base of every error that ntkviz raises on purpose."""


class UploadRejected(NtkvizError):
    """A file that somebody brought cannot be used; the message says why and how to mend it."""


class UnsupportedModel(NtkvizError):
    """The model cannot be treated correctly (its outputs are no logits, it cannot be differentiated, ...)."""


class NonDeterministicModel(UnsupportedModel):
    """Two forward passes on the same input differ, so no kernel of the model is well defined."""


class BatchDependentModel(UnsupportedModel):
    """The output for one sample depends on the other samples of its batch."""


class SelfCheckFailed(NtkvizError):
    """A kernel differs from the float64 reference by more than the tolerance; it is not returned."""


class BudgetExceeded(NtkvizError):
    """The work would need more memory, time or disk than was granted."""


class SurrogateDiverged(NtkvizError):
    """A surrogate's fit ended in values that are not finite."""


class StoreCorrupted(NtkvizError):
    """A stored artefact is missing, truncated or altered."""


class JobCancelled(NtkvizError):
    """The work was stopped because somebody asked for it."""
