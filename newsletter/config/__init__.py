"""The configuration: every key with its type and limits, and the configuration file.

Reports all problems at once. Building the application from it is the work of `app`.
"""
