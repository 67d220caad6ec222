"""The org's limits: calls in 24 hours, and the document that lists all limits."""

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sf_assets.emulator.clock import Clock
from sf_assets.emulator.errors import ApiError
from sf_assets.emulator.store import Store

_DAY = 24
_HOUR_SECONDS = 3600
_SAVE_SECONDS = 5.0
# Name and maximum of the limits that nothing here uses up.
_UNUSED = {
    "ActiveScratchOrgs": 3, "AnalyticsExternalDataSizeMB": 40960,
    "ConcurrentAsyncGetReportInstances": 200, "ConcurrentEinsteinDataInsightsStoryCreation": 5,
    "ConcurrentEinsteinDiscoveryStoryCreation": 2, "ConcurrentSyncReportRuns": 20,
    "DailyAnalyticsDataflowJobExecutions": 60, "DailyAnalyticsUploadedFilesSizeMB": 51200,
    "DailyAsyncApexExecutions": 250000, "DailyAsyncApexTests": 500, "DailyBulkApiBatches": 15000,
    "DailyDeliveredPlatformEvents": 10000, "DailyDurableGenericStreamingApiEvents": 10000,
    "DailyDurableStreamingApiEvents": 10000, "DailyEinsteinDataInsightsStoryCreation": 1000,
    "DailyEinsteinDiscoveryPredictAPICalls": 50000,
    "DailyEinsteinDiscoveryPredictionsByCDC": 5000000,
    "DailyEinsteinDiscoveryStoryCreation": 100, "DailyFunctionsApiCallLimit": 235000,
    "DailyGenericStreamingApiEvents": 10000, "DailyScratchOrgs": 6,
    "DailyStandardVolumePlatformEvents": 10000, "DailyStreamingApiEvents": 10000,
    "DailyWorkflowEmails": 100000, "DataStorageMB": 1024,
    "DurableStreamingApiConcurrentClients": 20, "FileStorageMB": 1024,
    "HourlyAsyncReportRuns": 1200, "HourlyDashboardRefreshes": 200, "HourlyDashboardResults": 5000,
    "HourlyDashboardStatuses": 999999999, "HourlyLongTermIdMapping": 100000,
    "HourlyManagedContentPublicRequests": 50000, "HourlyODataCallout": 20000,
    "HourlyPublishedPlatformEvents": 50000, "HourlyPublishedStandardVolumePlatformEvents": 1000,
    "HourlyShortTermIdMapping": 100000, "HourlySyncReportRuns": 500,
    "HourlyTimeBasedWorkflow": 1000, "MassEmail": 5000,
    "MonthlyEinsteinDiscoveryStoryCreation": 500,
    "MonthlyPlatformEventsUsageEntitlement": 300000, "Package2VersionCreates": 6,
    "Package2VersionCreatesWithoutValidation": 500,
    "PlatformEventTriggersWithParallelProcessing": 5,
    "PrivateConnectOutboundCalloutHourlyLimitMB": 0, "SingleEmail": 5000,
    "StreamingApiConcurrentClients": 20,
}  # fmt: skip


class Rolling:
    """A number of uses in the last 24 hours, kept by the hour and with the org.

    Args:
        name: Under which it is kept.
        store: Where it is kept.
        clock: The org's clock.
        maximum: Uses allowed.
    """

    def __init__(self, name: str, store: Store, clock: Clock, maximum: int) -> None:
        self.maximum = maximum
        self._name = f"usage.{name}"
        self._store = store
        self._clock = clock
        self._lock = threading.RLock()
        self._saved = time.monotonic()
        kept = json.loads(store.setting(self._name) or "{}")
        self._hours = {int(hour): int(count) for hour, count in kept.items()}

    def add(self, count: int = 1) -> None:
        """Count some uses."""
        hour = self._hour(self._clock.now())
        with self._lock:
            self._hours[hour] = self._hours.get(hour, 0) + count
            due = time.monotonic() - self._saved > _SAVE_SECONDS
        if due:
            self.save()

    def take(self, count: int = 1) -> bool:
        """Count some uses if so many are left; whether they were."""
        with self._lock:
            if self.remaining < count:
                return False
            self.add(count)
            return True

    @property
    def used(self) -> int:
        """Uses in the last 24 hours."""
        oldest = self._hour(self._clock.now()) - _DAY
        with self._lock:
            self._hours = {hour: n for hour, n in self._hours.items() if hour > oldest}
            return sum(self._hours.values())

    @property
    def remaining(self) -> int:
        """Uses that are left."""
        return max(0, self.maximum - self.used)

    def save(self) -> None:
        """Keep the count with the org."""
        self._saved = time.monotonic()
        with self._lock:
            kept = json.dumps(self._hours)
        self._store.keep(self._name, kept)

    @staticmethod
    def _hour(moment: datetime) -> int:
        return int(moment.timestamp()) // _HOUR_SECONDS


