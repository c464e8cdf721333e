"""Options of `lulc info`."""

from lulc.options import Bands, Date, Offset, Options, Quantification


class SceneOptions(Options):
    """What is known of a scene where its files do not say it."""

    bands: Bands = None
    offset: Offset = None
    quantification: Quantification = None
    date: Date = None
