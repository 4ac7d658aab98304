"""The transaction coordinator (KIP-98, KIP-360, KIP-664, KIP-890): one partition of
``__transaction_state`` as a machine.
"""
