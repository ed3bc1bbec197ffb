"""The configuration: every key with its meaning and limits, and the file it is written in.

Reports every problem at once. Builds nothing from it: `app` does.
"""
