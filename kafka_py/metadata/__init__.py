"""Cluster metadata: one image, one replay, for the controller and the brokers alike."""
