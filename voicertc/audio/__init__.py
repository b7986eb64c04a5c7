"""Sound as numbers: frames, resampling, Opus, voice activity and the playout buffer.

Nothing here knows of calls, conversations or the network. Into the house goes 16 kHz, out of it 24 kHz,
both mono int16; whoever brings audio of another rate resamples it at the door.
"""
