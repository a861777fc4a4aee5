"""The base of all errors that the library raises in words of its own."""


class SluguqError(Exception):
    """Something cannot be done as asked; the message names the file, the row or the key and says what to do."""
