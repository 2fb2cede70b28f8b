"""All studies by name, and reading a sweep back that may be one."""

import json

from sweeps.spec.diagnosis import Diagnosis
from sweeps.spec.importance import Importance
from sweeps.spec.landscape import Landscape
from sweeps.spec.prunability import Prunability
from sweeps.spec.sparsity import Sparsity
from sweeps.spec.spec import SweepSpec
from sweeps.spec.study import Study

STUDIES: dict[str, type[Study]] = {
    kind.name: kind for kind in (Sparsity, Importance, Prunability, Landscape, Diagnosis)
}


def sweep_from_json(text: str | bytes) -> SweepSpec:
    """Read what :meth:`sweeps.spec.spec.SweepSpec.to_json` wrote, of a study, too; raises as ``from_json``."""
    fields = json.loads(text)
    name = fields.pop(Study.MARK, None) if isinstance(fields, dict) else None
    if name is None:
        return SweepSpec.from_json(text)
    if name not in STUDIES:
        raise ValueError(f"it is a study called {name}, which this version does not know")
    return STUDIES[name].from_json(json.dumps(fields))
