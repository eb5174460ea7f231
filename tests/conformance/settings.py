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
)
"""Callbacks to some addresses are allowed, and limits are so low that they are soon passed."""
