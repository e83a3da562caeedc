"""Files that want to hurt: one module a family, each with its ``CASES``; :mod:`tests.hostile.corpus` finds them all.

A new family (of a new format, say) is a new module here and nothing else. Files are made when they are needed and never shipped.
"""
