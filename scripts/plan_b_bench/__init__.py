"""The matrix stage × fault of ``bench_plan_b.py``: what goes wrong, and what the caller hears of it."""
