"""Groups of real clients: members that come, go, die and sleep, and a checker of what they say."""
