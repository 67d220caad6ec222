"""The emulated org's data: generated, loaded from files, and kept alive.

Generated data is the life of one company over six years, and a showcase object with every kind of
field. On purpose, it has what real orgs have and exporters stumble over: texts and numbers at the
limits (`words`, `values`), a bulk load of a thousand leads and more with one stamp, rows on a stamp
of exactly midnight, system changes later than the last change by a person, deleted and merged
records, archived activities, a few rows from 2001, dates from 1700 to 4000. Every reference points
at a row that exists, deleted or not, but for the licences of profiles, which are not part of the
org.
"""

from sf_assets.emulator.world.generate import generate
from sf_assets.emulator.world.load import load_folder

__all__ = ["generate", "load_folder"]
