"""The figures beside what is asked of them, for people; what it reads is what ``--json`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .case import Result

OUR, STOCK = "our", "stock"
Found = dict[str, dict[str, Result]]
"""Results by case and by whose server."""


@dataclass(frozen=True)
class Row:
    """One line of the table. ``is_met`` is ``None`` where nothing is asked, or nothing was measured."""

    figure: str
    ours: float | str | None
    stock: float | str | None = None
    target: str = ""
    is_met: bool | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over stock's, where that says anything: levels are logarithms."""
        if (
            "[dB]" not in self.figure
            and isinstance(self.ours, int | float)
            and isinstance(self.stock, int | float)
            and self.stock
        ):
            return self.ours / self.stock
        return None


def rows(found: Found) -> list[Row]:
    """Return the table of all that was measured."""
    measured = {
        name: {kind: result for kind, result in kinds.items() if "failed" not in result}
        for name, kinds in found.items()
        if "failed" not in kinds.get(OUR, {})
    }
    parts = (_set_up, _talk, _others, _churn, _memory, _loss, _mouth, _words)
    failed = [Row(f"{name}: failed", None) for name in found if name not in measured]
    return [row for part in parts for row in part(measured)] + failed


def table(made: list[Row]) -> str:
    """Return rows as text."""
    lines = [("", "voicertc", "stock", "ratio", "asked", "")]
    for row in made:
        ratio = "" if row.ratio is None else f"{row.ratio:.2g}" if row.ratio < 10 else f"{row.ratio:.0f}"
        met = {True: "met", False: "MISSED", None: ""}[row.is_met]
        lines.append((row.figure, _text(row.ours), _text(row.stock), ratio, row.target, met))
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    return "\n".join(
        f"{line[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(line[1:5], widths[1:5], strict=True))
        + f"  {line[5]}".rstrip()
        for line in lines
    )


def as_json(made: list[Row]) -> list[dict[str, Any]]:
    """Return rows as data."""
    return [{**asdict(row), "ratio": row.ratio} for row in made]


