"""The operator's side of a shop that sells AI-written horse valuations."""

__version__ = "0.1.0"
