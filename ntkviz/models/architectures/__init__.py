"""The networks that ntkviz builds by name, one a file."""
