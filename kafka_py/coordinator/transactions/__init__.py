"""The transaction coordinator (KIP-98, KIP-360, KIP-664, KIP-890): one partition of
``__transaction_state`` as a machine.

`transaction` is what is known of one transactional id, `transitions` how it changes, `shard` the
machine that answers requests with them, `markers` what it asks for when a transaction is to end,
`load` reads it back from the log.
"""
