"""Serving the dashboard: the processes that draw pages, the door in front of them, and the supervisor of jobs beside them."""
