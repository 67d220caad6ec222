"""Campaigns. Their totals are worked out when they are read, from members and opportunities."""

from functools import cached_property

import numpy as np
import pyarrow as pa

from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world.calendar import DAY
from sf_assets.emulator.world.cohort import Cohort
from sf_assets.emulator.world.seeded_random import Floats

_SEASONS = pa.array(["Spring", "Summer", "Autumn", "Winter"])
_THEMES = pa.array(["Webinar", "Trade Show", "Newsletter", "Customer Day", "Mailing", "Roadshow"])
# The newest campaign is older than any deletion that can still be seen.
_LEAD_TIME_WEEKS = 3.0


class Campaigns(Cohort):
    """Campaigns; deals and members refer to them, so none is deleted."""

    name = "Campaign"
    deletion_rate = 0.0

    @cached_property
    def born(self) -> Floats:
        """Some weeks before their first members."""
        latest = self.company.rhythm.now - _LEAD_TIME_WEEKS
        return np.minimum(super().born, latest)

    def columns(self) -> dict[str, pa.Array]:
        """The campaign's own fields."""
        start = self.created_seconds // DAY + self.dice.between("start", 3, 40)
        end = start + self.dice.between("length", 1, 60)
        over = end * DAY < self.company.rhythm.now_seconds
        running = ~over & (start * DAY < self.company.rhythm.now_seconds)
        status = pa.array(["Planned", "In Progress", "Completed"])
        year = (start / 365.2425).astype(np.int64) + 1970
        name = col.joined(
            col.text(_SEASONS, start // 91 % len(_SEASONS)),
            col.text(_THEMES, self.dice.pick("theme", len(_THEMES))),
            col.as_words(year),
            col.joined("#", col.as_words(self.index + 1)),
            separator=" ",
        )
        above = (self.index * self.dice.share("parent")).astype(np.int64)
        budget = np.round(np.exp(9 + self.dice.normal("budget")), -2)
        spent = np.round(budget * (0.7 + 0.5 * self.dice.share("spent")))
        has_parent = self.some("parent", 0.25) & (self.index > 0)
        return {
            "Name": name,
            "ParentId": self.company.ids(self.name, np.where(has_parent, above, -1)),
            "Type": self.option("Type", 0.9),
            "Status": col.text(status, over.astype(np.int64) * 2 + running),
            "StartDate": col.date(start),
            "EndDate": col.date(end),
            "ExpectedRevenue": col.number(budget * 8, self.some("revenue", 0.7)),
            "BudgetedCost": col.number(budget),
            "ActualCost": col.number(spent, over),
            "ExpectedResponse": col.number(self.dice.between("response", 1, 2000) / 100),
            "NumberSent": col.number(self.dice.between("sent", 0, 5000).astype(np.float64)),
            "IsActive": col.flag(running),
            "Description": self.prose("Description", 0.5),
        }
