"""Take a pruned model home: ``python sweeps/export.py RESULTS --density 0.1 --best --out model.pt``. No Ray."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import tyro

from sweeps.results.about_model import (
    MADE_BY,
    about_images,
    about_model,
    about_sentences,
    means_of_pairs,
    regime_of,
)
from sweeps.results.own_files import check_free
from sweeps.results.recorded import Recorded, open_recorded
from sweeps.results.search_answers import kept_answer
from sweeps.results.stored_siblings import StoredSibling, best_sibling, named_sibling, points_at, stored_siblings
from sweeps.running.preflight import as_usage_errors
from sweeps.spec.axes import LOADS
from sweeps.spec.checks import option_of
from sweeps.spec.choices import described, one_of
from sweeps.spec.command_line import OK, parse, run_command
from sweeps.spec.errors import UsageError
from sweeps.views.named_files import JSON, File, checked_file
from sweeps.views.panels import figure
from trainables.data import CACHE, Outline, TextOutline, is_text, normalisation, outline, vocabulary_file
from trainables.models.exported import FORMATS, Exported, Format, format_of

BEGINS = json.dumps({"made_by": MADE_BY}, indent=2).removesuffix("\n}").encode()
"""Of the JSON beside a model, by which it is known again."""

VOCABULARY = ".vocabulary"
"""End of the name of the vocabulary beside a model of sentences."""


@dataclass(frozen=True)
class Export:
    """Write one retrained sibling of a sweep as a file of its own: its weights, with zeros where it was pruned.

    Beside it, as --out with .json, is what it is: data and their normalisation, errors, density, seeds, configuration;
    and as --out with .vocabulary, of a model that translates, its vocabulary for sentencepiece. Of several sweeps in a
    folder it is the latest. docs/export.md says how to load the file.
    """

    results: tyro.conf.Positional[str]
    """Folder or s3://... that a sweep wrote (its --out)."""

    out: str | None = None
    """File of the model, to be given: .pt, .safetensors or .onnx. Beside it is its .json; a model that has one is
    replaced, any other file is not."""

    temperature: float | None = None
    """The temperature, one of the sweep's; with --best any of them if not given."""

    density: float | None = None
    """The density, one of the sweep's; needed if it has several."""

    width: float | None = None
    """The width, of a sweep with --load width; needed if it has several."""

    data_dimension: int | None = None
    """The dimension of the images, of a sweep with --load data_dimension; needed if it has several."""

    data_amount: int | None = None
    """The number of training images, of a sweep with --load data_amount; needed if it has several."""

    best: bool = False
    """The sibling of the lowest validation error, of all dense and retrain seeds."""

    dense_seed: int | None = None
    """Seed of the dense model; needed if there are siblings of several, and --best is not given."""

    retrain_seed: int | None = None
    """Seed of the sibling; likewise."""

    format: Annotated[str | None, one_of("--format", FORMATS, optional=True), described("What to write", FORMATS)] = (
        None
    )
    """By the end of --out if not given."""

    data_folder: str = CACHE
    """Where torchvision's data sets and decoded images are, for their mean and standard deviation."""

    storage_endpoint: str | None = None
    """Server of s3://..., if it is not Amazon's own, as http://host:port."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Export, arguments)
    if options.out is None:
        raise UsageError("--out (nothing): name the file of the model, as --out model.pt.")
    name, kind = _format(options.out, options.format)
    out, beside = _files(options.out)
    _check(options)
    past = open_recorded(options.results, None, options.storage_endpoint)
    if past.store is None:
        raise UsageError(f"{options.results} is a file; name the folder of a sweep.")
    sibling, how = _chosen(options, past)
    data = sibling.stage.run.data
    taken = _sentences(sibling, past, options.out) if is_text(data) else _images(data, options.data_folder)
    if kind.needs_model and taken.sizes is None:
        raise UsageError(f"--format {name}: it needs the sizes of the images ({taken.lacking}).")
    pairs = means_of_pairs(sibling, past.store, past.spec.measurement)
    regime = regime_of(sibling, past.table(past.spec.thresholds))
    about = about_model(sibling, regime, pairs, taken.about)
    with as_usage_errors():
        content = kind.encode(Exported(sibling.stage.run.model, _state(sibling, past), taken.sizes, _facts(about)))
    this = {"made_by": MADE_BY, "file": out.name, "format": name, "sha256": hashlib.sha256(content).hexdigest()}
    beside.write((json.dumps(this | about, indent=2) + "\n").encode())
    for file, vocabulary in taken.vocabulary:
        file.write(vocabulary)
    out.write(content)
    told = ("validation_error", "test_error", "validation_bleu", "bleu")
    known = {name: about[name] for name in told if about.get(name) is not None}
    said = {name: name.replace("_", " ").replace("bleu", "BLEU") for name in known}
    errors = ", ".join(f"{said[name]} {figure(name, value)}" for name, value in known.items())
    print(f"Sibling: {sibling}" + f"; {errors}" * bool(errors) + f" ({how})" * bool(how))
    if taken.lacking:
        print(f"Left out: mean and standard deviation of the channels ({taken.lacking}).")
    print(
        f"Model: {out} (what it is: {beside}" + "".join(f"; vocabulary: {file}" for file, _ in taken.vocabulary) + ")"
    )
    return OK


def _format(out: str, given: str | None) -> tuple[str, Format]:
    """Format to write, by name.

    Raises:
        UsageError: If the name of the file is of another one, or what it needs is not installed.
    """
    end = Path(out).suffix.lower()
    name = given or format_of(end)
    other = [each for each, format_ in FORMATS.items() if each != name and end in format_.ends]
    if other:
        raise UsageError(f"--out {out}: its end is that of {other[0]}, and --format is {name}; change one.")
    if lacking := FORMATS[name].lacking:
        ways = ".venv/bin/pip install --editable '.[export]' in the clone"
        raise UsageError(f"--format {name} needs {' and '.join(lacking)}: {ways}.")
    return name, FORMATS[name]


def _files(name: str) -> tuple[File, File]:
    """The model's file, and that of what it is.

    Raises:
        UsageError: If one of them cannot be written, or the second would replace something else.
    """
    path = Path(name)
    if path.suffix.lower() in (*JSON, VOCABULARY):
        raise UsageError(
            f"--out {name}: beside a model is what it is, as {path.suffix.lower()}; name the model otherwise."
        )
    out = checked_file("--out", name, [path.suffix.lower()])
    json_name = str(path.with_suffix(".json"))
    beside = checked_file("the JSON of --out", json_name, JSON)
    there = Path(json_name).read_bytes() if Path(json_name).exists() else b""
    if there and not there.startswith(BEGINS):
        raise UsageError(f"--out {name}: what it is goes to {json_name}, which is something else; name another.")
    if path.exists() and not there:
        raise UsageError(f"--out {name}: there is such a file, and no command like this one wrote it; name another.")
    return out, beside


def _check(options: Export) -> None:
    """Raise UsageError for seeds beside --best, which chooses them, and for a folder of data that is a sweep's."""
    check_free(f"--data-folder {options.data_folder}", os.path.expanduser(options.data_folder))
    for option, seed in (("--dense-seed", options.dense_seed), ("--retrain-seed", options.retrain_seed)):
        if options.best and seed is not None:
            raise UsageError(f"{option} {seed}: --best chooses among the seeds; leave one of them out.")


