"""The corpus of the loader's own tests: state dicts, archives and safetensors that are damaged, lie or swell."""

from tests.hostile.case import Case
from tests.models.hostile import CORPUS

#: The loader alone reads these to the end; brought with an architecture, they are found not to be of it before that.
_SOONER = {"overlap.safetensors": "do not fit", "hole.safetensors": "do not fit"}

CASES = tuple(Case(odd.name, odd.write, _SOONER.get(odd.name, odd.says)) for odd in CORPUS if not odd.name.startswith("exported"))
