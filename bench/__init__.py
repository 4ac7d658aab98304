"""Measurements of kafka_py beside Apache Kafka; bench/README.md says how to read them."""
