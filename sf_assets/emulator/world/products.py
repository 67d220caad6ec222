"""What the company sells, and at what price."""

from functools import cached_property

import numpy as np
import pyarrow as pa

from sf_assets.emulator.world import columns as col
from sf_assets.emulator.world import words
from sf_assets.emulator.world.cohort import Cohort
from sf_assets.emulator.world.seeded_random import Floats, Ints

_BOOKS = ("Standard Price Book", "Partner Price Book")
STANDARD_BOOK = 0
PARTNER_BOOK = 1
_PARTNER_SHARE = 0.85


class Products(Cohort):
    """Products; sold ones cannot be deleted, so none is."""

    name = "Product2"
    deletion_rate = 0.0

    @cached_property
    def born(self) -> Floats:
        """Most of the range was there early on."""
        share = (self.index + self.dice.share("born")) / self.company.rows[self.name]
        old = self.company.rhythm.old
        return np.where(self.index == 0, old, self.company.rhythm.grown(share * 0.3))

    @cached_property
    def price(self) -> Floats:
        """List price in the standard price book, to the cent."""
        return np.round(np.exp(6 + 1.3 * self.dice.normal("price")), 2)

    def columns(self) -> dict[str, pa.Array]:
        """The product's own fields."""
        kind = self.dice.pick("kind", len(words.PRODUCTS))
        line = self.dice.pick("line", len(words.PRODUCT_LINES))
        code = col.numbered("NW-{}", self.index + 1000, 7)
        name = col.joined(
            col.text(words.PRODUCTS, kind),
            col.text(words.PRODUCT_LINES, line),
            col.as_words(self.index + 100),
            separator=" ",
        )
        return {
            "Name": self.sprinkled(name, words.AWKWARD_NAMES),
            "ProductCode": code,
            "Description": self.prose("Description", 0.3),
            "IsActive": col.flag(~self.dice.chance("discontinued", 0.1)),
            "Family": self.option("Family", 0.95),
            "QuantityUnitOfMeasure": self.option("QuantityUnitOfMeasure", 0.8, 2.0),
            "StockKeepingUnit": col.digits(self.dice, "sku", "0##########", self.some("sku", 0.6)),
        }


class PriceBooks(Cohort):
    """The standard price book and one for partners."""

    name = "Pricebook2"
    deletion_rate = 0.0

    @cached_property
    def born(self) -> Floats:
        """From the start."""
        return np.full(len(self), self.company.rhythm.old)

    def columns(self) -> dict[str, pa.Array]:
        """The price book's own fields."""
        return {
            "Name": pa.array([_BOOKS[row] for row in self.index]),
            "IsActive": col.flag(self.index >= 0),
            "IsStandard": col.flag(self.index == STANDARD_BOOK),
        }


class PriceBookEntries(Cohort):
    """Each product in both price books: row 2n is product n in the standard one."""

    name = "PricebookEntry"
    deletion_rate = 0.0

    @cached_property
    def products(self) -> Products:
        """The products priced."""
        return Products(self.company, self.index // len(_BOOKS))

    @cached_property
    def born(self) -> Floats:
        """With the product."""
        return self.products.created

    @cached_property
    def price(self) -> Floats:
        """List price in the entry's price book."""
        partner = np.round(self.products.price * _PARTNER_SHARE, 2)
        return np.where(self.index % len(_BOOKS) == PARTNER_BOOK, partner, self.products.price)

    @staticmethod
    def row(product: Ints, book: Ints) -> Ints:
        """Row number of a product's entry in a price book."""
        return product * len(_BOOKS) + book

    def columns(self) -> dict[str, pa.Array]:
        """The entry's own fields."""
        return {
            "Pricebook2Id": self.company.ids("Pricebook2", self.index % len(_BOOKS)),
            "Product2Id": self.company.ids("Product2", self.products.index),
            "UnitPrice": col.number(self.price),
            "IsActive": col.flag(~self.dice.chance("inactive", 0.05)),
        }
