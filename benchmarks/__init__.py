"""Repeatable measurements, each beside a bare loop in the same run: on a shared machine only ratios count."""
