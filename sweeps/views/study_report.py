"""A study's tables, its picture and its words."""

from collections.abc import Sequence

import pandas as pd

from sweeps.results.store import Store
from sweeps.results.table_files import table_files
from sweeps.spec.study import Study
from sweeps.views.named_files import File, checked_picture, default_output
from sweeps.views.paper import Paper
from sweeps.views.pictures import Picture, page_of, write_picture
from sweeps.views.study_view import VIEWS


def study_picture(study: Study, store: Store, panels: Sequence[str] | None = None) -> Picture:
    """What is drawn of what is stored of a study; ``panels`` as of :func:`write_study`."""
    view = VIEWS[study.name]
    return view.picture(study, view.read(study, store), panels)


def write_study(
    study: Study,
    store: Store,
    picture: str | None = None,
    paper: Paper | None = None,
    panels: Sequence[str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Write a study's tables and its picture into the folder, another picture if one is named, and say what came out.

    Args:
        study: The study.
        store: Where the results are.
        picture: File of a picture besides.
        paper: How large that is.
        panels: What of a diagram of cells to draw; all that is known if None.

    Returns:
        The tables, by name.

    Raises:
        UsageError: If a named file cannot be written, or a table is damaged.
    """
    view = VIEWS[study.name]
    tables = view.read(study, store)
    drawn = view.picture(study, tables, panels)
    file = File(store.folder, f"{study.name}.html")
    try:
        for name, table in tables.items():
            for each, content in table_files(name, table, view.schemas[name]).items():
                store.folder.write(each, content)
        store.folder.write(file.name, page_of(drawn).encode())
    except OSError as error:  # of other people's results
        print(f"Left out: {store.folder} cannot be written ({error.strerror or error}).")
        file = checked_picture("--picture", default_output(str(store.folder), f"{study.name}.html"))
        write_picture(file, drawn)
    for said in view.words(study, tables):
        print(said)
    print(f"Picture: {file}")
    if picture is not None:
        named = checked_picture("--picture", picture)
        beside = write_picture(named, drawn, paper)
        print(f"Picture: {named}{beside}")
    return tables
