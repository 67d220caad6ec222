"""Changing records with Salesforce's semantics: validation, stamps, cascades, history."""

from sf_assets.emulator.records.open_transactions import Held
from sf_assets.emulator.records.records import Records
from sf_assets.emulator.records.transaction import Outcome, Transaction
from sf_assets.emulator.records.writer import Writer

__all__ = ["Held", "Outcome", "Records", "Transaction", "Writer"]
