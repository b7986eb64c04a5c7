"""The parts of ``scripts/bench_calls.py`` and ``scripts/bench_latency.py``: whole calls, from end to end.

bench_calls.py     more and more calls until they suffer: how many a core carries, and what each costs
bench_latency.py   what one caller, or half a core of them, waits for
  talking          holds calls against a server and returns what became of their turns
    callers        headless clients that take turns: ready packets out, what comes is kept
    judging        decodes what was kept, afterwards: when the reply was heard, and whether it was whole
    serving        ``voicertc serve`` on a core of its own: started, measured, ended
    fakes          the fake OpenAI in a process of its own
    material       what callers say
    metering       what processes take meanwhile
    engines        which engines take part, and what settings that takes
  report, waits    figures beside what is asked of them
  parts            which part of the server its time goes to (py-spy)
"""
