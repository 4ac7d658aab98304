"""The command line: ``kafka-py serve``, ``format``, ``info``, ``random-uuid``, ``describe-api``."""
