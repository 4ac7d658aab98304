"""The states of a classic group, and which may follow which.

```
             first join              all joined, or time is up         leader's assignment stored
   Empty ───────────────► PreparingRebalance ──────────────► CompletingRebalance ────────► Stable
     ▲                      │   ▲       ▲                          │                         │
     └──────────────────────┘   │       └──────────────────────────┘                         │
        nobody is left          │          a member came, went or changed                    │
                                └────────────────────────────────────────────────────────────┘
```

Dead follows every state: the group was deleted, or its partition moved to another broker.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["FOLLOWS", "REBALANCES_FROM", "State"]


class State(StrEnum):
    """A state under the name that clients see."""

    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


#: state -> the states it may follow.
FOLLOWS: Final[dict[State, frozenset[State]]] = {
    State.EMPTY: frozenset({State.PREPARING}),
    State.PREPARING: frozenset({State.EMPTY, State.COMPLETING, State.STABLE}),
    State.COMPLETING: frozenset({State.PREPARING}),
    State.STABLE: frozenset({State.COMPLETING}),
    State.DEAD: frozenset(State),
}

#: The states in which a rebalance can begin.
REBALANCES_FROM: Final = FOLLOWS[State.PREPARING]
