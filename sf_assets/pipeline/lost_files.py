"""Files of raw that are gone or cut, seen by one listing, against what silver was made of."""

from sf_assets.errors import StorageError
from sf_assets.storage.raw_layer import RawLayer
from sf_assets.warehouse.port import SliceLog


def lost_files(raw: RawLayer, log: SliceLog) -> dict[str, StorageError]:
    """Look for files that silver was made of, and that raw has no more as they were.

    Silver has their rows, so nothing needs them until something is made anew of raw. Files are not
    read, and manifests only where sizes are not as they were. What silver has not taken up yet is
    held against its manifest by whoever merges it.

    Args:
        raw: The raw layer.
        log: What silver has taken up.

    Returns:
        By object, what is lacking and what to do; nothing of objects that have all.

    Raises:
        StorageError: The storage refuses.
    """
    refs = raw.refs()
    wanted, there = log.part_bytes(refs), raw.part_bytes()
    found = {}
    for slug, sizes in wanted.items():
        have = there.get(slug, {})
        if lacking := {piece for piece, size in sizes.items() if have.get(piece, 0) != size}:
            # Another may have taken its place since; or rows were removed from it for good, which
            # silver is yet to be told, and files may be left of whoever died while doing that.
            now = [ref for ref in raw.refs(slug).get(slug, ()) if ref.id in lacking]
            files = {e.path: e.size for e in raw.store.list(raw.raw_folder(slug))} if now else {}
            lacking = {
                piece.id
                for piece in raw.read(now)
                if any(files.get(part.path) != part.bytes for part in piece.parts)
            }
        if lacking:
            found[slug] = StorageError(
                f"{raw.store.uri(raw.raw_folder(slug))} lacks files, or has them cut, of "
                f"{len(lacking)} slices, the newest {max(lacking)}: silver has their rows still; "
                f"restore the files, or remove those slices' manifests from "
                f"{raw.store.uri(raw.manifest_folder(slug))} and run `sf-assets rebuild` and "
                "`sf-assets reconcile --repair` of the object"
            )
    return found
