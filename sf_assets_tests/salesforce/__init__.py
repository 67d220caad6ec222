"""Tests of the Salesforce client."""