def _chosen(options: Export, past: Recorded) -> tuple[StoredSibling, str]:
    """The sibling to write, and how it was chosen, for a person; empty if it was named."""
    assert past.store is not None
    spec = past.spec
    loads = {name: getattr(options, name) for name in LOADS}
    points = points_at(past.store.with_added_siblings(spec.points()), spec, options.temperature, loads)
    several = {spec.load: {stage.label.load for stage in points}}
    if not options.best:
        several |= {"temperature": {stage.label.temperature for stage in points}}
    for axis, values in several.items():
        if len(values) > 1:
            there = " ".join(f"{value:.12g}" for value in sorted(values))
            raise UsageError(f"{option_of(axis)} (nothing): the latest sweep there has {there}; give one of them.")
    if not options.best:
        siblings = stored_siblings(points, past.store)
        return named_sibling(siblings, options.dense_seed, options.retrain_seed), ""
    answer = kept_answer(past.store.folder, points) if options.temperature is None else None
    if answer is None:
        return best_sibling(stored_siblings(points, past.store))
    sibling, how = best_sibling(
        stored_siblings([stage for stage in points if stage.label.temperature == answer], past.store)
    )
    return sibling, f"{how} of {spec.temperature} {answer:g}, which a search chose"


@dataclass(frozen=True)
class _Taken:
    """What a model takes.

    Attributes:
        sizes: Of the images, or of the text, as far as they are known here.
        about: The same for the JSON, and what else must be known of them.
        lacking: What is in the way of knowing it all.
        vocabulary: File and content of one, if there is one.
    """

    sizes: Outline | TextOutline | None
    about: dict[str, Any]
    lacking: str = ""
    vocabulary: tuple[tuple[File, bytes], ...] = ()


def _images(data: str, folder: str) -> _Taken:
    """Sizes of the images and how they are normalised, as far as that is known here."""
    sizes: Outline | None = None
    try:
        sizes = cast(Outline, outline(data))
        return _Taken(sizes, about_images(sizes, normalisation(data, folder)))
    except ValueError as error:
        return _Taken(sizes, about_images(sizes, None), str(error))


def _sentences(sibling: StoredSibling, past: Recorded, out: str) -> _Taken:
    """Languages and vocabulary, of which the sweep has the only copy that is sure to be the model's.

    Raises:
        UsageError: If it is not there any more, or would replace another file.
    """
    assert past.store is not None
    data = sibling.stage.run.data
    vocabulary = past.store.artifacts.read(vocabulary_file(data))
    if vocabulary is None:
        raise UsageError(f"{sibling}: its vocabulary is not there any more; run its sweep again.")
    name = Path(out).with_suffix(VOCABULARY)
    file = checked_file("the vocabulary of --out", str(name), [VOCABULARY])
    if name.exists() and not _has_vocabulary(name.with_suffix(".json")):
        raise UsageError(f"--out {out}: its vocabulary goes to {name}, which is something else; name another.")
    return _Taken(outline(data), about_sentences(data, name.name, vocabulary), vocabulary=((file, vocabulary),))


def _has_vocabulary(beside: Path) -> bool:
    """Whether this command wrote a vocabulary beside such a JSON, which is its own if it is there."""
    try:
        return "vocabulary" in json.loads(beside.read_bytes())
    except (FileNotFoundError, ValueError):
        return False


def _state(sibling: StoredSibling, past: Recorded) -> Mapping[str, Any]:
    """Weights of a sibling, with zeros for what was pruned."""
    from trainables.stages.siblings import kept_siblings

    assert past.store is not None
    kept = kept_siblings(past.store.artifacts, sibling.stage.key)
    if sibling.seed not in kept:
        raise UsageError(f"{sibling}: its weights are not there any more; run its sweep again.")
    state: Mapping[str, Any] = kept[sibling.seed]["model"]
    return state


def _facts(about: Mapping[str, Any]) -> dict[str, str]:
    """The JSON's main facts as words, for formats that have a place for them."""
    long = ("configuration", "density_by_layer")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in about.items()
        if name not in long
    }


if __name__ == "__main__":
    run_command(main)
