"""Changing records with Salesforce's semantics: validation, stamps, cascades, history."""

from sf_assets.emulator.records.records import Records
from sf_assets.emulator.records.transaction import Outcome, Transaction

__all__ = ["Outcome", "Records", "Transaction"]
