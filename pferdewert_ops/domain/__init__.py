"""The rules: pure functions of values and `now`; standard library only."""
