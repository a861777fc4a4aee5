"""Images a second of `prepare` against bare Pillow decoding of the same files, and its peak memory.

Draws a few camera-sized JPEG files (or takes those of --folder), lists each of them many times over, and times, on
the same threads: decoding in full, decoding in draft mode, draft mode with resampling, and `prepare`, which also
hashes, looks for duplicates and writes the store. Peak memory is that of a process of its own.

    python benchmarks/preparation.py --images 400 --megapixels 12
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from sluguq.datasets.acquisition import write_tables
from sluguq.datasets.base import Acquired
from sluguq.images.decoding import DRAFT_MARGIN
from sluguq.stages.prepare import prepare

PLAIN, DRAFT, RESAMPLED = "Pillow, decoded in full", "Pillow, draft mode", "Pillow, draft mode, resampled"


def draw_photographs(folder: Path, count: int, megapixels: float) -> list[Path]:
    """JPEG files of quality 92 with smooth content and camera noise, 4:3."""
    width = int(np.sqrt(megapixels * 1e6 * 4 / 3))
    height = width * 3 // 4
    files = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        coarse = Image.fromarray(rng.integers(60, 220, (9, 12, 3), np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        noisy = np.asarray(coarse, np.float32) + rng.normal(0, 4, (height, width, 1)).astype(np.float32)
        files.append(folder / f"{seed}.jpg")
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(files[-1], quality=92)
    return files


def decode(file: Path, how: str, size: int) -> None:
    with Image.open(file) as image:
        if how != PLAIN:
            scale = DRAFT_MARGIN * size / min(image.size)
            image.draft(None, (round(image.width * scale), round(image.height * scale)))
        image.load()
        if how == RESAMPLED:
            side = min(image.size)
            left, top = (image.width - side) / 2, (image.height - side) / 2
            image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def rates_of(work: Callable[[], object], images: int) -> tuple[float, float]:
    """Images a second, and images a second of processor time, which other work on the machine hardly changes."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return images / (time.perf_counter() - start), images / (time.process_time() - used)


def prepare_all(table: Path, size: int, workers: int) -> None:
    folder = table.parent
    prepare(table, folder / "out.zarr", folder / "rejected.csv", size=size, workers=workers, progress=False)


def listed(files: list[Path], images: int, folder: Path) -> Path:
    """An images.csv that lists the files over and over."""
    folder.mkdir()
    rows = [{"id": str(n), "file": str(files[n % len(files)]), "fst": 1} for n in range(images)]
    write_tables(Acquired(images=rows), folder)
    return folder / "images.csv"


def peak_memory(table: Path, size: int, workers: int) -> float:
    """Peak resident memory of `prepare` in a process of its own, in MB."""
    arguments = [sys.executable, __file__, "--table", str(table), "--size", str(size), "--workers", str(workers)]
    return float(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400, help="images to prepare")
    parser.add_argument("--megapixels", type=float, default=12, help="size of the drawn photographs")
    parser.add_argument("--size", type=int, default=128, help="side of the prepared pictures")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads")
    parser.add_argument("--memory", action="store_true", help="peak memory too, with 1, 4 and 16 times as many images")
    parser.add_argument("--folder", type=Path, help="take the JPEG files of this folder instead")
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.table:
        prepare_all(chosen.table, chosen.size, chosen.workers)
        # Not getrusage: its peak is inherited from the process that started this one.
        status = Path("/proc/self/status").read_text()
        print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = (
            sorted(chosen.folder.rglob("*.jpg")) if chosen.folder else draw_photographs(folder, 12, chosen.megapixels)
        )
        work = [files[n % len(files)] for n in range(chosen.images)]
        pixels = np.mean([np.prod(Image.open(file).size) for file in files]) / 1e6
        print(f"{chosen.images} images of {pixels:.1f} megapixels to {chosen.size} px, {chosen.workers} threads")
        with ThreadPoolExecutor(chosen.workers) as pool:
            rates = {}
            for how in (PLAIN, DRAFT, RESAMPLED):
                one = partial(decode, how=how, size=chosen.size)
                rates[how] = rates_of(lambda one=one: list(pool.map(one, work)), len(work))
        table = listed(files, chosen.images, folder / "one")
        rates["sluguq prepare"] = rates_of(lambda: prepare_all(table, chosen.size, chosen.workers), chosen.images)
        for how, (a_second, a_cpu_second) in rates.items():
            share = a_cpu_second / rates[DRAFT][1]
            print(f"{how:30s} {a_second:8.1f} images/s {a_cpu_second:8.1f} per CPU second, {share:4.0%} of draft mode")
        # Copies of one shard of the store, 128 MB of pixels, are the largest thing held; memory is flat beyond it.
        for images in (chosen.images, 4 * chosen.images, 16 * chosen.images) if chosen.memory else ():
            more = listed(files, images, folder / f"memory-{images}")
            print(f"peak memory of {images:6d} images: {peak_memory(more, chosen.size, chosen.workers):6.0f} MB")


if __name__ == "__main__":
    main()
