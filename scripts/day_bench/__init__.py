"""The parts of ``scripts/bench_day.py``: calls of a day over services that fail again and again.

bench_day.py, tests/session/test_soak.py
  day            lines on which calls come one after another; what is watched meanwhile and asked at the end
    one_call     a caller's plan, and what has to be true of the call
    services     port fakes that fail as their weather says, in chains as a server has them
    weather      when a service fails, and how: seeded
"""
