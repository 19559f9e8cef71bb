"""What people are told without asking. Alerts are one closed set, like outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class AlertCode(Enum):
    """Every reason to tell somebody."""

    ORDER_UNKNOWN = "order_unknown"
    ORDER_NOT_CONFIRMED = "order_not_confirmed"
    ACCOUNT_QUARANTINED = "account_quarantined"
    ACCOUNT_UNREADABLE = "account_unreadable"
    RESIDUE = "residue"
    PLUGIN_TASK_FAILED = "plugin_task_failed"
    CONSERVATION_BROKEN = "conservation_broken"
    LEDGER_NOT_WRITABLE = "ledger_not_writable"
    FOREIGN_ORDERS = "foreign_orders"


@dataclass(frozen=True, slots=True)
class Alert:
    """Hold one alert: what happened to which thing, what the engine already did, what to type. Never a secret.

    ``number`` is the ledger sequence of the event behind it (delivery is at least once, so a receiver may see it again).
    """

    number: int
    code: AlertCode
    subject: str
    sentence: str
    done: str
    do: str
    at: datetime
    details: Mapping[str, str]
