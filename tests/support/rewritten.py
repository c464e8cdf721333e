"""An input that somebody writes to while a run reads it."""

import os


def rewriting(path):
    """A progress callback that changes some bytes of a file, in place, when it is called first."""
    done = []

    def progress(*_):
        if not done:
            status = path.stat()
            with path.open("r+b") as file:
                file.seek(status.st_size // 2)
                file.write(bytes(64))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
            done.append(path)

    return progress
