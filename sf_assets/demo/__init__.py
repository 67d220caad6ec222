"""`make demo` and `make dev`: a Salesforce org on this machine and its tables, in `.demo/`."""
