"""Code that uses a file in an app, made from its contract: `edgecv inspect FILE --snippet kotlin`."""

from edgecv.jobs.snippets.writing import LANGUAGES, snippet

__all__ = ["LANGUAGES", "snippet"]
