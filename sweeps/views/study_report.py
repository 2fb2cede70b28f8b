"""A study's tables, its picture and its words."""

from sweeps.results.store import Store
from sweeps.results.table_files import table_files
from sweeps.spec.study import Study
from sweeps.views.charts import Charts
from sweeps.views.named_files import File, checked_picture, data_beside, default_output
from sweeps.views.paper import Paper
from sweeps.views.study_view import VIEWS


def study_charts(study: Study, store: Store) -> Charts:
    """What the picture of a study shows of what is stored."""
    view = VIEWS[study.name]
    return view.charts(study, view.read(study, store))


def write_study(study: Study, store: Store, picture: str | None = None, paper: Paper | None = None) -> None:
    """Write a study's tables and its picture into the folder, another picture if one is named, and say what came out.

    Args:
        study: The study.
        store: Where the results are.
        picture: File of a picture besides.
        paper: How large that is.

    Raises:
        UsageError: If a named file cannot be written, or a table is damaged.
    """
    view = VIEWS[study.name]
    tables = view.read(study, store)
    charts = view.charts(study, tables)
    file = File(store.folder, f"{study.name}.html")
    try:
        for name, table in tables.items():
            for each, content in table_files(name, table, view.schemas[name]).items():
                store.folder.write(each, content)
        _draw(charts, file)
    except OSError as error:  # of other people's results
        print(f"Left out: {store.folder} cannot be written ({error.strerror or error}).")
        file = checked_picture("--picture", default_output(str(store.folder), f"{study.name}.html"))
        _draw(charts, file)
    for said in view.words(study, tables):
        print(said)
    print(f"Picture: {file}")
    if picture is not None:
        named = checked_picture("--picture", picture)
        beside = _draw(charts, named, paper)
        print(f"Picture: {named}{beside}")


def _draw(charts: Charts, file: File, paper: Paper | None = None) -> str:
    """Draw into a file, and write what is drawn beside it if it is for a paper; give what there is to say of that."""
    data = data_beside(file.name)
    if data is None:
        from sweeps.views.interactive_charts import draw

        file.folder.write(file.name, draw(charts).encode())
        return ""
    from sweeps.views.printed_charts import draw_printed_charts

    kind = file.name.lower().rpartition(".")[2]
    file.write(draw_printed_charts(charts, kind, paper or Paper()))
    table = File(file.folder, data)
    table.write(charts.data.to_csv(index=False).encode())
    return f" (its data: {table})"
