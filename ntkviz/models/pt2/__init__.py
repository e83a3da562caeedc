"""Exported programs (``.pt2``) by our own reader: a JSON graph of allowed operations, and raw bytes of weights.

PyTorch's loader runs code from such files (pickled weights and sample inputs, shapes as expressions, libraries), so it is
never called. Each file here is one step: archive, schema, program, payload, operators, interpreter, reader; export writes.
"""
