"""The command line: ``kafka-py serve``, ``consume``, ``groups``, ``format``, ``info``,
``random-uuid``, ``describe-api``."""
