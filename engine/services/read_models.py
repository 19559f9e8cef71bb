"""The read models that services return, by name, for whoever writes them in another form."""

from engine.decisions.missed import MissedWeek as MissedWeek
from engine.decisions.portfolio import Totals as Totals
from engine.ledger.following import AgreementRow as AgreementRow
from engine.ledger.following import CopyRow as CopyRow
from engine.ledger.history import ClosedTrade as ClosedTrade
from engine.ledger.history import FundingPaid as FundingPaid
from engine.ledger.history import OrderRow as OrderRow
