"""Pairs, replays and what is measured of them: ROC curves, deviations, a timer."""
