"""Measures strategies against one another: tasks, runner, statistics, time model and reports."""
