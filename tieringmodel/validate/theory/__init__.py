"""Anchor cases of the theory: closed forms and exact integers."""
