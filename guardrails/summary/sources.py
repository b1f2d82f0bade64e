"""One row per source, with its streams."""

from __future__ import annotations

from guardrails.portfolio import Portfolio
from guardrails.snapshot.sources import SourceRow, StreamRow
from guardrails.values import Source, SourceState, Stream, finite


def source_row(source: Source, portfolio: Portfolio) -> SourceRow:
    """What `source` says, and how old that is."""
    return SourceRow(
        name=source.name,
        state=source.state.value,
        age_seconds=None if source.time is None else portfolio.age_of(source.time),
        detail=source.detail,
        exclusions=source.exclusions,
        condition=source.condition,
        since=source.since,
        action=source.action,
        retries=source.retries,
        streams=tuple(_stream(stream, source, portfolio) for stream in source.streams),
        warnings=source.warnings,
        clock_skew=finite(source.clock_skew),
    )


def _stream(stream: Stream, source: Source, portfolio: Portfolio) -> StreamRow:
    """The row of `stream`; nothing can be said to work while its source is down."""
    works = None if stream.works and source.state is SourceState.DOWN else stream.works
    age = None if stream.time is None else portfolio.age_of(stream.time)
    return StreamRow(stream.name, works, age, stream.detail)
