"""Runs in a child process of the dashboard: the registry of architectures as JSON types. The page has no torch."""

from typing import Any


def main(arguments: list[str]) -> dict[str, Any]:
    """All rows of the registry.

    Args:
        arguments: none are expected.

    Returns:
        Key -> title, summary, kinds, source, options.
    """
    from ntkviz.models.registry import architectures

    return {
        key: {
            "title": row.title,
            "summary": row.summary,
            "kinds": list(row.kinds),
            "source": row.source,
            "options": {name: option._asdict() for name, option in row.options.items()},
        }
        for key, row in architectures().items()
    }
