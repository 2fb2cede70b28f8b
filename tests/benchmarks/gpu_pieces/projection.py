"""Hours of ``paper-epochs`` on one card, by what was measured before."""

from gpu_pieces.session import Row, Session
from gpu_pieces.trials import SIBLINGS

POINTS, DENSE, EPOCHS, IMAGES, BATCH, PAIRS, POSITIONS = 432, 3, 160, 50_000, 64, 3, 11
STEPS = EPOCHS * -(-IMAGES // BATCH)
"""Of a training: 782 an epoch."""


def projection(session: Session) -> None:
    """Print the arithmetic; of what was not measured it says so."""
    steps = [row for row in session.rows("steps") if "ms" in row and (row["batch"] == BATCH or session.tiny)]
    if session.tiny:
        print("Numbers of tiny sizes: only the arithmetic is real.")
    if not steps:
        print("No step was measured; first: steps, measuring, trials.")
        return
    first = steps[0]["model"]
    for precision in ("tf32", "bfloat16"):
        own = [row for row in steps if row["model"] == first and row["precision"] == precision]
        for compiled in ("no", "reduce-overhead", "step"):
            found = {count: _fastest(own, count, compiled) for count in (1, SIBLINGS)}
            if found[SIBLINGS] is not None:
                dense = found[1] or _fastest([row for row in steps if row["model"] == first], 1, "no")
                _in_one_process(session, f"{precision}, compiled: {compiled}", dense, found[SIBLINGS])
    for row in session.rows("trials"):
        if "images_per_second" in row:
            images = (POINTS * SIBLINGS + DENSE) * EPOCHS * IMAGES
            hours = images / row["images_per_second"] / 3600
            print(
                f"{row['precision']}, {row['processes']} processes: {images:.3g} images to train on / "
                f"{row['images_per_second']:.0f} a second = {hours:.1f} h without measuring"
            )
            session.append("projection", {"case": f"{row['precision']}, {row['processes']} processes", "hours": hours})


def _fastest(steps: list[Row], models: int, compiled: str) -> Row | None:
    own = [row for row in steps if row["models"] == models and row["compiled"] == compiled]
    return min(own, key=lambda row: row["ms"], default=None)


def _in_one_process(session: Session, name: str, dense: Row | None, siblings: Row | None) -> None:
    assert siblings is not None
    parts = {}
    print(f"{name}, one process:")
    for what, count, row in (("dense trainings", DENSE, dense), ("points retrained", POINTS, siblings)):
        if row is None:
            print(f"  {what}: not measured")
            continue
        parts[what] = count * STEPS * row["ms"] / 3.6e6
        how = f"{row['kind']}, {row['layout']}, cuDNN's choice {row['cudnn']}"
        print(f"  {count} {what} x {STEPS} steps x {row['ms']:.2f} ms ({how}) = {parts[what]:.2f} h")
    measured = next((row for row in session.rows("measuring") if row["model"] == siblings["model"]), None)
    if measured is None:
        print("  measuring: not measured")
    else:
        each = measured["lmc_us"] * IMAGES / 1e6
        parts["measuring"] = POINTS * PAIRS * each / 3600
        print(
            f"  {POINTS} points x {PAIRS} pairs x {IMAGES} images x {measured['lmc_us']:.1f} us ({POSITIONS} positions "
            f"of a path, statistics and errors) = {parts['measuring']:.2f} h"
        )
    print(f"  together {sum(parts.values()):.1f} h", flush=True)
    session.append("projection", {"case": f"{name}, one process", "hours": sum(parts.values()), **parts})
