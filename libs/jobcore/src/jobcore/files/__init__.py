"""The bytes of result files: written once by a run, read by the API, deleted by the keeper.

    FileStore      what a place for files can do
    folder         a folder on a disk that all processes share
    s3             a bucket of S3 or of a server with the same protocol

What a file is called and whose it is stands in PostgreSQL (`store/files.py`). Its bytes are under a key of their own,
the id of its row, so they are never changed, and a reader always has those of one version.
"""

from jobcore.files.file_store import FileReader, FileStore, FileWriter
from jobcore.files.places import no_place, open_store

__all__ = ["FileReader", "FileStore", "FileWriter", "no_place", "open_store"]
