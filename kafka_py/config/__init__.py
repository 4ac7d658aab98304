"""Configuration: Kafka's own keys as one typed table, and what a server.properties means."""
