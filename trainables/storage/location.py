"""Opening a folder by its path or URI."""

import os
from urllib.parse import unquote, urlsplit

from trainables.storage.folder import Folder
from trainables.storage.local_folder import LocalFolder
from trainables.storage.remote_folder import RemoteFolder


def open_folder(location: str | os.PathLike[str], endpoint: str | None = None) -> Folder:
    """Open a folder; it is made when the first file is written.

    Args:
        location: Path of a local or shared folder, or URI of object storage (``s3://bucket/path``) or of any other file
            system that pyarrow knows. Credentials and region are found where the storage's own tools find them.
        endpoint: URL of a server that speaks S3's protocol, instead of Amazon's.

    Raises:
        ValueError: If it is no such URI, or an endpoint is given without one.
    """
    location = os.fspath(location)
    if location.startswith("file://"):
        parts = urlsplit(location)
        if parts.netloc not in ("", "localhost"):
            raise ValueError(f"{location} names another machine, {parts.netloc}; write file:///path")
        location = unquote(parts.path)
    if "://" in location:
        return RemoteFolder(location, endpoint)
    if endpoint is not None:
        raise ValueError(f"{location} is a folder, which has no storage endpoint; write s3://bucket/path")
    return LocalFolder(location)
