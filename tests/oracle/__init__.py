"""Apache Kafka itself as the judge of our bytes and behaviour. Run by ``make oracle``."""
