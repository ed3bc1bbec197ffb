"""Email newsletters of research papers: each new paper once, to each subscriber."""

__version__ = "0.1.0"
