"""Ratchet: from a data set and one YAML file to a tuned, judged, promoted and served model."""

__version__ = "0.1.0"
