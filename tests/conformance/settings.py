"""The settings of servers that scenarios need: as few sets as possible, each is one more server."""

import json

_ADDRESSES = [
    {"Pattern": "*.allowed.invalid", "AllowInsecure": True},
    {"Pattern": "*.secure.invalid", "AllowInsecure": False},
]
SMALL = (
    f"callback.allowedAddresses={json.dumps(_ADDRESSES)}",
    "callback.maxPerExecution=4",
    "system.maxCallbacksPerWorkflow=3",
    "frontend.callbackURLMaxLength=60",
    "frontend.callbackHeaderMaxLength=40",
    "limit.maxIDLength=80",
    "limit.blobSize.warn=2000",
    "limit.blobSize.error=3000",
    "limit.memoSize.warn=500",
    "limit.memoSize.error=1000",
    "limit.historyCount.warn=30",
    "limit.historyCount.error=60",
    "limit.historyCount.suggestContinueAsNew=20",
    "limit.historySize.warn=10000",
    "limit.historySize.error=20000",
    "limit.historySize.suggestContinueAsNew=8000",
    "limit.mutableStateSize.warn=6000",
    "limit.mutableStateSize.error=8000",
    "limit.mutableStateActivityFailureSize.warn=200",
    "limit.mutableStateActivityFailureSize.error=300",
    "limit.numPendingActivities.error=3",
    "limit.numPendingChildExecutions.error=2",
    "limit.numPendingSignals.error=2",
    "limit.numPendingCancelRequests.error=2",
    "history.maximumSignalsPerExecution=15",
    "history.maximumBufferedEventsBatch=5",
    "history.maxInFlightUpdates=2",
    "history.maxTotalUpdates=4",
    "frontend.searchAttributesNumberOfKeysLimit=2",
    "frontend.searchAttributesSizeOfValueLimit=100",
    "frontend.searchAttributesTotalSizeLimit=200",
    "frontend.maxlinksPerRequest=2",
    "frontend.linkMaxSize=200",
    "limit.userMetadataSummarySize=40",
    "limit.userMetadataDetailsSize=100",
    "system.maxServiceErrorMessageLength=300",
)
"""Callbacks to some addresses are allowed, and limits are so low that they are soon passed."""

NO_SCHEDULES = ("frontend.enableSchedules=false",)
"""There are no schedules."""
