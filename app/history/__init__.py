"""What outlives the process: the journal of accepted jobs and the index of finished pictures, in one SQLite file."""

from app.history.journal import JobRecord, Journal
from app.history.pictures import Filter, History, Record

__all__ = ["Filter", "History", "JobRecord", "Journal", "Record"]
