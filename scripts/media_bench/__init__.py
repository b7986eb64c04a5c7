"""The parts of ``scripts/bench_media.py``: see there for what is measured and how.

bench_media.py     runs one process for each case, prints the table
  cases            what is measured, in the clients' process (core 1)
    callers        headless clients: packets made beforehand, what comes is kept and decoded afterwards
    servers        starts a server, asks it things, reads its CPU time and memory
    report         figures beside their targets
  our_server       voicertc's peers on one core, in a process of its own: sound both ways, no services
  stock_server     the same with aiortc's public API
  sound, machine   speech and marked tones; cores, clocks and percentiles
"""
