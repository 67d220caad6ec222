"""A Salesforce org on loopback: the same HTTP that the real one speaks, over real sockets.

It is a product of its own: it imports nothing from the rest of `sf_assets`, and nothing but the
command line and the tests imports it. The way in is `server.Emulator`.

Not served: Bulk API 2.0 ingest and the Pub/Sub API, each of which will be a router beside `bulk`;
SOAP beyond `login`; SOSL.
"""
