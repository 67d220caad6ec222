"""The Salesforce client: login, REST, Bulk 2.0 queries. It knows nothing of assets or storage."""
