"""How good a call sounds, as people would rate it: the E-model, fed by what was measured.

    R = 148 - Id(delay) - Ie,eff(coding, loss)      0 to 148, ITU-T G.107.2 §7: the fullband edition,
    MOS = f(R / 1.48)                               for Opus is no telephone codec
                                                    1.0 to 4.5, G.107 annex B, G.107.2 annex A

People do not give 5 to anything: 4.3 satisfies nearly all, 3.6 leaves some dissatisfied, under 3.1 most are
(G.109). It is an estimate, good for comparing calls: echo, noise and loudness are not measured, and taken to
be as they should. The scales of G.107 (up to 93, telephones) and of G.107.1 (129, wideband) give other
numbers: never compare across them.

How Opus sounds is not in G.113. Its impairment by bit rate was derived for all its modes by Alahmadi, Pocta
and Melvin (An Adaptive Bitrate Switching Algorithm for Speech Applications in Context of WebRTC, ACM TOMM
17-4, 2021, doi 10.1145/3458751). It ends where G.113 appendix V has EVS, a codec of the same kind: 7 to 10 at
24 to 48 kbit/s, with a robustness of 9.3 to 11.4.
"""

from __future__ import annotations

import math

import numpy as np

MIN_MOS, MAX_MOS = 1.0, 4.5

_MAX_RATING = 148.0
"""Ro,FB: speech of 20 Hz to 20 kHz, with nothing wrong."""
_SCALE = 1.48
"""From G.107's scale to the fullband one."""
_MAX_EQUIPMENT = 132.0
"""What the equipment's impairment tends to as all packets are lost (95 in G.107)."""
_ROBUSTNESS = 10.6
"""Bpl of Opus with its concealment, without FEC: the mean of 9 bit rates from 16 to 40 kbit/s, which differ
(9.8 to 11.8) without a trend. One value for all keeps a higher bit rate from ever sounding worse."""
_MAX_BURST_RATIO = 2.0
"""Above it the model holds only for losses under 2 % (G.107 §7.5)."""
_NOTICEABLE_DELAY = 0.1
"""Seconds that nobody notices."""

_EQUIPMENT = {
    6: 77.8, 7: 76.1, 8: 70.8, 9: 66.5,
    11: 47.4, 12: 42.3, 13: 39.0,
    14: 38.1, 15: 34.1, 16: 30.2, 19: 23.8, 22: 20.2, 25: 20.2,
    28: 18.5, 31: 16.8, 34: 14.8, 37: 12.1, 40: 10.7,
}  # fmt: skip
"""Ie,FB of Opus with a variable bit rate, by kbit/s: narrowband, wideband and super-wideband, as the encoder
changes its bandwidth by itself. The first two lines were given on their own scales: 54.8 and 19 bring them to
this one (G.113: Ie,fb = Ie,wb + 19, and Ie,wb = Ie + 35.8). Nothing is known above 40: no credit is given."""
_BIT_RATES = np.array([1000 * kbps for kbps in _EQUIPMENT], np.float64)
_IMPAIRMENTS = np.array(list(_EQUIPMENT.values()), np.float64)
_NARROWBAND, _WIDEBAND = 54.8, 19.0
"""What the missing bandwidth alone costs, at any bit rate."""


def mean_opinion(rating: float) -> float:
    """Return the mean opinion score, 1.0-4.5, for a rating R of 0-148 (G.107.2 annex A)."""
    r = _within(rating, 0.0, _MAX_RATING) / _SCALE
    # Where R is below 6.5 the polynomial is below 1.
    return max(MIN_MOS, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def rating(*, equipment: float, loss: float = 0.0, burst_ratio: float = 1.0, delay: float = 0.0) -> float:
    """Return the transmission rating R, 0-148.

    ``equipment``: Ie,FB of the coding. ``loss``: fraction, 0-1, of the sound that never came in time.
    ``burst_ratio``: mean length of a run of losses, as a multiple of what independent losses would have.
    ``delay``: seconds from mouth to ear. What is out of range is taken for the nearest that is in it.
    """
    effective = equipment_with_loss(equipment, loss, burst_ratio)
    return _within(_MAX_RATING - delay_impairment(delay) - effective, 0.0, _MAX_RATING)


def delay_impairment(delay: float) -> float:
    """Return Idd,FB for a one-way delay in seconds: it makes people interrupt each other (G.107.2 §7.4)."""
    delay = _within(delay, 0.0, 60.0)
    if delay <= _NOTICEABLE_DELAY:
        return 0.0
    x = math.log2(delay / _NOTICEABLE_DELAY)
    return _SCALE * 25 * (_norm(x) - 3 * _norm(x / 3) + 2)


def equipment_with_loss(equipment: float, loss: float, burst_ratio: float = 1.0) -> float:
    """Return Ie,eff,FB: what coding and losses do together (G.107.2 §7.5)."""
    equipment = _within(equipment, 0.0, _MAX_EQUIPMENT)
    percent = 100 * _within(loss, 0.0, 1.0)
    burst_ratio = _within(burst_ratio, 1.0, _MAX_BURST_RATIO)
    share = min(1.0, percent / (percent / burst_ratio + _ROBUSTNESS))
    return equipment + (_MAX_EQUIPMENT - equipment) * share


def opus_impairment(bit_rate: float, toc: bytes = b"") -> float:
    """Return Ie,FB of Opus at ``bit_rate`` (bit/s of speech, without headers).

    ``toc``: a packet's first byte, which says what bandwidth it has (RFC 6716 §3.1); without it, the widest.
    """
    by_rate = float(np.interp(_within(bit_rate, 0.0, 1e6), _BIT_RATES, _IMPAIRMENTS))
    return max(by_rate, _missing_bandwidth(toc[0] >> 3)) if toc else by_rate


def burst_ratio(n_lost: int, n_runs: int, loss: float) -> float:
    """Return how bursty losses are: ``n_lost`` packets in ``n_runs`` runs, ``loss`` (0-1) of the stream.

    1: they come one by one, as independent losses do; also where ``n_runs`` is 0, for then it is not known.
    """
    return n_lost / n_runs * (1 - loss) if n_runs else 1.0


def _missing_bandwidth(config: int) -> float:
    """Return the least Ie,FB by a packet's configuration, 0-31. Mediumband is counted as narrowband."""
    if config < 8 or 16 <= config < 20:
        return _NARROWBAND
    return _WIDEBAND if config < 12 or 20 <= config < 24 else 0.0


def _norm(x: float) -> float:
    return math.cbrt(math.hypot(1.0, x**3))  # (1 + x⁶)^(1/6)


def _within(value: float, low: float, high: float) -> float:
    """Return ``value`` within bounds; what is no number counts as ``low``."""
    return min(high, max(low, value))  # in this order: max(low, nan) is low
