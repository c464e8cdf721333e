"""A run that ends, as if killed, after it has stored its first chunks."""

from contextlib import contextmanager

import pytest


@contextmanager
def stopped_after(chunks, monkeypatch):
    """What classifies within stores so many chunks, then ends with SystemExit; its work folder stays."""
    from lulc.io.product.writer import ProductWriter

    put, stored = ProductWriter.put, []

    def put_some(self, *arguments):
        if len(stored) == chunks:
            raise SystemExit
        stored.append(1)
        put(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ProductWriter, "put", put_some)
        patch.setattr(ProductWriter, "abandon", lambda self, **_: self._store.close())
        with pytest.raises(SystemExit):
            yield
