"""The study of data dimension and prunability: the same grid on data of several dimensions."""

from dataclasses import dataclass, replace

from sweeps.spec.axes import LOADS
from sweeps.spec.checks import require
from sweeps.spec.spec import SweepSpec
from sweeps.spec.study import Study, without_options

OWN_DATA = "own"
"""Name of the sweep on the data as they are."""


@without_options("load", "widths")
@dataclass(frozen=True)
class Prunability(Study):
    """Ankner et al. 2022 (arXiv 2212.00291): how much can be pruned, against the dimension of the data."""

    name = "prunability"

    tolerance: float = 0.01
    """Test error, as a fraction, that pruning may add to that of the dense model, in (0, 1); decides no result, only
    how results are read."""

    def check(self) -> None:
        """Raise UsageError unless it can be run."""
        require(
            0 < self.tolerance < 1, "--tolerance", self.tolerance, "it is a share of the images, above 0 and below 1"
        )
        super().check()

    def variants(self) -> dict[str, SweepSpec]:
        """A sweep for each dimension; without any, that of the data as they are."""
        plain = self.plain(load="density", data_dimensions=())
        axis = LOADS["data_dimension"]
        return {
            f"{dimension:g}": replace(plain, data=axis.data(self, dimension)) for dimension in self.data_dimensions
        } or {OWN_DATA: plain}
