"""Real clients of many languages against one node. Run by ``make interop``."""
