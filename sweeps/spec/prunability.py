"""The study of data dimension and prunability: the same grid on data of several dimensions."""

from dataclasses import dataclass, replace

from sweeps.spec.axes import DEFAULT_GENERATOR, LOADS
from sweeps.spec.checks import check_list, check_loads, require, words
from sweeps.spec.spec import SweepSpec
from sweeps.spec.study import Study, without_options
from trainables.data import is_text, with_dimension

OWN_DATA = "own"
"""Name of the sweep on the data as they are."""


@without_options("load", "widths", "data_amounts")
@dataclass(frozen=True)
class Prunability(Study):
    """Ankner et al. 2022 (arXiv 2212.00291): how much can be pruned, against the dimension of the data."""

    name = "prunability"
    of_reading = ("tolerance",)

    tolerance: float = 0.01
    """Test error, as a fraction, that pruning may add to that of the dense model, in (0, 1); decides no result, only
    how results are read."""

    @property
    def removed(self) -> str:
        """What pruning removes, of which densities are shares: weights, or filters."""
        return "filters" if self.load_name == "filters" else "weights"

    def check(self) -> None:
        """Raise UsageError unless it can be run."""
        require(
            0 < self.tolerance < 1, "--tolerance", self.tolerance, "it is a difference of errors, above 0 and below 1"
        )
        if self.data_dimensions:
            rule = "a dimension is of images, and the data are sentences; give --data-dimensions without values"
            require(not is_text(self.data), "--data-dimensions", words(self.data_dimensions), rule)
            check_list("data_dimensions", self.data_dimensions)
            nothing: dict[str, tuple[float, ...]] = {axis.values: () for axis in LOADS.values()}
            one = {"densities": self.densities[:1], "data_dimensions": self.data_dimensions}
            check_loads("data_dimension", nothing | one)
        else:
            rule = "it is of --data-dimensions; give those, too, or leave it out"
            require(self.generator is None, "--generator", self.generator, rule)
        super().check()

    def variants(self) -> dict[str, SweepSpec]:
        """A sweep for each dimension; without any, that of the data as they are."""
        plain = self.plain(load="density", data_dimensions=(), generator=None)
        generator = self.generator or DEFAULT_GENERATOR
        return {
            f"{dimension:g}": replace(plain, data=with_dimension(self.data, generator, dimension))
            for dimension in self.data_dimensions
        } or {OWN_DATA: plain}