class Limits:
    """The limits that this org counts.

    Args:
        store: Where counts are kept.
        clock: The org's clock.
        daily_api_requests: Calls in 24 hours.
        daily_query_jobs: Bulk query jobs in 24 hours.
        daily_query_kb: Kilobytes of Bulk query results in 24 hours.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        daily_api_requests: int,
        daily_query_jobs: int,
        daily_query_kb: int,
    ) -> None:
        self.requests = Rolling("requests", store, clock, daily_api_requests)
        self.query_jobs = Rolling("query_jobs", store, clock, daily_query_jobs)
        self.query_kilobytes = Rolling("query_kilobytes", store, clock, daily_query_kb)

    def count_request(self, calls: int = 1) -> None:
        """Count a call.

        Raises:
            ApiError: REQUEST_LIMIT_EXCEEDED when none is left.
        """
        if not self.requests.take(calls):
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")

    def header(self) -> str:
        """`Sforce-Limit-Info` of a reply."""
        return f"api-usage={self.requests.used}/{self.requests.maximum}"

    def document(self) -> dict[str, Any]:
        """All limits with what remains of them, by name."""
        limits: dict[str, Any] = {name: _entry(m, m) for name, m in _UNUSED.items()}
        stored = self.query_kilobytes
        limits |= {
            "DailyApiRequests": _entry(self.requests.maximum, self.requests.remaining),
            "DailyBulkV2QueryJobs": _entry(self.query_jobs.maximum, self.query_jobs.remaining),
            "DailyBulkV2QueryFileStorageMB": _entry(stored.maximum >> 10, stored.remaining >> 10),
            "PermissionSets": {**_entry(1500, 1500), "CreateCustom": _entry(1000, 1000)},
        }
        return dict(sorted(limits.items()))

    def spend(self, requests: int = 0, query_jobs: int = 0, query_kb: int = 0) -> None:
        """Use some up, as other clients of the org do."""
        self.requests.add(requests)
        self.query_jobs.add(query_jobs)
        self.query_kilobytes.add(query_kb)

    def save(self) -> None:
        """Keep all counts with the org."""
        for rolling in (self.requests, self.query_jobs, self.query_kilobytes):
            rolling.save()


def _entry(maximum: int, remaining: int) -> dict[str, int]:
    return {"Max": maximum, "Remaining": remaining}


class RecordCounts:
    """The org's estimate of how many records its objects have.

    As in a real org the numbers come from a snapshot: each is counted when it is first asked for
    and again only when it is older than five minutes.

    Args:
        clock: The org's clock.
        count: Counts the records of an object.
    """

    _SECONDS = 300

    def __init__(self, clock: Clock, count: Callable[[str], int]) -> None:
        self._clock = clock
        self._count = count
        self._known: dict[str, tuple[datetime, int]] = {}

    def count(self, object_name: str) -> int | None:
        """Records of an object that are not deleted, as of the last snapshot.

        An object that has no records at all has no snapshot: None.
        """
        now = self._clock.now()
        known = self._known.get(object_name)
        if known is None or abs((now - known[0]).total_seconds()) > self._SECONDS:
            known = (now, self._count(object_name))
            self._known[object_name] = known
        return known[1] or None
