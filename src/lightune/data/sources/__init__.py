"""Where examples come from: one file for each kind of source. Needs no torch."""

from lightune.data.sources.base import Source
from lightune.data.sources.builtin import BuiltIn
from lightune.data.sources.files import Files
from lightune.data.sources.hub import Hub
from lightune.data.sources.mixture import Mixture
from lightune.data.sources.sql import Sql
from lightune.data.sources.stream import Stream

__all__ = ["BuiltIn", "Files", "Hub", "Mixture", "Source", "Sql", "Stream"]