def _text(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


# --- the parts ----------------------------------------------------------------------------------------


def _pick(found: Found, case: str, *path: str | int) -> tuple[Any, Any]:
    """Return a figure of ours and of stock's, ``None`` where there is none."""

    def look(kind: str) -> Any:
        value: Any = found.get(case, {}).get(kind)
        for key in path:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    return look(OUR), look(STOCK)


def _row(
    figure: str, values: tuple[Any, Any], target: str = "", meets: Callable[[Any], bool] | None = None
) -> Row:
    ours, stock = values
    is_met = None if meets is None or ours is None else meets(ours)
    return Row(figure, ours, stock, target, is_met)


def _set_up(found: Found) -> Iterator[Row]:
    if "setup" in found:
        wall, cpu = _pick(found, "setup", "wall_ms", "p95"), _pick(found, "setup", "cpu_ms")
        yield _row("set-up: offer to connected, p95 [ms]", wall, "≤ 60", lambda v: v <= 60)
        yield _row("set-up: CPU of the server [ms]", cpu, "≤ 10", lambda v: v <= 10)


def _talk(found: Found) -> Iterator[Row]:
    if "talk" not in found:
        return
    for place, where in (("rest", "at rest"), ("load", "loaded")):
        path = ("rest",) if place == "rest" else ("loads", -1 if len(_loads(found)) < 3 else 1)
        if place == "load":
            where = f"at {_percent(found, path)} CPU"
        for point in ("p50", "p95"):
            mic = _pick(found, "talk", *path, "mic_to_pcm_ms", point)
            is_asked = point == "p95"
            yield _row(
                f"mic → PCM {where}, {point} [ms]",
                mic,
                "≤ 5" if is_asked else "",
                (lambda v: v <= 5) if is_asked else None,
            )
        for point in ("p50", "p95"):
            wire = _pick(found, "talk", *path, "pcm_to_wire_ms", point)
            is_asked = point == "p95" and place == "load"
            yield _row(
                f"PCM → wire {where}, {point} [ms]",
                wire,
                "≤ 6" if is_asked else "",
                (lambda v: v <= 6) if is_asked else None,
            )
    yield from _capacity(found, "talk", "talking both ways, CELT", ("loads", -1), 0.8, 100)


def _loads(found: Found) -> list[Result]:
    loads: list[Result] = found.get("talk", {}).get(OUR, {}).get("loads", [])
    return loads


def _percent(found: Found, path: tuple[str | int, ...]) -> str:
    ours, stock = _pick(found, "talk", *path, "core")
    return "/".join(f"{share:.0%}" for share in (ours, stock) if share is not None)


def _others(found: Found) -> Iterator[Row]:
    for case, name, share, calls in (
        ("voip", "talking both ways, VOIP + FEC", 0.85, 60),
        ("mix", "35 % / 35 % talking, DTX", 0.8, 200),
        ("idle", "connected and silent", 0.8, 800),
    ):
        if case in found:
            yield from _capacity(found, case, name, (), share, calls)


def _capacity(
    found: Found, case: str, name: str, path: tuple[str | int, ...], share: float, calls: int
) -> Iterator[Row]:
    """What a call costs, how many fit, and how they fare at the number that was measured."""
    cost = _pick(found, case, *path, "cpu_ms")
    measured, _ = _pick(found, case, *path, "calls")
    yield _row(f"{name}: CPU of a call [ms/s]", cost)
    fit = tuple(None if not one else round(1000 * share / one) for one in cost)
    n = f" ({measured} measured)"
    yield _row(f"  calls at {share:.0%} of a core{n}", (fit[0], fit[1]), f"≥ {calls}", lambda v: v >= calls)
    yield _row("  core used", _pick(found, case, *path, "core"))
    if case != "idle":
        spacing = _pick(found, case, *path, "spacing_ms", "p99")
        yield _row("  spacing of packets at the client, p99 [ms]", spacing, "≤ 25", lambda v: v <= 25)
        worst = _pick(found, case, *path, "worst_call_p99_ms")
        yield _row("  the same of the worst call", worst)
    yield _row("  packets missed", _pick(found, case, *path, "missed"), "0", lambda v: v == 0)
    yield _row("  ticks skipped", _pick(found, case, *path, "counted", "skipped"), "0", lambda v: v == 0)
    if case in ("talk", "voip"):
        yield _row("  jumps of RTP time", _pick(found, case, *path, "jumps"), "0", lambda v: v == 0)
        coded = _pick(found, case, *path, "coding")[0] or {}
        yield Row("  coded as", " ".join(f"{mode} {part:.0%}" for mode, part in coded.items() if part))
    yield _row("  core used by other processes", _pick(found, case, *path, "others_core"))
    yield _row("  their core used by the clients", _pick(found, case, *path, "client_core"))


def _churn(found: Found) -> Iterator[Row]:
    if "churn" in found:
        calls, _ = _pick(found, "churn", "calls")
        for point in ("p99", "max"):
            spacing = _pick(found, "churn", "spacing_ms", point)
            yield _row(f"spacing while calls come and go ({calls} talk), {point} [ms]", spacing)
        yield _row("  ticks skipped", _pick(found, "churn", "counted", "skipped"))


def _memory(found: Found) -> Iterator[Row]:
    if "talk" in found:
        used = _pick(found, "talk", "loads", -1, "memory_mb")
        yield _row("memory of a talking call [MB]", used, "≤ 0.5", lambda v: v <= 0.5)
    if "idle" in found:
        yield _row("memory of a silent call [MB]", _pick(found, "idle", "memory_mb"))
    if "memory" in found:
        growth = _pick(found, "memory", "growth_kb_per_call_minute")
        yield _row("growth of a talking call [kB/min]", growth, "≤ 1", lambda v: v <= 1)


def _loss(found: Found) -> Iterator[Row]:
    scenarios = found.get("loss", {}).get(OUR, {})
    for name in scenarios:
        is_asked = name in ("1 %", "5 %", "10 %", "5 % in bursts")
        mic = [_pick(found, "loss", name, "mic_to_pcm_ms", point) for point in ("p50", "p95", "max")]
        for point, values in zip(("p50", "p95", "max"), mic, strict=True):
            yield _row(f"{name}: mic → PCM, {point} [ms]", values)
        if name == "0 %" or name.startswith("jitter"):
            continue
        missing = _pick(found, "loss", name, "while_missing_ms", "p95")
        yield _row("  while packets are missing, p95 [ms]", missing, "≤ 45", lambda v: v <= 45)
        if is_asked:
            back = _pick(found, "loss", name, "back_to_normal_ms", "p95")
            yield _row("  back to normal after, p95 [ms]", back, "≤ 100", lambda v: v <= 100)
            never = _pick(found, "loss", name, "never_back")
            yield _row("  holes after which it never was", never, "0", lambda v: v == 0)
        good = _pick(found, "loss", name, "discarded")
        yield _row("  good packets discarded", good, "0", lambda v: v == 0)
        if is_asked:
            lost = _pick(found, "loss", name, "lost")
            restored = _pick(found, "loss", name, "restored")
            of_lost = tuple(
                None if one is None else f"{one} of {all_lost}"
                for one, all_lost in zip(restored, lost, strict=True)
            )
            yield Row("  lost packets restored", of_lost[0], of_lost[1])


def _mouth(found: Found) -> Iterator[Row]:
    for name in found.get("loss", {}).get(OUR, {}):
        if name in ("0 %", "5 %", "10 %"):
            for label, key in (
                ("gaps [ms/min]", "gap_ms_per_minute"),
                ("clipped samples", "clipped_samples"),
                ("level [dB]", "level_db"),
            ):
                yield _row(f"voice at the client, {name}: {label}", _pick(found, "loss", name, "mouth", key))


def _words(found: Found) -> Iterator[Row]:
    result = found.get("words", {}).get(OUR, {})
    if not result:
        return
    if "skipped" in result:
        yield Row(f"words: {result['skipped']}", None)
        return
    yield Row("packets left out in sentences, because a process was late", result.get("left_out"))
    for side, label in (("server", "words wrong at the server"), ("client", "words wrong at the client")):
        for loss, values in result.get(side, {}).items():
            yield Row(f"{label}, {loss} loss", values["errors"])
            if loss != "0%":
                is_asked = side == "server" and loss == "5%"
                yield Row(
                    "  over those without loss",
                    values["ratio"],
                    target="≤ 1.1" if is_asked else "",
                    is_met=values["ratio"] <= 1.1 if is_asked else None,
                )
