"""Data sets: one adapter a source, all handing over the same two tables; who belongs together; splits.

Nothing is imported here, so that planning an experiment can ask for a skin type without waiting for pandas.
"""
