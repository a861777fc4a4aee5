"""Write the report that people read, and a card for the models of each configuration."""

import sys

sys.path.insert(0, f"{snakemake.scriptdir}/../src")

import os
from pathlib import Path

import pandas as pd
import yaml

from sluguq.analysis.tables import read_claims, read_table
from sluguq.config import resolve
from sluguq.machine.jobs import job
from sluguq.report.folded import PLANNING, WITHOUT_FIGURE, folded
from sluguq.report.model_card import model_card
from sluguq.report.page import write_report
from sluguq.stages.cost import cost_of
from sluguq.stages.taken import plan_and_taken
from sluguq.stores.files import whole_file
from sluguq.stores.store import open_store

with job(snakemake.log[0]):
    names = snakemake.params.names
    stores = {name: open_store(path) for name, path in zip(names, snakemake.input.datasets, strict=True)}
    read: dict[str, dict[str, pd.DataFrame]] = {}
    for path in map(Path, (*snakemake.input.tables, *snakemake.input.planning)):
        if path.stem in ("levels", "flagging", "gaps", "signals", *WITHOUT_FIGURE, *PLANNING):
            owner = path.parent.name if path.stem not in PLANNING else names[0]
            read.setdefault(owner, {})[path.stem] = read_table(path)
    external = {n: read[n]["skin_types"] for n, store in stores.items() if store.attrs["role"] == "external"}
    home = names[0]
    cards = {name: model_card(stores[home], name, read[home], external) for name in snakemake.params.configurations}
    for path, card in zip(snakemake.output.cards, cards.values(), strict=True):
        with whole_file(path) as partial:
            partial.write_text(card, encoding="utf-8")
    page = Path(snakemake.output.page)

    def relative(path: str) -> str:
        return os.path.relpath(path, page.parent)

    tables: dict[str, dict[str, str]] = {}
    for path in map(Path, (*snakemake.input.tables, *snakemake.input.planning)):
        owner = path.parent.name if path.stem not in PLANNING else home
        tables.setdefault(owner, {})[path.stem] = relative(str(path))
    shown = {
        name: [
            folded(table, frames[table], tables[name][table])
            for table in (*WITHOUT_FIGURE, *PLANNING)
            if table in frames and len(frames[table])
        ]
        for name, frames in read.items()
    }
    # Where the inputs are, which is not where they are stored when the storage is remote.
    figures = (*snakemake.input.figures, *snakemake.input.get("sensitivity", []))
    folders = dict.fromkeys(Path(file).parent for file in figures)
    write_report(
        page,
        claims=read_claims(snakemake.input.claims),
        datasets=stores,
        figures={folder.name: folder for folder in folders},
        cards=cards,
        tables=read[home],
        shown={name: those for name, those in shown.items() if those},
        costs=plan_and_taken(cost_of(resolve(yaml.safe_load(stores[home].attrs["configuration"])))),
        links={
            "explore": snakemake.params.explore,
            "claims": relative(snakemake.input.claims),
            "split_sizes": relative(snakemake.input.split_sizes),
            "tables": tables,
            "datasheets": {Path(sheet).stem: relative(sheet) for sheet in snakemake.input.datasheets},
            "cards": {name: relative(path) for name, path in zip(cards, snakemake.output.cards, strict=True)},
        },
    )
