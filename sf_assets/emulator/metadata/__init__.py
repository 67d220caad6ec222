"""What the emulated org's objects are: our own, or those of a recorded org.

Our own are written in a short form, one YAML file an object: the type of a field decides most of
its describe (`fields`), and the file says the rest by the attributes' own names. Beyond describe's
names, a field can be `required` or `system`, can name its relationship on the parent's side
(`children`) and what the parent's deletion does (`onDelete`), and can have a `formula` (see
`schema.Field`). An object can have `recordTypes`.
"""

from sf_assets.emulator.metadata.directory import global_describe
from sf_assets.emulator.metadata.recorded import load_describes
from sf_assets.emulator.metadata.standard import standard_schema

__all__ = ["global_describe", "load_describes", "standard_schema"]
