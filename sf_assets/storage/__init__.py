"""The raw layer: immutable slices of Parquet in an object storage, made visible by manifests."""
